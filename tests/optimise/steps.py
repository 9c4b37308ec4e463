"""One step of a problem on torch's meta device, which holds no numbers."""

import torch

from limner.optimise.solver import damped_step


def step_without_numbers(problem, state):
    """The state after a step; a tensor that is made on the host, or an `if` on what a tensor holds, raises."""
    forward = problem.forward(state)
    value = problem.objective(state, forward)
    moved = problem.moved(state, damped_step(problem.linearised(state, forward), torch.ones_like(value)))
    assert value.is_meta and len(value) == len(moved)
    return moved
