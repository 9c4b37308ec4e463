"""Many small least-squares problems solved at once: Levenberg-Marquardt with damping and acceptance for each.

It knows nothing of bodies: a problem says what a state costs, how its residuals look linearised (robust losses already
turned into weights: iteratively reweighted least squares), and what a step does to a state.
"""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from limner.records import Rows, choose, pick, put

State = TypeVar("State", bound=Rows | Tensor)
"""Where the items are: a row an item."""
Forward = TypeVar("Forward", bound=Rows | Tensor)
"""What a problem works out once at a state for its objective and its normal equations alike."""


@dataclass(frozen=True)
class Linearised:
    """B problems near a state: objective = sum of weight * residual^2, normal = J' W J "B C C", gradient = J' W r."""

    normal: Float[Tensor, "B C C"]
    gradient: Float[Tensor, "B C"]

    @classmethod
    def of(
        cls,
        slope: Float[Tensor, "B M C"],
        residual: Float[Tensor, "B M"],
        stiffness: Float[Tensor, "#B C"],
        away: Float[Tensor, "B C"],
    ) -> "Linearised":
        """Of residuals and their slopes, both times the roots of their weights, and of a pull on each unknown.

        The pull is stiffness^2 * away^2; away: how far the unknown is from where it is pulled.
        """
        pull, normal = stiffness.square(), slope.mT @ slope
        normal.diagonal(dim1=1, dim2=2).add_(pull)
        return cls(normal, (slope.mT @ residual[..., None])[..., 0] + pull * away)


@runtime_checkable
class Problem(Protocol[State, Forward]):
    """B independent least-squares problems of the same size."""

    def forward(self, state: State) -> Forward:
        """What objective and normal equations need to know of a state."""

    def objective(self, state: State, forward: Forward) -> Float[Tensor, "B"]:
        """What each item's state costs; infinite where it is impossible."""

    def linearised(self, state: State, forward: Forward) -> Linearised:
        """Normal equations at a state."""

    def moved(self, state: State, step: Float[Tensor, "B C"]) -> State:
        """States after a step."""

    def __getitem__(self, index: Tensor) -> "Problem[State, Forward]":
        """The same for some of the items."""


@dataclass(frozen=True)
class SolverOptions:
    """Numbers of the solver.

    steps       at most so many
    tolerance   an item is done when `patience` steps in a row lower its objective by less than this share
    damping     share of the diagonal added at the start, from `lowest` to `highest`
    fall, rise  what a step that lowers the objective divides the damping by, one that does not multiplies it by
    """

    steps: int = 30
    tolerance: float = 1e-4
    patience: int = 2
    damping: float = 1e-2
    lowest: float = 1e-6
    highest: float = 1e5
    fall: float = 4.0
    rise: float = 6.0


@dataclass(frozen=True)
class Solution(Generic[State]):
    """Where the descent ended: state and its objective "B"."""

    state: State
    objective: Float[Tensor, "B"]


@torch.no_grad()
def damped_least_squares(problem: Problem[State, Forward], start: State, options: SolverOptions) -> Solution[State]:
    """Lower every item's objective from its start; the result is never worse than the start.

    A step that does not lower an item's objective is taken back for that item and its damping raised, otherwise the
    damping falls (Marquardt 1963; Nocedal and Wright, ch. 10). Items that are done stay where they are, whoever else
    goes on, and leave the batch when there are many of them.
    """
    forward = problem.forward(start)
    value = problem.objective(start, forward)
    ends, here = (start, value), start
    rows = torch.arange(len(value), device=value.device)
    damping, idle, busy = torch.full_like(value, options.damping), torch.zeros_like(rows), rows >= 0
    for _ in range(options.steps):
        tried = problem.moved(here, damped_step(problem.linearised(here, forward), damping))
        tried_forward = problem.forward(tried)
        new = problem.objective(tried, tried_forward)
        better = (new < value) & busy
        large = better & (value - new > options.tolerance * value.abs())
        # a step refused says only that the damping was too low
        idle = torch.where(large, 0, idle + (better | (damping * options.rise >= options.highest)))
        damping = torch.where(better, damping / options.fall, damping * options.rise)
        damping = damping.clamp(options.lowest, options.highest)
        gained = int(better.sum())
        if gained == len(better):
            here, forward, value = tried, tried_forward, new
        elif gained:
            here, forward, value = choose(better, (tried, tried_forward, new), (here, forward, value))
        busy = idle < options.patience
        going = int(busy.sum())
        if not going:
            break
        if going < 0.8 * len(busy):  # dropping a few is dearer than keeping them
            ends, keep = put(ends, rows, (here, value)), busy.nonzero()[:, 0]
            problem, here, forward = problem[keep], pick(here, keep), pick(forward, keep)
            rows, value, damping, idle, busy = pick((rows, value, damping, idle, busy), keep)
    return Solution(*put(ends, rows, (here, value)))


def damped_step(at: Linearised, damping: Float[Tensor, "B"]) -> Float[Tensor, "B C"]:
    """Solution of the normal equations, each diagonal raised by its share `damping`; no step where there is none."""
    damped = at.normal.clone()
    damped.diagonal(dim1=1, dim2=2).mul_(1 + damping[:, None]).add_(1e-6)
    factor = torch.linalg.cholesky_ex(damped).L
    return torch.cholesky_solve(at.gradient[..., None], factor)[..., 0].neg().nan_to_num(0.0, 0.0, 0.0)
