"""Checkpoints of a training that may be killed: state on disk after every so many steps, a schedule, a log."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from limner.errors import WeightsError
from limner.io.atomic import atomic_write
from limner.io.torch_file import read_torch_numbers
from limner.reading.told import RefusedError, told_as


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
    """Fill all from the file, if there is one; returns the steps done.

    Raises WeightsError for a damaged file, and for one of another training.
    """
    if not path.exists():
        return 0
    log = path.with_name(path.name.replace("_checkpoint.pt", "_log.csv"))
    with told_as(WeightsError, path, f"It is cut off, or of another training. Delete it and {log} to begin anew."):
        state = read_torch_numbers(path, mapped=False)
        done = state["done"]
        _check_like(state["schedule"], schedule.state_dict(), "schedule")
        _check_like(state["optimiser"]["param_groups"], optimiser.state_dict()["param_groups"], "optimiser")
        if not isinstance(done, int) or done < 0 or not all(bool(torch.isfinite(t).all()) for t in _tensors(state)):
            raise RefusedError("it holds numbers that are none")
        trained.load_state_dict(state["trained"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        _check_moments(optimiser)
    return done


def _check_like(given: Any, like: Any, what: str) -> None:
    """Raise RefusedError where values are of other kinds than those that they replace."""
    if isinstance(given, dict) and isinstance(like, dict) and given.keys() == like.keys():
        for name in like:
            _check_like(given[name], like[name], f"{what}, {name}")
    elif isinstance(given, list | tuple) and isinstance(like, list | tuple) and len(given) == len(like):
        for one, other in zip(given, like, strict=True):
            _check_like(one, other, what)
    elif type(given) is not type(like) and not (isinstance(given, int | float) and isinstance(like, int | float)):
        raise RefusedError(f"its {what} is not as this training has it")


def _check_moments(optimiser: Optimizer) -> None:
    """Raise RefusedError where what the optimiser remembers of a tensor does not fit it."""
    for parameter, moments in optimiser.state.items():
        for name, value in moments.items():
            if not isinstance(value, Tensor) or value.shape not in (parameter.shape, torch.Size([])):
                raise RefusedError(f"its optimiser remembers an odd {name}")


def _tensors(content: Any) -> Iterator[Tensor]:
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from _tensors(value)


def append_row(path: Path, row: dict[str, float]) -> None:
    """One more line of a CSV log, whole or not at all."""
    before = path.read_bytes() if path.exists() else b""
    texts = {name: f"{value:.6g}" for name, value in row.items()}
    with atomic_write(path) as file:
        file.write(before + _lines(list(texts), [texts], with_names=not before))


def cut_log(path: Path, done: int) -> None:
    """Take from a CSV log what was written after step `done`: a run that goes on from there writes it again."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="") as file:
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
    with (
        told_as(WeightsError, path, "Delete it and the checkpoint beside it to begin anew."),
        path.open(encoding="utf-8", newline="") as file,
    ):
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
