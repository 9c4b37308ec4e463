"""Refinement: finds the body again, never gets worse, and its Jacobian is the true one."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from limner.body.skeleton import BODY_JOINTS
from limner.geometry.camera import Camera, photo_camera
from limner.geometry.rotation import rotation_from_axis_angle, rotation_to_axis_angle
from limner.pipeline.refine import RefineOptions, Targets, problem_of, refine
from tests.optimise.steps import step_without_numbers

COUNT = len(BODY_JOINTS)
SOFT = RefineOptions(
    limb_stiffness=2.0,
    trunk_stiffness=6.0,
    orient_stiffness=2.0,
    wrist_stiffness=6.0,
    head_stiffness=5.0,
    betas_stiffness=1.5,
)
"""A start that is hardly trusted: whether the solver arrives, not how stiff limner makes it."""


@pytest.fixture(scope="module")
def scene(body):
    """True people, a wrong start, and where their joints are seen."""
    g = torch.Generator().manual_seed(0)
    small = body.keypoints_only(contour=False)
    pose = rotation_from_axis_angle(torch.randn(4, 21, 3, generator=g) * 0.25)
    true = body.rest(4).replace(
        body_pose=pose, transl=torch.tensor([[0.1, 0.0, 3.5]]).repeat(4, 1), betas=torch.randn(4, 16, generator=g)
    )
    camera = photo_camera(640, 480, 700.0, 4)
    joints = small.joints(true)[:, :COUNT]
    targets = Targets(
        joint=torch.arange(COUNT),
        offset=torch.zeros(4, COUNT, 3),
        point_px=camera.project(joints),
        weight=torch.ones(4, COUNT),
        sigma_px=torch.full((4, COUNT), 3.0),
    )
    noise = rotation_from_axis_angle(torch.randn(4, 21, 3, generator=g) * 0.2)
    start = true.replace(
        body_pose=pose @ noise, betas=torch.zeros(4, 16), transl=true.transl + torch.tensor([0.1, -0.05, 0.4])
    )
    return small, true, start, camera, targets


def pixel_error(model, params, camera, targets):
    return (camera.project(model.joints(params)[:, :COUNT]) - targets.point_px).norm(dim=-1).mean(-1)


def test_moves_the_body_onto_its_points(scene):
    model, true, start, camera, targets = scene
    result = refine(model, start, camera, targets, SOFT)
    before, after = (pixel_error(model, params, camera, targets) for params in (start, result))
    assert (before > 10).all() and (after < before / 5).all() and after.mean() < 2.5
    spread = (model.joints(result) - model.joints(true))[:, :COUNT].norm(dim=-1).mean()
    assert spread < (model.joints(start) - model.joints(true))[:, :COUNT].norm(dim=-1).mean()


def test_ignored_points_and_nan_free_without_any(scene):
    model, _, start, camera, targets = scene
    wild = targets.point_px.clone()
    wild[:, 5] += 400
    ignored = Targets(targets.joint, targets.offset, wild, targets.weight.clone(), targets.sigma_px)
    ignored.weight[:, 5] = 0
    kept = [i for i in range(COUNT) if i != 5]
    result = refine(model, start, camera, ignored, SOFT)
    error = (camera.project(model.joints(result)[:, :COUNT]) - targets.point_px).norm(dim=-1)[:, kept].mean()
    assert error < 4
    nothing = Targets(targets.joint, targets.offset, wild, torch.zeros_like(ignored.weight), targets.sigma_px)
    unmoved = refine(model, start, camera, nothing)
    assert torch.allclose(unmoved.transl, start.transl, atol=1e-3) and torch.isfinite(unmoved.full_pose()).all()


def test_one_wild_point_does_not_bend_the_body(scene):
    model, _, start, camera, targets = scene
    wild = targets.point_px.clone()
    wild[:, BODY_JOINTS.index("left_ankle")] += torch.tensor([300.0, -300.0])
    result = refine(
        model, start, camera, Targets(targets.joint, targets.offset, wild, targets.weight, targets.sigma_px)
    )
    trunk = [BODY_JOINTS.index(n) for n in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")]
    error = (camera.project(model.joints(result)[:, :COUNT]) - targets.point_px).norm(dim=-1)[:, trunk]
    assert error.mean() < 5


def test_never_worse_by_its_own_objective(scene):
    model, _, start, camera, targets = scene
    options = RefineOptions(replace(RefineOptions().solver, steps=3))
    problem = problem_of(model, start, camera, targets, options)
    moved = problem_of(model, refine(model, start, camera, targets, options), camera, targets, options)
    # what it says of the result from the first start: the turns are those that lead there
    turns = rotation_to_axis_angle(problem.rotations.mT @ moved.rotations)
    unknown = torch.cat([turns.flatten(1), moved.start[:, 3 * COUNT :]], 1)
    after, before = (problem.objective(u, problem.forward(u)) for u in (unknown, problem.start))
    assert (after < before).all()


def test_jacobian_equals_finite_differences(scene):
    model, true, _, camera, targets = scene
    double = type(model).load(dtype=torch.float64).keypoints_only(contour=False)
    wide = Camera(camera.focal_px.double(), camera.center_px.double())
    seen = (targets.offset + 0.05, targets.point_px, targets.weight, targets.sigma_px)
    fixed = Targets(targets.joint, *(x.double() for x in seen))
    problem = problem_of(double, true.to(torch.float64), wide, fixed, RefineOptions(robust_sigma=torch.inf))
    forward = problem.forward(problem.start)
    ours = problem.jacobian(forward, problem.observed.linearised(forward.reprojected)[1]).unflatten(
        1, (-1, 2)
    )  # B N 2 U
    numeric = torch.autograd.functional.jacobian(lambda u: problem.forward(u).reprojected.residual, problem.start)
    for i in range(4):
        assert torch.allclose(ours[i], numeric[i, :, :, i], atol=1e-4, rtol=1e-4)


def test_a_step_names_no_device_and_asks_no_number(scene):
    model, _, start, camera, targets = scene
    there = deepcopy(model).to("meta")
    seen = (targets.offset, targets.point_px, targets.weight, targets.sigma_px)
    problem = problem_of(
        there,
        start.to("meta"),
        camera.to("meta"),
        Targets(targets.joint.to("meta"), *(x.to("meta") for x in seen)),
        RefineOptions(),
    )
    assert problem.people(step_without_numbers(problem, problem.start)).body_pose.is_meta
