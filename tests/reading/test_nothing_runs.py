"""Nothing that is pickled or programmed in a file runs: in every place that reads one, however it is hidden."""

import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limner.body.model import BodyModel
from limner.curate.store import CuratedSet
from limner.data.curated import read_curated
from limner.data.sources import frames, pickled
from limner.data.sources.curated_fits import read_curated_fits
from limner.data.sources.now import read_points
from limner.data.sources.threedpw import read_threedpw
from limner.errors import LimnerError
from limner.evaluate.prediction_files import people_of
from limner.evaluate.topology import HANDS_FILE, HEAD_FILE, J14_FILE, find_smplx_files
from limner.expose.checkpoint import read_checkpoint
from limner.expose.convert_params import convert_params
from limner.expose.demo_file import read_demo_params
from limner.expose.load import convert_checkpoint, load_network
from limner.fit.vposer import load_vposer
from limner.io.motion_file import read_params
from limner.synth.poses import read_pose_library
from limner.train.checkpoint import cosine_schedule, resume_state


class Harm:
    """Makes a folder when it is unpickled by a reader that runs what it finds."""

    def __init__(self, trap: Path):
        self.trap = trap

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trap),)


def as_pickle(file: Path, trap: Path) -> None:
    file.write_bytes(pickle.dumps({"pose": Harm(trap)}, protocol=2))


def as_state(file: Path, trap: Path) -> None:
    """By what __setstate__ of an allowed class would do."""
    file.write_bytes(
        b"ccopy_reg\n_reconstructor\n(cos\nmkdir\nc__builtin__\nobject\nNtR(S'" + str(trap).encode() + b"'\ntb."
    )


def as_module(file: Path, trap: Path) -> None:
    """A name below numpy whose import alone runs something."""
    file.write_bytes(b"cnumpy.f2py.__main__\ndtype\n(tR.")


def as_objects(file: Path, trap: Path) -> None:
    np.savez(file.with_suffix(".npz"), pose=np.array(Harm(trap), dtype=object))
    file.with_suffix(".npz").rename(file)


def as_object_array(file: Path, trap: Path) -> None:
    with file.open("wb") as stream:
        np.save(stream, np.array(Harm(trap), dtype=object))


def as_zip(file: Path, trap: Path) -> None:
    torch.save({"model": Harm(trap), "state_dict": Harm(trap), "trained": Harm(trap)}, file)


def as_row(file: Path, trap: Path) -> None:
    torch.save({"model": Harm(trap), "state_dict": Harm(trap)}, file, _use_new_zipfile_serialization=False)


class Program(torch.nn.Module):
    """A TorchScript program that makes a file when it is loaded; the name of the file is its state."""

    def __init__(self, trap: str):
        super().__init__()
        self.trap = trap
        self.kept = torch.zeros(4)

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.trap, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.trap = state[0]
        self.training = state[1]
        self.kept = torch.from_file(state[0], True, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Path]:
    """The program and what it would make; torch's own loader does make it."""
    folder = tmp_path_factory.mktemp("program")
    trap = folder / "trap"
    out = io.BytesIO()
    torch.jit.save(torch.jit.script(Program(str(trap))), out)
    torch.load(io.BytesIO(out.getvalue()), weights_only=False)
    assert trap.exists()  # else the tests below show nothing
    trap.unlink()
    return out.getvalue(), trap


def resume(file: Path) -> None:
    net = torch.nn.Linear(1, 1)
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    resume_state(file, net, optimiser, cosine_schedule(optimiser, 2))


def from_tar(file: Path) -> None:
    (file.parent / "shards").mkdir()
    (file.parent / "dataset.json").write_text('{"format": "limner-curated", "version": 1}')
    (file.parent / "0.json").write_text("{}")
    with tarfile.open(file.parent / "shards" / "train-0.tar", "w") as tar:
        tar.add(file.parent / "0.json", "0.json")
        tar.add(file, "0.npz")
    list(read_curated(file.parent, "train"))


def answers(file: Path) -> None:
    _ = [one.prediction for one in people_of(file)]


def threedpw(file: Path) -> None:
    (file.parent / "imageFiles").mkdir()
    inner = file.parent / "sequenceFiles" / "test"
    inner.mkdir(parents=True)
    list(read_threedpw(file.rename(inner / "a.pkl").parents[2]))


PICKLES: dict[str, Callable[[Path], object]] = {
    "SMPLX.pkl": BodyModel.load,
    "set.pkl": pickled.read_pickle,
    "table_withjv.pkl": frames.read_frame,
    "prediction.pkl": answers,
    "sequence.pkl": threedpw,
    HANDS_FILE: lambda file: find_smplx_files([file.parent]),
    J14_FILE: lambda file: find_smplx_files([file.parent]),
    "model.ckpt": read_checkpoint,
    "whole.ckpt": load_network,
    "convert.ckpt": lambda file: convert_checkpoint(file, file.with_name("out.safetensors")),
    "vposer.ckpt": load_vposer,
    "body_checkpoint.pt": resume,
}
ARCHIVES: dict[str, Callable[[Path], object]] = {
    "SMPLX.npz": BodyModel.load,
    "set.npz": pickled.read_npz,
    "params.npz": read_params,
    "a_params.npz": read_demo_params,
    "converted.npz": lambda file: convert_params(file, file.with_name("out.npz")),
    "prediction.npz": answers,
    "poses.npz": lambda file: read_pose_library(file, torch.device("cpu")),
    "0.npz": from_tar,
    "3dpw_test.npz": lambda file: list(read_threedpw(file.parent)),
    "train.npz": lambda file: read_curated_fits(file.parent, "train"),
}
ARRAYS: dict[str, Callable[[Path], object]] = {
    "set.npy": pickled.read_npy,
    "vertices.npy": answers,
    "points.npy": read_points,
    HEAD_FILE: lambda file: find_smplx_files([file.parent]),
}
CHECKPOINTS = {name: read for name, read in PICKLES.items() if name.endswith((".ckpt", ".pt"))}
CASES = [
    *[(name, read, write) for name, read in PICKLES.items() for write in (as_pickle, as_state, as_module)],
    *[(name, read, as_objects) for name, read in ARCHIVES.items()],
    *[(name, read, as_object_array) for name, read in ARRAYS.items()],
    *[(name, read, write) for name, read in CHECKPOINTS.items() for write in (as_zip, as_row)],
]


@pytest.mark.parametrize(("name", "read", "write"), CASES, ids=[f"{name}-{write.__name__}" for name, _, write in CASES])
def test_what_is_pickled_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, read: Callable[..., object], write: Callable[..., None]
):
    import sys

    trap, before = tmp_path / "trap", set(sys.modules)
    write(tmp_path / name, trap)
    with pytest.raises(LimnerError):
        read(tmp_path / name)
    assert not trap.exists() and "numpy.f2py.__main__" not in set(sys.modules) - before


@pytest.mark.parametrize("renamed", [False, True])
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_programs_are_refused(tmp_path: Path, program: tuple[bytes, Path], name: str, renamed: bool):
    content, trap = program
    if renamed:  # the pickle under its name in files of numbers, beside the program
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(out, "w") as after:
            for entry in before.namelist():
                after.writestr("x/" + entry.split("/", 1)[1], before.read(entry))
        content = out.getvalue()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LimnerError, match="TorchScript"):
        CHECKPOINTS[name](tmp_path / name)
    assert not trap.exists()


def test_a_set_is_no_pickle(tmp_path: Path):
    as_pickle(tmp_path / "set.sqlite", tmp_path / "trap")
    with pytest.raises(LimnerError, match="damaged"):
        CuratedSet.open(tmp_path)
    assert not (tmp_path / "trap").exists()


def test_no_other_place_reads_pickles():
    """Who adds a reader adds it to the tests above."""
    source = Path(__file__).parents[2] / "src" / "limner"
    asked = (
        "pickle.load",
        "torch.load(",
        "np.load(",
        "allow_pickle=True",
        "pickle.Unpickler",
        "jit.load",
        "eval(",
        "exec(",
    )
    found = {
        f"{file.relative_to(source)}: {word}"
        for file in source.rglob("*.py")
        for line in file.read_text().splitlines()
        for word in asked
        if word in line.replace(".eval()", "") and not line.strip().startswith(("#", '"'))
    }
    own_workers = "scale/processes.py: pickle.load"  # what limner's processes send each other through pipes, no file
    assert found == {"reading/pickle_file.py: pickle.Unpickler", "io/torch_file.py: pickle.Unpickler", own_workers}
