"""The steps of every training: a seed for each, a bounded step downhill, a log, and a state to go on from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from limner.train.checkpoint import append_row, cosine_schedule, cut_log, resume_state, save_state

if TYPE_CHECKING:
    from accelerate import Accelerator

LARGEST_GRADIENT = 1.0

Progress = Callable[[int, dict[str, float]], None]
"""Hears the number of steps done and the row of the log."""


@dataclass(frozen=True)
class StepOptions:
    """Numbers that every run has."""

    steps: int = 1000
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    seed: int = 0
    log_every: int = 250
    save_every: int = 250


def train_steps(
    trained: nn.Module,
    optimiser: Optimizer,
    options: StepOptions,
    loss_of: Callable[[Generator], tuple[Tensor, dict[str, float]]],
    judge: Callable[[], dict[str, float]],
    write: Callable[[], None],
    folder: Path,
    name: str,
    progress: Progress | None = None,
    accelerator: "Accelerator | None" = None,
) -> None:
    """All steps that are still to be done: {name}_log.csv and {name}_checkpoint.pt in `folder` tell how far it is.

    loss_of: the loss of one step and what to log of it; all chance comes from the generator (and torch's own, which is
    seeded alike, for dropout), so on a CPU the same seed gives the same weights, in one go or in pieces. judge:
    held-out errors for the log. write: the weights so far. `trained` is in training mode in every step. Killed at any
    moment and started again, the run ends with the log and the weights of one that was never cut off.
    """
    schedule = cosine_schedule(optimiser, options.steps)
    checkpoint = folder / f"{name}_checkpoint.pt"
    first = resume_state(checkpoint, trained, optimiser, schedule)
    stepper = optimiser if accelerator is None else accelerator.prepare(optimiser)
    processes, process = (1, 0) if accelerator is None else (accelerator.num_processes, accelerator.process_index)
    if not process:  # whatever a kill has left: rows after the checkpoint, or weights older than it
        cut_log(folder / f"{name}_log.csv", first)
        if first:
            write()
    for step in range(first, options.steps):
        generator = torch.Generator().manual_seed((options.seed * 1_000_003 + step) * processes + process)
        torch.manual_seed(generator.initial_seed())
        trained.train()
        loss, terms = loss_of(generator)
        stepper.zero_grad(set_to_none=True)
        if accelerator is None:
            loss.backward()
            nn.utils.clip_grad_norm_(trained.parameters(), LARGEST_GRADIENT)
        else:
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(trained.parameters(), LARGEST_GRADIENT)
        stepper.step()
        schedule.step()
        done = step + 1
        if process:
            continue
        if done % options.log_every == 0 or done == options.steps:
            row = {"step": float(done), "loss": float(loss.detach()), **terms, **judge()}
            append_row(folder / f"{name}_log.csv", row)
            if progress:
                progress(done, row)
        if done % options.save_every == 0 or done == options.steps:
            save_state(checkpoint, trained, optimiser, schedule, done)
            write()
