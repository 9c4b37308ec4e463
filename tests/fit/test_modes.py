"""Another Gaussian of the pose prior is found where it explains the body better, and costs only fall."""

from dataclasses import replace

import pytest
import torch

from limner.fit.fitter import Fitter
from limner.fit.modes import with_better_gaussians
from limner.fit.prior import shipped_priors
from tests.fit.made import exact_targets, people

SIGMA = torch.full((4, 4), 0.01)


@pytest.fixture(scope="module")
def fitter(body):
    return Fitter(body)


@pytest.fixture(scope="module")
def scene(fitter):
    true, camera = people(fitter.model, 4, seed=2)
    return true, exact_targets(fitter.model, true, camera)


def test_only_one_gaussian_counts_where_told(scene):
    prior, pose = shipped_priors().body, scene[0].body_pose
    held = replace(prior, only=torch.tensor([3, 0, 5, 1]))
    seen = held(pose)
    assert torch.allclose(seen.residual.square().sum(1) + seen.constant, prior.costs(pose)[range(4), [3, 0, 5, 1]])
    assert held[torch.tensor([2])].only.tolist() == [5] and prior[torch.tensor([2])] is prior
    assert torch.equal(prior.likeliest(pose), prior.costs(pose).argmin(1))


def test_a_body_held_by_the_wrong_gaussian_finds_a_better_one(fitter, scene):
    true, targets = scene
    stage, prior = fitter.limbs, shipped_priors().body
    likely = prior.costs(true.body_pose).argsort(1)
    wrong = replace(stage, priors=replace(stage.priors, body=replace(prior, only=likely[:, 4])))
    start = wrong.solve(targets, true, SIGMA).state
    before = stage.problem(targets, SIGMA).objective(start)
    after = stage.problem(targets, SIGMA).objective(with_better_gaussians(start, targets, stage, SIGMA))
    assert (after <= before).all() and int((after < before - 3).sum()) >= 2


def test_another_kind_of_prior_is_left_alone(fitter, scene):
    true, targets = scene
    other = replace(fitter.limbs, priors=replace(shipped_priors(), body=shipped_priors().left_hand))
    assert with_better_gaussians(true, targets, other, SIGMA) is true
