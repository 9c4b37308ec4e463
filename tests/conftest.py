"""What several test files share: a small body model in SMPL-X's file format, random people, the shared data."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import JOINT_NAMES, PARENTS
from limner.geometry.rotation import rotation_from_axis_angle
from limner.networks.weights import PARTS, NetSpec, build_net, write_net


def smplx_arrays(vertices: int = 400, directions: int = 400, seed: int = 0) -> dict[str, np.ndarray]:
    """Random arrays under SMPL-X's keys; the layout of the file is real, the body is noise."""
    g = np.random.default_rng(seed)
    faces = g.integers(0, vertices, (500, 3)).astype(np.uint32)
    weights = (
        g.random((vertices, 55)) ** 8 * (g.random((vertices, 55)) > 0.9)
        + 1e-3 * np.eye(55)[g.integers(0, 55, vertices)]
    )
    regressor = g.random((55, vertices)) ** 6
    kintree = np.stack([np.array(PARENTS), np.arange(55)]).astype(np.uint32)
    barycentric = g.dirichlet((1, 1, 1), (79, 17))
    return {
        "v_template": g.normal(size=(vertices, 3)),
        "shapedirs": g.normal(size=(vertices, 3, directions)) * 0.02,
        "posedirs": g.normal(size=(vertices, 3, 486)) * 0.005,
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": kintree,
        "f": faces,
        "hands_componentsl": np.eye(45),
        "hands_componentsr": np.eye(45),
        "hands_meanl": g.normal(size=45) * 0.1,
        "hands_meanr": g.normal(size=45) * 0.1,
        "lmk_faces_idx": g.integers(0, 500, 51),
        "lmk_bary_coords": g.dirichlet((1, 1, 1), 51),
        "dynamic_lmk_faces_idx": g.integers(0, 500, (79, 17)),
        "dynamic_lmk_bary_coords": barycentric,
        "vertex_ids": g.integers(0, vertices, 21),
        # the official file holds this pickled dict; readers must not need it
        "joint2num": np.array({name: i for i, name in enumerate(JOINT_NAMES)}, dtype=object),
    }


def random_people(count: int, num_betas: int, num_expression: int, seed: int = 0, size: float = 0.5) -> BodyParams:
    """People with random rotations (radians ~ size) everywhere, float64."""
    g = torch.Generator().manual_seed(seed)

    def turn(*shape: int) -> torch.Tensor:
        return rotation_from_axis_angle(torch.randn(count, *shape, 3, generator=g, dtype=torch.float64) * size)

    return BodyParams(
        global_orient=turn(),
        body_pose=turn(21),
        jaw_pose=turn(),
        leye_pose=turn(),
        reye_pose=turn(),
        left_hand_pose=turn(15),
        right_hand_pose=turn(15),
        betas=torch.randn(count, num_betas, generator=g, dtype=torch.float64),
        expression=torch.randn(count, num_expression, generator=g, dtype=torch.float64),
        transl=torch.randn(count, 3, generator=g, dtype=torch.float64),
    )


def same_picture(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether uint8 pictures are the same but for rounding: a pixel in a thousand may show its neighbour's surface."""
    return a.shape == b.shape and float(((a.int() - b.int()).abs() > 2).float().mean()) < 1e-3


@pytest.fixture(autouse=True)
def threads_stay() -> Iterator[None]:
    """Code that sets torch's threads does so for its own test only."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def one_thread(threads_stay: None) -> None:
    """One thread of torch: sums are added in one order, so that the same steps give the same numbers bit for bit."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def smplx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model in the layout of SMPLX_NEUTRAL.npz, version 1.1 (300 + 100 directions)."""
    path = tmp_path_factory.mktemp("smplx") / "SMPLX_NEUTRAL.npz"
    np.savez(path, **smplx_arrays())
    return path


@pytest.fixture(scope="session")
def body() -> BodyModel:
    """The embedded body."""
    return BodyModel.load()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data, or a skip that says how to name it."""
    path = Path(os.environ.get("LIMNER_SHARED", Path(__file__).parents[2] / "shared"))
    if not path.exists():
        pytest.skip(f"no shared data at {path}: set LIMNER_SHARED")
    return path


@pytest.fixture(scope="session")
def parity(shared: Path) -> Path:
    """Numbers of the original ExPose network."""
    return shared / "parity"


@pytest.fixture(scope="session")
def maker(parity: Path) -> ModuleType:
    """The script that makes an official checkpoint by a rule."""
    spec = importlib.util.spec_from_file_location("make_checkpoint", parity / "make_checkpoint.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # the folder may be read-only
    spec.loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


@pytest.fixture(scope="session")
def untrained_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of part networks with random regressors on the real backbones: a stand-in for `--weights limner`."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for part in PARTS:
        spec = NetSpec(part, hidden=(32,))
        write_net(folder, spec, build_net(spec))
    return folder
