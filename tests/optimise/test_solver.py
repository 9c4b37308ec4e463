"""The solver finds known minima, equals a plain twin, and never makes anything worse."""

from dataclasses import dataclass

import pytest
import scipy.optimize
import torch
from torch import Tensor

from limner.optimise.solver import Linearised, SolverOptions, damped_least_squares, damped_step
from limner.records import Rows

LONG = SolverOptions(steps=200, tolerance=1e-12, patience=5)


@dataclass(frozen=True)
class Point(Rows):
    x: Tensor


@dataclass(frozen=True)
class Rosenbrock(Rows):
    """residuals (scale (y - x^2), 1 - x): a curved valley, one scale an item."""

    scale: Tensor

    def residual(self, x):
        return torch.stack([self.scale * (x[:, 1] - x[:, 0] ** 2), 1 - x[:, 0]], 1)

    def forward(self, state):
        return self.residual(state.x)

    def objective(self, state, forward):
        return forward.square().sum(1)

    def linearised(self, state, forward):
        jacobian = torch.zeros(len(state.x), 2, 2, dtype=state.x.dtype)
        jacobian[:, 0, 0], jacobian[:, 0, 1] = -2 * self.scale * state.x[:, 0], self.scale
        jacobian[:, 1, 0] = -1
        return Linearised.of(jacobian, forward, torch.zeros(1, 2, dtype=forward.dtype), state.x)

    def moved(self, state, step):
        return Point(state.x + step)


@pytest.fixture
def valley():
    scale = torch.tensor([1.0, 3.0, 10.0, 30.0], dtype=torch.float64)
    start = torch.tensor([[-1.2, 1.0], [2.0, 2.0], [-1.0, 2.0], [0.0, -1.0]], dtype=torch.float64)
    return Rosenbrock(scale), Point(start)


def test_finds_the_known_minimum_of_every_item(valley):
    found = damped_least_squares(*valley, LONG)
    assert torch.allclose(found.state.x, torch.ones(4, 2, dtype=torch.float64), atol=1e-5)
    assert (found.objective < 1e-9).all()


def test_equals_a_plain_solver_item_by_item(valley):
    problem, start = valley
    found = damped_least_squares(problem, start, LONG)
    for k in range(4):
        one = problem[torch.tensor([k])]

        def residual(x, one=one):
            return one.residual(torch.tensor(x)[None])[0].numpy()

        plain = scipy.optimize.least_squares(residual, start.x[k].numpy(), method="lm")
        assert abs(float(found.objective[k]) - 2 * plain.cost) < 1e-8


def test_items_do_not_disturb_each_other(valley):
    problem, start = valley
    for options in (LONG, SolverOptions(steps=12, tolerance=0.05, patience=1)):
        together = damped_least_squares(problem, start, options).state.x
        for k in range(4):
            row = torch.tensor([k])
            alone = damped_least_squares(problem[row], start[row], options).state.x[0]
            assert torch.allclose(alone, together[k], atol=1e-6)


def test_never_worse_and_stays_where_nothing_can_be_solved(valley):
    problem, start = valley
    values = [problem.objective(start, problem.forward(start))]
    values += [damped_least_squares(problem, start, SolverOptions(steps=steps)).objective for steps in range(6)]
    assert (torch.stack(values).diff(dim=0) <= 0).all() and (values[-1] < values[0]).all()

    class Broken(Rosenbrock):
        def linearised(self, state, forward):
            at = super().linearised(state, forward)
            return Linearised(at.normal * torch.nan, at.gradient)

    stuck = damped_least_squares(Broken(problem.scale), start, SolverOptions(steps=5))
    assert torch.equal(stuck.state.x, start.x)


def test_ends_when_steps_gain_too_little(valley):
    problem, start = valley
    looked = []

    class Counted(Rosenbrock):
        def forward(self, state):
            looked.append(len(state))
            return super().forward(state)

    for options in (LONG, SolverOptions(steps=200, tolerance=0.9, patience=1)):
        looked.append(0)
        damped_least_squares(Counted(problem.scale), start, options)
    patient, hasty = looked[1 : looked.index(0, 1)], looked[looked.index(0, 1) + 1 :]
    assert len(hasty) < len(patient) / 2 and min(patient) < 4  # who is done leaves


def test_a_pull_gives_way_to_residuals_and_they_to_it():
    jacobian = torch.tensor([[[2.0, 0.0], [0.0, 1.0]]])
    residual, away = torch.tensor([[4.0, -1.0]]), torch.tensor([[1.0, 1.0]])
    for stiffness, step in ((1e-4, [-2.0, 1.0]), (1e4, [-1.0, -1.0])):
        at = Linearised.of(jacobian, residual, torch.full((1, 2), stiffness), away)
        assert torch.allclose(damped_step(at, torch.zeros(1)), torch.tensor([step]), atol=1e-3)
