"""Starts stand where the points are, turned as the trunk is; other Gaussians of the prior only lower the cost."""

import math
from dataclasses import replace

import pytest
import torch

from limner.body.skeleton import JOINT
from limner.fit.fitter import Fitter
from limner.fit.points import KeypointLayer
from limner.fit.prior import shipped_priors
from limner.fit.search import facing, mean_starts, placed, upright_roll, with_better_gaussians
from limner.geometry.rotation import rotation_about_z
from limner.optimise.solver import damped_least_squares
from tests.fit.made import exact_targets, people


def test_a_body_is_put_back_where_it_was_seen(body):
    model = body.keypoints_only()
    params, camera = people(model, 4)
    targets = exact_targets(model, params, camera)
    layer = KeypointLayer(model)
    back = placed(layer, params, targets.keypoints_px, targets.confidence, camera)
    assert torch.allclose(back.transl, params.transl, atol=0.12)
    nobody = placed(layer, params, targets.keypoints_px, torch.zeros_like(targets.confidence), camera)
    assert torch.isfinite(nobody.transl).all()


@pytest.mark.parametrize("angle", [0.0, 0.7, -2.0])
def test_the_trunk_says_how_far_a_person_is_turned(body, angle):
    model = body.keypoints_only()
    params, camera = people(model, 2)
    turn = rotation_about_z(torch.full((2,), angle))
    upright = params.replace(body_pose=model.rest(2).body_pose, global_orient=facing(torch.zeros(2), 0.0))
    turned = upright.replace(global_orient=turn @ upright.global_orient)
    off = upright_roll(exact_targets(model, turned, camera)) - angle
    assert (torch.atan2(off.sin(), off.cos()).abs() < 0.15).all()


def test_yaw_turns_people_about_their_own_vertical(body):
    priors = shipped_priors()
    front, back = (
        mean_starts(body, torch.zeros(1), priors.typical_body[0], priors.typical_hand, yaw) for yaw in (0.0, math.pi)
    )
    where = [body.joints(p)[0, [JOINT["left_hip"], JOINT["right_hip"]], 0] for p in (front, back)]
    assert where[0][0] > where[0][1] and where[1][0] < where[1][1]


@pytest.fixture(scope="module")
def fitter(body):
    return Fitter(body)


@pytest.fixture(scope="module")
def scene(fitter):
    true, camera = people(fitter.model, 4, seed=2)
    return true, replace(exact_targets(fitter.model, true, camera), sigma=torch.full((4, 4), 0.01))


def test_only_one_gaussian_counts_where_told(scene):
    prior, pose = shipped_priors().body, scene[0].body_pose
    seen = prior(pose, torch.tensor([3, 0, 5, 1]))
    assert torch.allclose(seen.cost, prior.costs(pose)[range(4), [3, 0, 5, 1]])
    assert torch.equal(prior.likeliest(pose), prior.costs(pose).argmin(1))


def test_a_body_held_by_the_wrong_gaussian_finds_a_better_one(fitter, scene):
    true, targets = scene
    stage, prior = fitter.limbs, shipped_priors().body
    likely = prior.costs(true.body_pose).argsort(1)
    problem = stage.problem(targets)
    start = damped_least_squares(replace(problem, held=likely[:, 4]), true, stage.solver).state
    before = problem.cost(start)
    after = problem.cost(with_better_gaussians(start, targets, stage))
    assert (after <= before).all() and int((after < before - 3).sum()) >= 2


def test_another_kind_of_prior_is_left_alone(fitter, scene):
    true, targets = scene
    other = replace(fitter.limbs, priors=replace(shipped_priors(), body=shipped_priors().left_hand))
    assert with_better_gaussians(true, targets, other) is true
