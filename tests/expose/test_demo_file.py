"""The demo's file: its keys, the way back, and the original's own files, which lack the camera."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.expose.demo_file import (
    DemoFileError,
    DemoPerson,
    read_demo_params,
    write_camera_ply,
    write_demo_params,
)
from limner.geometry.box import Squares
from limner.geometry.camera import Camera, WeakCamera
from limner.geometry.rotation import rotation_from_axis_angle

SHAPES = {
    "global_orient": (1, 3, 3), "body_pose": (21, 3, 3), "left_hand_pose": (15, 3, 3), "right_hand_pose": (15, 3, 3),
    "jaw_pose": (1, 3, 3), "betas": (10,), "expression": (10,), "vertices": (30, 3), "joints": (144, 3),
    "proj_joints": (144, 2), "transl": (3,), "center": (2,), "full_pose": (55, 3, 3), "v_shaped": (30, 3),
    "shift_x": (), "shift_y": (), "focal_length_in_mm": (), "focal_length_in_px": (), "sensor_width": (), "fname": (),
}  # fmt: skip
ADDED = {"camera_scale", "camera_translation", "crop_center_px", "crop_size_px", "box_px", "joints_px", "body_model"}


@pytest.fixture
def person() -> DemoPerson:
    g = torch.Generator().manual_seed(0)
    joints = torch.randn(144, 3, generator=g)
    weak = WeakCamera(torch.tensor([0.8]), torch.tensor([[0.1, 0.3]]))
    crop = Squares(torch.tensor([[300.5, 210.25]]), torch.tensor([400.0]), torch.zeros(1))
    return DemoPerson(
        name="tea.png_003",
        rotations=rotation_from_axis_angle(torch.randn(55, 3, generator=g)),
        betas=torch.randn(10, generator=g),
        expression=torch.randn(10, generator=g),
        transl=torch.tensor([0.1, 0.3, 2 * 5000 / (0.8 * 400)]),
        vertices=torch.randn(30, 3, generator=g),
        v_shaped=torch.randn(30, 3, generator=g),
        joints=joints,
        proj_joints=weak.project(joints[None])[0],
        camera=Camera(torch.tensor([5000.0]), crop.center_px),
        weak=weak,
        crop=crop,
        photo_size_px=(640, 480),
        box_px=torch.tensor([200.0, 100.0, 400.0, 320.0]),
    )


def test_keys_and_shapes_are_the_demos(person, tmp_path):
    write_demo_params(tmp_path / "a_params.npz", person)
    with np.load(tmp_path / "a_params.npz") as file:  # nothing pickled
        found = {key: file[key] for key in file.files}
    assert {key: found[key].shape for key in SHAPES} == SHAPES
    assert found.keys() - SHAPES.keys() == ADDED
    assert str(found["fname"]) == "tea.png_003" and found["transl"].dtype == np.float64
    assert found["vertices"].dtype == np.float32
    assert found["focal_length_in_px"] == 5000 and found["sensor_width"] == 36
    assert found["focal_length_in_mm"] == pytest.approx(5000 / 640 * 36)
    assert found["shift_x"] == pytest.approx(0.5 - 300.5 / 640)
    assert found["shift_y"] == pytest.approx((210.25 - 240) / 640)
    # the pinhole and the weak camera see the pelvis's plane alike
    weak_px = found["crop_center_px"] + found["proj_joints"] * found["crop_size_px"] / 2
    assert found["joints_px"] == pytest.approx(weak_px, abs=1e-3)
    flat = 5000 * (found["joints"] + found["transl"])[:, :2] / found["transl"][2] + found["center"]
    assert flat == pytest.approx(weak_px, abs=1e-2)


def same(a: DemoPerson, b: DemoPerson, tolerance: float) -> bool:
    tensors = [
        (a.rotations, b.rotations), (a.vertices, b.vertices), (a.joints, b.joints), (a.transl, b.transl.float()),
        (a.betas, b.betas), (a.expression, b.expression), (a.proj_joints, b.proj_joints),
        (a.camera.focal_px, b.camera.focal_px), (a.camera.center_px, b.camera.center_px),
        (a.weak.scale, b.weak.scale), (a.weak.translation, b.weak.translation),
        (a.crop.center_px, b.crop.center_px), (a.crop.size_px, b.crop.size_px),
    ]  # fmt: skip
    close = all(torch.allclose(x, y, rtol=tolerance, atol=tolerance) for x, y in tensors)
    return close and a.name == b.name and a.photo_size_px == b.photo_size_px


def test_there_and_back(person, tmp_path):
    write_demo_params(tmp_path / "a_params.npz", person)
    again = read_demo_params(tmp_path / "a_params.npz")
    assert same(person, again, 1e-6)
    assert torch.equal(again.box_px, person.box_px) and torch.equal(again.v_shaped, person.v_shaped)


def test_numbers_of_limners_body_are_not_told_as_smplxs(person, tmp_path):
    own = dataclasses.replace(person, body_model="limner", betas=torch.randn(40), expression=torch.randn(20))
    write_demo_params(tmp_path / "a_params.npz", own)
    with np.load(tmp_path / "a_params.npz") as file:
        arrays = {key: file[key] for key in file.files}
    assert {name: (arrays[name].shape, arrays[name].any()) for name in ("betas", "expression")} == {
        "betas": ((10,), False), "expression": ((10,), False),
    }  # fmt: skip
    again = read_demo_params(tmp_path / "a_params.npz")
    assert same(own, again, 1e-6) and again.body_model == "limner"
    # older files of limner: its numbers under the demo's names, and only the number of vertices tells
    older = {key: value for key, value in arrays.items() if not key.startswith(("limner_", "body_model"))}
    np.savez(tmp_path / "b_params.npz", **older | {"betas": own.betas.numpy(), "expression": own.expression.numpy()})
    assert same(own, read_demo_params(tmp_path / "b_params.npz"), 1e-6)
    assert read_demo_params(tmp_path / "b_params.npz").body_model == "limner"


def test_the_originals_own_file_lacks_the_camera_which_follows(person, tmp_path):
    write_demo_params(tmp_path / "a_params.npz", person)
    with np.load(tmp_path / "a_params.npz") as file:
        arrays = {key: file[key] for key in file.files if key not in ADDED}
    arrays |= {"full_pose": np.array(None), "v_shaped": np.array(None)}  # pickled, as in the demo's files
    np.savez(tmp_path / "b_params.npz", **arrays)
    again = read_demo_params(tmp_path / "b_params.npz")
    expected = person.rotations.clone()
    expected[23:25] = torch.eye(3)  # the demo keeps no eyes
    assert torch.allclose(again.rotations, expected, atol=1e-6)
    assert torch.allclose(again.weak.scale, person.weak.scale, atol=1e-5)
    assert torch.allclose(again.crop.size_px, person.crop.size_px, atol=1e-2)
    assert torch.allclose(again.crop.center_px, person.crop.center_px)
    assert again.box_px is None and again.v_shaped is None and again.photo_size_px == (640, 480)


def test_foreign_and_damaged_files(person, tmp_path: Path):
    path = tmp_path / "a_params.npz"
    with pytest.raises(DemoFileError, match="does not exist"):
        read_demo_params(path)
    np.savez(path, poses=np.zeros(3))
    with pytest.raises(DemoFileError, match=r"lacks betas, body_pose, .*limner.io.motion_file"):
        read_demo_params(path)
    write_demo_params(path, person)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DemoFileError, match="damaged"):
        read_demo_params(path)


def test_meshes_stay_in_camera_axes(tmp_path):
    import trimesh

    vertices = torch.tensor([[0.0, 0, 3], [1, 0, 3], [0, -1, 3]])
    write_camera_ply(tmp_path / "a.ply", vertices, torch.tensor([[0, 1, 2]]))
    assert trimesh.load(tmp_path / "a.ply", process=False).vertices.tolist() == vertices.tolist()
