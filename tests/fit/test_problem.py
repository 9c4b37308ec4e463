"""A stage's objective: its gradient is the true one, and the solver ends no higher than a plain twin."""

from dataclasses import replace

import pytest
import torch

from limner.body.model import BodyModel
from limner.fit.points import KeypointLayer
from limner.fit.prior import shipped_priors
from limner.fit.problem import FitProblem
from limner.fit.proximity import ProximityPrior
from limner.fit.unknowns import BODY_TURNS, WHOLE_TURNS, Unknowns
from limner.geometry.rotation import rotation_from_axis_angle
from limner.optimise.points import ObservedPoints
from limner.optimise.solver import SolverOptions, damped_least_squares
from tests.fit.made import exact_targets, people


@pytest.fixture(scope="module")
def small():
    return BodyModel.load().keypoints_only()


def problem_of(model, unknowns, penetration=True, held=False):
    true, camera = people(model, 2)
    targets = exact_targets(model, true, camera)
    noise = 4 * torch.randn(targets.keypoints_px.shape, generator=torch.Generator().manual_seed(1))
    seen = ObservedPoints(targets.keypoints_px + noise, targets.confidence, torch.full((2, 144), 8.0), camera, 6.0)
    near = ProximityPrior(true.full_pose(), torch.full((2, 55), 2.0), true.transl, 4.0) if held else None
    return true, FitProblem(seen, KeypointLayer(model), shipped_priors(), unknowns, penetration, near)


def pushed(params, size=0.15):
    turn = torch.randn(len(params), 21, 3, generator=torch.Generator().manual_seed(2))
    return params.replace(
        body_pose=params.body_pose @ rotation_from_axis_angle(size * turn), transl=params.transl + 0.1
    )


def test_gradient_equals_that_of_the_objective(small):
    unknowns = Unknowns(WHOLE_TURNS, small.num_betas, small.num_expression)
    true, problem = problem_of(small, unknowns, held=True)
    start = pushed(true)
    step = torch.zeros(2, unknowns.count, requires_grad=True)
    # the contour row jumps with the head's yaw; here it stays, so that autograd sees what the solver sees
    (slope,) = torch.autograd.grad(problem.cost(problem.moved(start, step)).sum(), step)
    ours = 2 * problem.linearised(start, problem.forward(start)).gradient
    free = [c for c in range(unknowns.count) if c >= 3]  # the upright term's residual also depends on its Gaussian
    assert torch.allclose(ours[:, free], slope[:, free], atol=2e-2 * float(slope.abs().max()))
    cosine = torch.nn.functional.cosine_similarity(ours, slope)
    assert (cosine > 0.999).all()


def test_descent_ends_no_higher_than_a_plain_twin(small):
    unknowns = Unknowns(BODY_TURNS, small.num_betas, 0)
    true, problem = problem_of(small, unknowns, penetration=False)
    start = pushed(true)
    # one Gaussian: with several, which one a descent ends in depends on its path
    body = problem.priors.body
    one_gaussian = replace(body, mean=body.mean[:1], whitening=body.whitening[:1], cost=body.cost[:1])
    problem = replace(problem, priors=replace(problem.priors, body=one_gaussian))
    ours = damped_least_squares(problem, start, SolverOptions(steps=60, tolerance=1e-5, patience=3)).objective
    for k in range(2):
        row = torch.tensor([k])
        one, here = problem[row], start[row]
        step = torch.zeros(1, unknowns.count, requires_grad=True)
        plain = torch.optim.LBFGS([step], max_iter=80, line_search_fn="strong_wolfe")

        def closure(step=step, one=one, here=here, plain=plain):
            plain.zero_grad()
            value = one.cost(one.moved(here, step)).sum()
            value.backward()
            return value

        plain.step(closure)
        twin = float(one.cost(one.moved(here, step.detach())))
        assert float(ours[k]) <= 1.01 * twin


def test_behind_the_camera_is_impossible(small):
    true, problem = problem_of(small, Unknowns(BODY_TURNS, 0, 0))
    behind = true.replace(transl=true.transl * torch.tensor([1.0, 1.0, -1.0]))
    assert torch.isinf(problem.cost(behind)).all() and torch.isfinite(problem.cost(true)).all()
