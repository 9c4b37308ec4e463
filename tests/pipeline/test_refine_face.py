"""A face moves onto its landmarks, never away from them, and its derivatives are the true ones."""

import pytest
import torch

from limner.geometry.camera import Camera
from limner.geometry.rotation import rotation_from_axis_angle
from limner.pipeline.refine_face import LANDMARKS, FaceRefineOptions, _Problem, _Unknown, refine_face

COUNT, HEADS = 4, 24
FREE = FaceRefineOptions(
    steps=30,
    head_stiffness=0.1,
    jaw_stiffness=0.1,
    expression_stiffness=0.05,
    shape_stiffness=0.05,
    robust_sigma=100.0,
    shift_stiffness=0.0,
    depth_stiffness=20.0,
)


@pytest.fixture(scope="module")
def faces(body):
    """People at random, half a metre of face crop; the same before something in their faces changed."""
    g = torch.Generator().manual_seed(0)
    small = body.keypoints_only()
    start = body.rest(COUNT).replace(
        global_orient=rotation_from_axis_angle(
            torch.tensor([torch.pi, 0.0, 0.0]) + 0.2 * torch.randn(COUNT, 3, generator=g)
        ),
        betas=torch.randn(COUNT, 16 + HEADS, generator=g),
        transl=torch.tensor([0.1, 0.5, 2.0]).expand(COUNT, 3),
    )
    changed = start.with_joint_pose("head", rotation_from_axis_angle(0.1 * torch.randn(COUNT, 3, generator=g)))
    changed = changed.replace(
        jaw_pose=rotation_from_axis_angle(torch.tensor([0.2, 0.0, 0.0]).expand(COUNT, 3)),
        expression=torch.randn(COUNT, 20, generator=g),
    )
    camera = Camera(torch.full((COUNT,), 2000.0), torch.full((COUNT, 2), 500.0))
    return small, start, changed, camera


def marks(model, params, camera):
    return camera.project(model.keypoints144(model(params), params)[:, LANDMARKS])


def test_slopes_are_the_derivatives(faces):
    small, start, _, camera = faces
    sizes = _Unknown(start.expression.shape[1], HEADS)
    problem = _Problem(small, start, camera, marks(small, start, camera), torch.full((COUNT,), 300.0), FREE, sizes)
    _, slopes = problem._points_and_slopes(start, torch.zeros(COUNT, 3))
    step = 1e-3
    for column in (0, 2, 3, 5, 6, 20, 25):
        unknown = torch.zeros(COUNT, slopes.shape[2])
        unknown[:, column] = step
        ahead, behind = (problem.moved(sign * unknown) for sign in (1, -1))
        a, b = (small.keypoints144(small(p), p)[:, LANDMARKS] for p in (ahead, behind))
        true = (a - b) / (2 * step)
        assert (slopes[:, :, column] - true).abs().max() < 0.02 * true.abs().max() + 2e-4, column
    for column in range(26, 50):  # that joints move a little with the head's shape is left out
        unknown = torch.zeros(COUNT, slopes.shape[2])
        unknown[:, column] = 1.0
        params = problem.moved(unknown)
        true = (small.keypoints144(small(params), params) - small.keypoints144(small(start), start))[:, LANDMARKS]
        assert (slopes[:, :, column] - true).norm(dim=-1).mean() < 0.5 * true.norm(dim=-1).mean() + 2e-4, column


def test_moves_faces_onto_their_landmarks(faces):
    small, start, changed, camera = faces
    wanted = marks(small, changed, camera)
    moved, shift = refine_face(
        small, start, camera, wanted, torch.full((COUNT,), 300.0), torch.ones(COUNT, dtype=torch.bool), FREE
    )
    before = (marks(small, start, camera) - wanted).norm(dim=-1).mean()
    after = (marks(small, moved.replace(transl=moved.transl + shift), camera) - wanted).norm(dim=-1).mean()
    assert before > 5 and after < 0.1 * before
    assert torch.equal(moved.transl, start.transl) and torch.equal(moved.betas[:, :16], start.betas[:, :16])


def test_faces_nobody_trusts_stay(faces):
    small, start, changed, camera = faces
    trusted = torch.tensor([True, False, True, False])
    moved, shift = refine_face(
        small, start, camera, marks(small, changed, camera), torch.full((COUNT,), 300.0), trusted
    )
    assert torch.equal(moved.expression[~trusted], start.expression[~trusted]) and not shift[~trusted].any()
    assert (moved.expression[trusted] != start.expression[trusted]).any()


def test_a_face_in_place_stays_in_place(faces):
    small, start, _, camera = faces
    moved, shift = refine_face(
        small, start, camera, marks(small, start, camera), torch.full((COUNT,), 300.0), torch.ones(COUNT).bool()
    )
    assert (moved.expression - start.expression).abs().max() < 1e-3 and shift.abs().max() < 1e-4
