"""The solver finds known minima, equals a plain twin, and never makes anything worse."""

from dataclasses import dataclass

import pytest
import scipy.optimize
import torch
from torch import Tensor

from limner.fit.solver import Linearised, SolverOptions, damped_least_squares

LONG = SolverOptions(steps=200, tolerance=1e-12, patience=5)


@dataclass(frozen=True)
class Point:
    x: Tensor

    def __getitem__(self, index):
        return Point(self.x[index])


@dataclass(frozen=True)
class Rosenbrock:
    """residuals (scale (y - x^2), 1 - x): a curved valley, one scale an item."""

    scale: Tensor

    def residual(self, x):
        return torch.stack([self.scale * (x[:, 1] - x[:, 0] ** 2), 1 - x[:, 0]], 1)

    def objective(self, state):
        return self.residual(state.x).square().sum(1)

    def linearised(self, state):
        jacobian = torch.zeros(len(state.x), 2, 2, dtype=state.x.dtype)
        jacobian[:, 0, 0], jacobian[:, 0, 1] = -2 * self.scale * state.x[:, 0], self.scale
        jacobian[:, 1, 0] = -1
        gradient = (jacobian * self.residual(state.x)[..., None]).sum(1)
        return Linearised(jacobian.mT @ jacobian, gradient)

    def moved(self, state, step):
        return Point(state.x + step)

    def __getitem__(self, index):
        return Rosenbrock(self.scale[index])


@pytest.fixture
def valley():
    scale = torch.tensor([1.0, 3.0, 10.0, 30.0], dtype=torch.float64)
    start = torch.tensor([[-1.2, 1.0], [2.0, 2.0], [-1.0, 2.0], [0.0, -1.0]], dtype=torch.float64)
    return Rosenbrock(scale), Point(start)


def test_finds_the_known_minimum_of_every_item(valley):
    found = damped_least_squares(*valley, LONG)
    assert torch.allclose(found.state.x, torch.ones(4, 2, dtype=torch.float64), atol=1e-5)
    assert (found.objective < 1e-9).all() and (found.steps > 0).all()


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
    together = damped_least_squares(problem, start, LONG).state.x
    for k in range(4):
        row = torch.tensor([k])
        assert torch.allclose(damped_least_squares(problem[row], start[row], LONG).state.x[0], together[k], atol=1e-6)


def test_never_worse_and_stays_where_nothing_can_be_solved(valley):
    problem, start = valley
    short = damped_least_squares(problem, start, SolverOptions(steps=1))
    assert (short.objective <= problem.objective(start)).all()

    class Broken(Rosenbrock):
        def linearised(self, state):
            at = super().linearised(state)
            return Linearised(at.normal * torch.nan, at.gradient)

        def __getitem__(self, index):
            return Broken(self.scale[index])

    stuck = damped_least_squares(Broken(problem.scale), start, SolverOptions(steps=5))
    assert torch.equal(stuck.state.x, start.x)
