"""How does a long training survive being killed? State on disk after every so many steps, a schedule, a log."""

import csv
import io
from collections.abc import Sequence
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
    """One more line of a CSV log, whole or not at all."""
    before = path.read_bytes() if path.exists() else b""
    told = {name: f"{value:.6g}" for name, value in row.items()}
    with atomic_write(path) as file:
        file.write(before + _lines(list(told), [told], with_names=not before))


def cut_log(path: Path, done: int) -> None:
    """Take from a CSV log what was written after step `done`: a run that goes on from there writes it again."""
    if not path.exists():
        return
    with path.open(newline="") as file:
        table = csv.DictReader(file)
        names, rows = table.fieldnames or (), list(table)
    kept = [row for row in rows if None not in row.values() and float(row["step"]) <= done]
    if len(kept) < len(rows):
        with atomic_write(path) as file:
            file.write(_lines(names, kept, with_names=True))


def _lines(names: Sequence[str], rows: list[dict[str, str]], with_names: bool) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=names)
    if with_names:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def read_log(path: Path) -> list[dict[str, float]]:
    """The lines of a CSV log."""
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
