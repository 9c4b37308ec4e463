"""How are many small least-squares problems solved at once? Levenberg-Marquardt with damping and acceptance for each.

It knows nothing of bodies: a problem says what a state costs, how its residuals look linearised (robust losses already
turned into weights: iteratively reweighted least squares), and what a step does to a state.
"""

from dataclasses import dataclass, fields
from typing import Any, Generic, Protocol, TypeVar, cast, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

State = TypeVar("State")
"""A frozen dataclass of tensors whose first axis is the item; indexing with a tensor gives some items."""


@dataclass(frozen=True)
class Linearised:
    """B problems near a state: objective = sum of weight * residual^2, normal = J' W J "B C C", gradient = J' W r."""

    normal: Float[Tensor, "B C C"]
    gradient: Float[Tensor, "B C"]


@runtime_checkable
class Problem(Protocol[State]):
    """B independent least-squares problems of the same size."""

    def objective(self, state: State) -> Float[Tensor, "B"]:
        """What each item's state costs; infinite where it is impossible."""

    def linearised(self, state: State) -> Linearised:
        """Normal equations at a state."""

    def moved(self, state: State, step: Float[Tensor, "B C"]) -> State:
        """States after a step."""

    def __getitem__(self, index: Tensor) -> "Problem[State]":
        """The same for some of the items."""


@dataclass(frozen=True)
class SolverOptions:
    """steps: at most so many; tolerance: an item is done when a step lowers its objective by less than this share
    (and `patience` such steps came in a row); damping: share of the diagonal added at the start."""

    steps: int = 30
    tolerance: float = 1e-4
    patience: int = 2
    damping: float = 1e-2
    lowest_damping: float = 1e-6
    highest_damping: float = 1e5


@dataclass(frozen=True)
class Solution(Generic[State]):
    """Where the descent ended: state, its objective "B", and how many steps each item took."""

    state: State
    objective: Float[Tensor, "B"]
    steps: Int[Tensor, "B"]


@torch.no_grad()
def damped_least_squares(problem: Problem[State], start: State, options: SolverOptions) -> Solution[State]:
    """Lower every item's objective from its start; the result is never worse than the start.

    A step that does not lower an item's objective is taken back for that item and its damping raised, otherwise the
    damping falls (Marquardt 1963; Nocedal and Wright, ch. 10). Items that are done leave the batch.
    """
    state, objective = start, problem.objective(start)
    taken = torch.zeros_like(objective, dtype=torch.int64)
    rows = torch.arange(len(objective), device=objective.device)
    damping = torch.full_like(objective, options.damping)
    idle = torch.zeros_like(taken)
    part, here, value = problem, start, objective
    for _ in range(options.steps):
        tried = part.moved(here, _step(part.linearised(here), damping))
        new = part.objective(tried)
        better = (new < value) & torch.isfinite(new)
        gain = torch.where(better, (value - new) / value.abs().clamp_min(1e-12), torch.zeros_like(value))
        here, value = _chosen(better, tried, here), torch.where(better, new, value)
        damping = torch.where(better, damping / 4, damping * 6)
        idle = torch.where(gain > options.tolerance, 0, idle + 1)
        # a step refused says only that the damping was too low
        idle = torch.where(~better & (damping < options.highest_damping), (idle - 1).clamp_min(0), idle)
        damping = damping.clamp(options.lowest_damping, options.highest_damping)
        taken = taken.index_add(0, rows, torch.ones_like(rows))
        busy = idle < options.patience
        count = int(busy.sum())
        if count < 0.8 * len(busy):  # dropping a few is dearer than keeping them
            state, objective = _put(state, rows, here), objective.index_copy(0, rows, value)
            keep = busy.nonzero()[:, 0]
            rows, part, here = rows[keep], part[keep], cast(Any, here)[keep]
            value, damping, idle = value[keep], damping[keep], idle[keep]
        if not count:
            break
    return Solution(_put(state, rows, here), objective.index_copy(0, rows, value), taken)


def _step(at: Linearised, damping: Float[Tensor, "B"]) -> Float[Tensor, "B C"]:
    """Solution of the damped normal equations; zero where they cannot be solved."""
    diagonal = at.normal.diagonal(dim1=1, dim2=2)
    floor = 1e-6 * diagonal.amax(-1, keepdim=True).clamp_min(1e-12)
    damped = at.normal + torch.diag_embed(damping[:, None] * diagonal + floor)
    factor, failed = torch.linalg.cholesky_ex(damped)
    step = -torch.cholesky_solve(at.gradient[..., None], factor)[..., 0]
    good = (failed == 0) & torch.isfinite(step).all(-1)
    return torch.where(good[:, None], step, torch.zeros_like(step))


def _chosen(better: Tensor, new: State, old: State) -> State:
    """Item by item the new or the old state."""

    def pick(name: str) -> Tensor:
        a, b = getattr(new, name), getattr(old, name)
        return torch.where(better.view(-1, *[1] * (a.ndim - 1)), a, b)

    return type(old)(**{f.name: pick(f.name) for f in fields(cast(Any, old))})


def _put(whole: State, rows: Tensor, part: State) -> State:
    """The whole state with some items replaced."""
    names = [f.name for f in fields(cast(Any, whole))]
    return type(whole)(**{name: getattr(whole, name).index_copy(0, rows, getattr(part, name)) for name in names})
