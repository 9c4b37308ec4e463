"""A face moves onto its landmarks, never away from them, and its derivatives are the true ones."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from limner.body.model import BodyModel
from limner.geometry.camera import Camera
from limner.geometry.rotation import rotation_from_axis_angle
from limner.pipeline.refine_face import LANDMARKS, FaceRefineOptions, problem_of, refine_face
from tests.conftest import random_people
from tests.optimise.steps import step_without_numbers

COUNT, HEADS = 4, 24
FREE = FaceRefineOptions(
    solver=replace(FaceRefineOptions().solver, steps=30),
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


def test_landmarks_are_the_body_models(faces):
    small, start, changed, camera = faces
    problem = problem_of(small, start, camera, marks(small, start, camera), torch.full((COUNT,), 300.0), FREE)
    unknown = 0.2 * torch.randn(COUNT, len(problem.stiffness), generator=torch.Generator().manual_seed(1))
    params = problem.people(unknown)
    true = small.keypoints144(small(params), params)[:, LANDMARKS] + unknown[:, None, -3:]
    assert (problem.forward(unknown).reprojected.points - true).abs().max() < 1e-5


def test_landmarks_of_a_body_with_pose_directions(smplx_file):
    model = BodyModel.load(smplx_file, dtype=torch.float64).keypoints_only()
    start = random_people(3, model.num_betas, model.num_expression)
    camera = Camera(torch.full((3,), 500.0).double(), torch.zeros(3, 2).double())
    problem = problem_of(model, start, camera, torch.zeros(3, 68, 2), torch.ones(3), FREE)
    unknown = 0.3 * torch.randn(3, len(problem.stiffness), generator=torch.Generator().manual_seed(1)).double()
    params = problem.people(unknown)
    true = model.keypoints144(model(params), params)[:, LANDMARKS] + unknown[:, None, -3:]
    assert (problem.forward(unknown).reprojected.points - true).abs().max() < 1e-9


def test_jacobian_holds_the_derivatives(faces):
    small, start, _, camera = faces
    problem = problem_of(small, start, camera, marks(small, start, camera), torch.full((COUNT,), 300.0), FREE)
    still = torch.zeros(COUNT, len(problem.stiffness))
    forward = problem.forward(still)
    ours = problem.jacobian(forward, problem.observed.linearised(forward.reprojected)[1], still[:, -3:])
    numeric = torch.autograd.functional.jacobian(lambda u: problem.forward(u).reprojected.residual, still)
    true = torch.stack([numeric[i, :, :, i].flatten(0, 1) for i in range(COUNT)])
    sizes = true.abs().amax((0, 1))
    exact = [0, 1, 2, 3, 4, 5, *range(6, 26), *range(50, 53)]
    assert ((ours - true).abs().amax((0, 1)) < 0.02 * sizes + 1e-3)[exact].all()
    # that joints move a little with the head's shape is left out
    apart, size = (x.unflatten(1, (-1, 2)).norm(dim=2).mean((0, 1)) for x in (ours - true, true))
    assert (apart < 0.5 * size + 0.2)[26:50].all()


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


def test_a_step_names_no_device_and_asks_no_number(faces):
    small, start, _, camera = faces
    problem = problem_of(
        deepcopy(small).to("meta"),
        start.to("meta"),
        camera.to("meta"),
        torch.zeros(COUNT, 68, 2, device="meta"),
        torch.ones(COUNT, device="meta"),
        FaceRefineOptions(),
    )
    still = torch.zeros(COUNT, len(problem.stiffness), device="meta")
    assert problem.people(step_without_numbers(problem, still)).jaw_pose.is_meta
