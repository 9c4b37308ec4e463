"""A user's SMPL-X file with limner's networks: every layout, from the command line and Python, estimate and fit."""

import json
import pickle
import sys
import types

import numpy as np
import pytest
import torch

from limner import batch, cli, estimator, fit_photos
from limner.body.model import BodyModel
from limner.curate import work
from limner.curate.work import FitWorker, Settings
from limner.estimator import Estimator
from limner.fit.fitter import FitOptions
from limner.io.image import read_photo
from limner.io.keypoint_file import read_keypoints
from limner.io.motion_file import read_params
from limner.networks.weights import weights_folder
from limner.pipeline.results import save_results
from tests.pipeline.bodies import in_layout, other_make, smplx_like
from tests.test_fit_photos import narrow, saved

PHOTO = weights_folder().parent / "photos" / "eileen_collins.jpg"
LAYOUTS = {"v1.1": 16, "v1.0": 10, "26_directions": 16, "no_hands": 10, "chumpy.pkl": 16}
"""Files that people have, and how many betas limner uses of them."""


class Ch:
    """Stands for chumpy's array in a pickle."""

    def __init__(self, x):
        self.x = x


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file in each layout: limner's mesh, and one of another make."""
    folder, other = tmp_path_factory.mktemp("bodies"), other_make()
    wide = np.random.default_rng(0).normal(size=(len(other["v_template"]), 3, 486)) * 1e-4
    layouts = {
        "v1.1": in_layout(other, 300, 100),
        "v1.0": smplx_like(10, 10),
        "26_directions": smplx_like(16, 10),
        "no_hands": {k: v for k, v in smplx_like(10, 10).items() if not k.startswith("hands_")},
    }
    for name, arrays in layouts.items():
        np.savez(folder / f"{name}.npz", **arrays)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("chumpy", "chumpy.ch"):
            patch.setitem(sys.modules, name, types.ModuleType(name))
        patch.setattr(Ch, "__module__", "chumpy.ch")
        sys.modules["chumpy.ch"].Ch = Ch
        content = other | {"posedirs": wide, "shapedirs": Ch(other["shapedirs"])}
        (folder / "chumpy.pkl").write_bytes(pickle.dumps(content, protocol=2))
    return {name: folder / (name if name.endswith(".pkl") else f"{name}.npz") for name in LAYOUTS}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """limner's own estimate of the photo and the folder of its results."""
    found, photo = Estimator.load(), read_photo(PHOTO)
    people = found(photo)
    out = tmp_path_factory.mktemp("own")
    save_results(people, photo, found.body_model, out / PHOTO.stem)
    return types.SimpleNamespace(estimator=found, people=people, out=out, folder=out / PHOTO.stem)


@pytest.fixture(autouse=True)
def loaded(own, monkeypatch):
    """Networks are loaded once."""
    parts = own.estimator
    networks = parts.networks
    monkeypatch.setattr(estimator, "load_networks", lambda weights, engine="onnx": networks)
    monkeypatch.setattr(estimator.PersonDetector, "load", lambda *args: parts.detector)


def share_of_box(people, own):
    """How far keypoints lie from limner's own in the photo, as shares of the box's longer side."""
    box = own.people.boxes[0]
    return (people.keypoints_px - own.people.keypoints_px).norm(dim=-1)[0] / (box[2:] - box[:2]).max()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_by_the_command_line(layout, files, own, tmp_path, monkeypatch, capsys):
    written = []
    monkeypatch.setattr(batch, "save_results", lambda *args: written.append(args[0]) or saved(*args[:4]))
    monkeypatch.setattr(sys, "argv", ["limner", "estimate", str(PHOTO), "--out", str(tmp_path), "--body-model",
                                      str(files[layout])])  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"converted to {files[layout].name} ({LAYOUTS[layout]} betas, 10 expression" in said and "left over" in said
    (people,) = written
    share = share_of_box(people, own)
    assert float(share.mean()) < 0.004 and float(share.quantile(0.95)) < 0.01
    motion = read_params(tmp_path / PHOTO.stem / "person_0" / "params.npz")
    assert motion.body_model == "smplx" and motion.betas.shape == (LAYOUTS[layout],)
    assert motion.expression.shape == (1, 10) and float(motion.betas.abs().max()) < 4
    with np.load(tmp_path / PHOTO.stem / "person_0" / "params.npz") as arrays:
        assert np.array_equal(arrays["betas"], motion.betas.numpy()) and arrays["betas"].any()


def test_python_and_whole_results(files, own, tmp_path):
    ours = Estimator.load(body_model=files["v1.1"])
    photo = read_photo(PHOTO)
    people = ours(photo)
    model = ours.body_model
    assert people.vertices.shape[1] == len(model.v_template) != own.people.vertices.shape[1]
    assert torch.allclose(model(people.params).vertices, people.vertices, atol=1e-5)
    assert torch.allclose(people.camera.project(people.keypoints), people.keypoints_px, atol=1e-2)
    # the surface stands where limner's stands: all of the mesh lies near all of the other's, both ways
    between = torch.cdist(people.vertices[0, ::7], own.people.vertices[0, ::3])
    assert float(between.amin(1).mean()) < 0.01
    folder = save_results(people, photo, model, tmp_path / "photo")
    assert len(read_keypoints(folder / "keypoints.json")[PHOTO.stem].people) == 1
    grey = torch.full((3, 240, 320), 128, dtype=torch.uint8)
    assert ours(grey).params.betas.shape == (0, 16)


def test_limners_own_file_elsewhere_is_limners_body(own, tmp_path):
    copy = tmp_path / "copy.npz"
    copy.write_bytes(own.estimator.body_model.assets.path.read_bytes())
    found = Estimator.load(body_model=copy)
    assert found.converter is None and found.body_model.num_betas == 40


def test_results_of_limners_body_are_neutral_to_smplx(own):
    with np.load(own.folder / "person_0" / "params.npz") as arrays:
        assert arrays["betas"].shape == (10,) and not arrays["betas"].any() and not arrays["expressions"].any()
        assert np.array_equal(arrays["limner_betas"], own.people.params.betas[0])
        assert np.array_equal(arrays["limner_expression"], own.people.params.expression)
    motion = read_params(own.folder / "person_0" / "params.npz")
    assert torch.equal(motion.betas, own.people.params.betas[0])


@pytest.fixture
def quick(monkeypatch):
    narrow(monkeypatch, FitOptions(views=2, extra=0, kept=1, finalists=1, try_swaps=False))
    monkeypatch.setattr(fit_photos, "save_results", saved)


@pytest.mark.parametrize("start", ["estimate", "folder"])
def test_fits_start_from_limners_estimate(start, files, own, quick, tmp_path, capsys):
    where = {"estimate": start, "folder": str(own.out)}[start]
    code = cli.fit((PHOTO,), own.folder / "keypoints.json", tmp_path, start=where, body_model=files["26_directions"])
    assert code == 0
    assert "converted to 26_directions.npz" in " ".join(capsys.readouterr().out.split())
    (person,) = json.loads((tmp_path / "fits.json").read_text())["photos"][PHOTO.stem]["people"]
    assert person["verdict"] == "fitted" and person["scores"]["reprojection"] < 0.02
    motion = read_params(tmp_path / PHOTO.stem / "person_0" / "params.npz")
    assert motion.body_model == "smplx" and motion.betas.shape == (16,)


def test_a_start_is_the_converted_person(files, own):
    motion = read_params(own.folder / "person_0" / "params.npz")
    bodies = fit_photos.StartBodies(BodyModel.load(files["26_directions"]))
    start = bodies(motion, 0)
    expected = bodies.converter(own.people.params, own.people.camera)
    assert torch.allclose(start.betas, expected.betas, atol=1e-4)
    assert torch.allclose(start.transl, expected.transl, atol=1e-3) and len(bodies.notes) == 1


def test_shape_of_smplx_means_nothing_to_limners_body(files, own, tmp_path, body):
    ours = Estimator.load(body_model=files["26_directions"])
    people = ours(read_photo(PHOTO))
    saved(people, read_photo(PHOTO), ours.body_model, tmp_path / PHOTO.stem)
    bodies = fit_photos.StartBodies(body)
    start = bodies(read_params(tmp_path / PHOTO.stem / "person_0" / "params.npz"), 0)
    assert start.betas.shape == (1, 40) and not start.betas.any() and "mean shape" in bodies.notes[0]
    assert torch.allclose(start.body_pose, people.params.body_pose, atol=1e-4)


def test_curating_with_the_users_body(files, own, monkeypatch):
    narrow(monkeypatch, FitOptions(views=2, extra=0, kept=1, finalists=1, try_swaps=False))
    monkeypatch.setattr(work, "Fitter", fit_photos.Fitter)
    worker = FitWorker(Settings(body_model=files["26_directions"]))
    seen = worker.observe(read_photo(PHOTO))
    assert seen.estimate.betas.shape == (1, 16) and seen.estimate.expression.shape == (1, 10)
    judged = worker.fit(seen)
    assert judged.verdict == ("fitted",) and judged.params.betas.shape == (1, 16)
