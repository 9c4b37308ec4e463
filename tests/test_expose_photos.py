"""The official demo's files of many photos: numbers that run through all of them, also when a run goes on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.body.model import BodyModel
from limner.errors import OutputError, WeightsError
from limner.expose.demo_file import read_demo_params
from limner.expose.estimator import OfficialEstimator
from limner.expose_photos import ExposeRecipe, expose_photos
from limner.pipeline import results
from limner.scale.photos import How
from tests.expose.test_estimator import Standin
from tests.pipeline.bodies import smplx_like

PHOTO = Path(results.__file__).parents[1] / "assets" / "photos" / "eileen_collins.jpg"


def test_limners_people_in_the_demos_format(tmp_path: Path):
    """Pinhole of the photo, joints and mesh without translation: together they give the projected joints."""
    out = tmp_path / "out"
    box = (90.0, 10.0, 420.0, 512.0, 100.0, 20.0, 400.0, 500.0)
    assert expose_photos([PHOTO], out, "limner", formats=("expose",), box=box) == 0
    names = [f"eileen_collins.jpg_{i:03d}" for i in (0, 1)]
    assert {path.name for path in out.iterdir()} == set(names)
    for name in names:
        files = {path.name for path in (out / name).iterdir()}
        assert files == {f"{name}_params.npz", f"{name}.ply", "hd_imgs.png", "hd_overlay.png"}
        person = read_demo_params(out / name / f"{name}_params.npz")
        assert person.name == name and person.photo_size_px == (512, 512)
        seen = person.camera.project((person.joints + person.transl.float())[None])
        assert (seen - person.crop.photo_from_unit(person.proj_joints[None])).abs().max() < 0.01
    stale = out / names[0] / "mine.txt"
    stale.touch()
    assert expose_photos([PHOTO], out, "limner", formats=("expose",), box=box[:4]) == 1
    assert stale.exists()


def test_numbers_run_through_all_photos_of_a_run_that_goes_on(tmp_path: Path, monkeypatch):
    smplx_file = tmp_path / "SMPLX_NEUTRAL.npz"
    np.savez(smplx_file, **smplx_like(10, 10))
    network = Standin(BodyModel.load(smplx_file, 10, 10))
    monkeypatch.setattr(ExposeRecipe, "load", lambda _: OfficialEstimator(network))
    for name in ("a.png", "b.png"):
        Image.new("RGB", (64, 48)).save(tmp_path / name)
    both = {"formats": ("expose", "limner"), "box": (4.0, 4.0, 40.0, 44.0), "body_model": smplx_file}
    out = tmp_path / "out"
    assert expose_photos([tmp_path / "a.png", tmp_path / "b.png"], out, "model.ckpt", **both) == 0
    folders = {"a", "b", "a.png_000", "b.png_001"}
    assert {path.name for path in out.iterdir()} == folders
    times = {name: (out / name).stat().st_mtime_ns for name in folders}
    (out / "b.png_001" / "hd_imgs.png").unlink()
    (out / "b.png_001").rename(tmp_path / "gone")
    how = How(resume=True)
    assert expose_photos([tmp_path / "a.png", tmp_path / "b.png"], out, "model.ckpt", **both, how=how) == 0
    kept = {name for name in folders if (out / name).stat().st_mtime_ns == times[name]}
    assert kept == {"a", "a.png_000"} and (out / "b.png_001" / "hd_imgs.png").exists()


def test_what_does_not_go_together_is_refused(tmp_path: Path):
    with pytest.raises(OutputError, match="--resume needs limner's own results"):
        expose_photos([PHOTO], tmp_path, "model.ckpt", formats=("expose",), how=How(resume=True))
    with pytest.raises(WeightsError, match="are for official weights"):
        expose_photos([PHOTO], tmp_path, "limner", mode="clean")
    with pytest.raises(WeightsError, match="no checkpoint at"):
        expose_photos([PHOTO], tmp_path, str(tmp_path / "model.ckpt"))
