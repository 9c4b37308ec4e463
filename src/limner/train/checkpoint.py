"""How does a long training survive being killed? State on disk after every so many steps, a schedule, a log."""

import csv
from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from limner.io.atomic import atomic_write


def cosine_schedule(optimiser: Optimizer, steps: int) -> LambdaLR:
    """Warm-up over the first hundredth, then half a cosine down to one hundredth of the rate."""
    warm = max(1, steps // 100)

    def rate(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        share = (step - warm) / max(1, steps - warm)
        return 0.01 + 0.99 * 0.5 * (1 + float(torch.cos(torch.tensor(share * torch.pi))))

    return LambdaLR(optimiser, rate)


def save_state(path: Path, trained: nn.Module, optimiser: Optimizer, schedule: LambdaLR, done: int) -> None:
    """Everything needed to go on after `done` steps, whole or not at all."""
    state = {
        "trained": trained.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": schedule.state_dict(),
        "done": done,
    }
    with atomic_write(path) as file:
        torch.save(state, file)


def resume_state(path: Path, trained: nn.Module, optimiser: Optimizer, schedule: LambdaLR) -> int:
    """Fill all from the file, if there is one; returns the steps done."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    trained.load_state_dict(state["trained"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    return int(state["done"])


def append_row(path: Path, row: dict[str, float]) -> None:
    """One more line of a CSV log."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if new:
            writer.writeheader()
        writer.writerow({k: f"{v:.6g}" for k, v in row.items()})


def read_log(path: Path) -> list[dict[str, float]]:
    """The lines of a CSV log."""
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
