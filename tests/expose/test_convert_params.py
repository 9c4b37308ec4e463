"""The demo's file to limner's and back: matrices to axis-angle, crop camera to photo camera."""

from pathlib import Path

import numpy as np
import pytest
import torch

from limner.body.model import BodyModel
from limner.errors import BodyModelError
from limner.expose.convert_params import (
    convert_params,
    demo_from_motion,
    motion_from_demo,
)
from limner.expose.demo_file import DemoFileError, DemoPerson, read_demo_params, write_demo_params
from limner.expose.estimator import OfficialEstimator
from limner.expose.results import demo_person
from limner.geometry.camera import Camera, weak_from_translation
from limner.io.image import Photo
from limner.io.motion_file import Motion, MotionFileError, read_params, write_params
from limner.pipeline.convert_body import BodyConverter
from limner.pipeline.motion_bodies import converted_motion, params_of_motion
from tests.expose.test_estimator import BOXES, Standin
from tests.fit import made
from tests.pipeline.bodies import smplx_like


@pytest.fixture(scope="module")
def body(smplx_file: Path) -> BodyModel:
    return BodyModel.load(smplx_file, 10, 10)


@pytest.fixture(scope="module")
def person(body: BodyModel) -> DemoPerson:
    photo = Photo(torch.zeros(3, 480, 640, dtype=torch.uint8), None, Path("tea.jpg"))
    people = OfficialEstimator(Standin(body))(photo, BOXES)
    return demo_person(people[:1], photo, body, "tea")


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-4) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() < tolerance)


def test_matrices_to_axis_angle_and_back(person, body, smplx_file, tmp_path):
    demo, own, again = tmp_path / "tea_params.npz", tmp_path / "params.npz", tmp_path / "again_params.npz"
    write_demo_params(demo, person)
    assert "axis-angle" in convert_params(demo, own)
    with np.load(own) as archive:
        assert archive["body_pose"].shape == (1, 63) and archive["poses"].shape == (1, 165)
    motion = read_params(own)
    assert close(motion.rotations[0], person.rotations, 1e-5)
    with pytest.raises(BodyModelError, match=r"'smplx', got 'limner'\. Give your SMPLX_NEUTRAL.npz"):
        convert_params(own, again)
    assert "the official demo's format" in convert_params(own, again, smplx_file)
    back = read_demo_params(again)
    for name in ("rotations", "vertices", "joints", "proj_joints", "betas", "expression", "box_px"):
        assert close(getattr(back, name), getattr(person, name)), name
    assert close(back.transl.float(), person.transl.float()) and close(back.weak.scale, person.weak.scale, 1e-6)
    assert back.name == "again" and back.photo_size_px == (640, 480)


def test_people_of_limners_body_are_neutral_or_converted(smplx_person, limners, tmp_path):
    """Never limner's numbers under SMPL-X's names: zeros with a word, or the numbers that the user's file makes."""
    own, demo, back = tmp_path / "own.npz", tmp_path / "own_params.npz", tmp_path / "back.npz"
    write_params(own, limners)
    assert "10 zeros" in convert_params(own, demo) and read_demo_params(demo).body_model == "limner"
    with np.load(demo) as archive:
        assert archive["betas"].shape == archive["expression"].shape == (10,) and not archive["betas"].any()
        assert close(torch.from_numpy(archive["limner_betas"]), limners.betas)
    assert "10 zeros" in convert_params(demo, back)
    again = read_params(back)
    assert again.body_model == "limner" and close(again.betas, limners.betas)
    assert close(again.rotations, limners.rotations, 1e-5) and close(again.expression, limners.expression)

    model = BodyModel.load(smplx_person)
    converted = converted_motion(limners, BodyConverter.to(model))
    assert f"converted to {smplx_person.name}" in convert_params(own, demo, smplx_person)
    person = read_demo_params(demo)
    assert person.body_model == "smplx" and close(person.betas, converted.betas) and person.betas.any()
    assert "converted to" in convert_params(write_own(limners, tmp_path), back, smplx_person)
    assert read_params(back).body_model == "smplx" and close(read_params(back).betas, converted.betas, 1e-3)
    params = params_of_motion(limners)
    before, after = BodyModel.load().joints(params)[0, :22], model.joints(params_of_motion(converted))[0, :22]
    assert float((before - after).norm(dim=-1).max()) < 0.02


@pytest.fixture(scope="module")
def smplx_person(tmp_path_factory) -> Path:
    """A file with limner's mesh in SMPL-X's layout."""
    path = tmp_path_factory.mktemp("bodies") / "SMPLX_NEUTRAL.npz"
    np.savez(path, **smplx_like(16, 10))
    return path


@pytest.fixture(scope="module")
def limners() -> Motion:
    """Somebody in limner's body before a photo's camera."""
    model = BodyModel.load()
    params, camera = made.people(model, 1)
    extras = {
        "camera_K": camera.K, "photo_size_px": torch.tensor([800.0, 1000.0]),
        "box_px": torch.tensor([[200.0, 100.0, 600.0, 900.0]]),
    }  # fmt: skip
    pelvis = model.rest_joints(params)[0, 0]
    return Motion(
        params.full_pose(), params.transl, params.betas[0], params.expression, pelvis, "limner", extras=extras
    )


def write_own(motion: Motion, folder: Path) -> Path:
    """The person as limner's body in the demo's format."""
    person = demo_from_motion(motion, BodyModel.load(), "tea")
    write_demo_params(folder / "limners_params.npz", person)
    return folder / "limners_params.npz"


def test_crop_camera_to_photo_camera_and_back(person):
    motion = motion_from_demo(person, focal_px=700.0)
    matrix = motion.extras["camera_K"]
    assert matrix[0].tolist() == [[700, 0, 320], [0, 700, 240], [0, 0, 1]]
    camera = Camera(matrix[:, 0, 0], matrix[:, :2, 2])
    pelvis_plane = torch.tensor([[[0.3, -0.2, 0.0], [-0.1, 0.4, 0.0]]])
    in_photo = camera.project(pelvis_plane + motion.transl[:, None])
    assert close(in_photo, person.crop.photo_from_unit(person.weak.project(pelvis_plane)), 0.01)
    weak = weak_from_translation(motion.transl, person.crop, camera)
    assert close(weak.scale, person.weak.scale) and close(weak.translation, person.weak.translation)


def test_what_cannot_be_converted(person, body, tmp_path):
    motion = motion_from_demo(person)
    with pytest.raises(MotionFileError, match="no camera or no person box"):
        demo_from_motion(type(motion)(**{**vars(motion), "extras": {}}), body, "tea")
    for size in (torch.tensor([0.0, 480.0]), torch.tensor([640.0, torch.nan])):
        with pytest.raises(MotionFileError, match="expected positive numbers"):
            odd = {**vars(motion), "extras": motion.extras | {"photo_size_px": size}}
            demo_from_motion(type(motion)(**odd), body, "tea")
    (tmp_path / "text.npz").write_text("no archive")
    for name in ("text.npz", "none.npz"):
        with pytest.raises(DemoFileError, match=r"damaged|does not exist"):
            convert_params(tmp_path / name, tmp_path / "out.npz")
