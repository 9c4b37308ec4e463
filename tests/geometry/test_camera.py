"""Cameras agree with each other."""

import torch

from limner.geometry.box import Squares
from limner.geometry.camera import (
    WeakCamera,
    photo_camera,
    translation_from_points,
    translation_from_weak,
    weak_from_translation,
)


def test_projection_is_K_times_point():
    camera = photo_camera(640, 480, 500.0, 2)
    points = torch.rand(2, 7, 3) + torch.tensor([0.0, 0.0, 2.0])
    homogeneous = points @ camera.K.mT
    assert torch.allclose(camera.project(points), homogeneous[..., :2] / homogeneous[..., 2:])


def test_weak_and_full_camera_agree_in_the_roots_plane():
    weak = WeakCamera(torch.tensor([0.9]), torch.tensor([[0.1, -0.2]]))
    squares = Squares(torch.tensor([[300.0, 200.0]]), torch.tensor([240.0]), torch.zeros(1))
    camera = photo_camera(640, 480, None, 1)
    transl = translation_from_weak(weak, squares, camera)
    flat = torch.randn(1, 6, 3) * torch.tensor([1.0, 1.0, 0.0])
    in_photo = camera.project(flat + transl[:, None])
    assert torch.allclose(in_photo, squares.photo_from_unit(weak.project(flat)), atol=1e-2)
    back = weak_from_translation(transl, squares, camera)
    assert torch.allclose(back.scale, weak.scale) and torch.allclose(back.translation, weak.translation, atol=1e-6)


def test_points_are_moved_to_where_a_camera_saw_them():
    camera = photo_camera(640, 480, 700.0, 3)
    points = torch.randn(3, 20, 3) * 0.4
    there = torch.tensor([[0.1, -0.5, 4.0], [2.0, 0.3, 9.0], [0.0, 0.0, 2.5]])
    points_px = camera.project(points + there[:, None])
    fallback = torch.tensor([[0.0, 0.0, 5.0]]).repeat(3, 1)
    assert torch.allclose(translation_from_points(points, points_px, camera, fallback), there, atol=1e-3)
    mirrored = 2 * camera.center_px[:, None] - points_px  # nothing but a camera from behind sees that
    assert torch.equal(translation_from_points(points, mirrored, camera, fallback), fallback)


def test_default_focal_length_is_the_diagonal():
    assert photo_camera(300, 400, None, 1).focal_px.tolist() == [500.0]
