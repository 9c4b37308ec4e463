"""The training commands: presets, progress lines, loss plots."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import matplotlib.figure
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from limner.body.model import BodyModel
from limner.io.atomic import atomic_write
from limner.networks.weights import PARTS, NetSpec, Part
from limner.synth.light import read_panoramas
from limner.synth.people import SyntheticPeople
from limner.synth.sampler import PersonSampler
from limner.train.harvest import harvest
from limner.train.loop import TrainOptions
from limner.train.losses import PART_WEIGHTS
from limner.train.stages import Recipe, train_part

Preset = Literal["limner", "smoke"]

HIDDEN: dict[Part, tuple[int, ...]] = {"body": (768, 768), "hand": (512, 512), "face": (512, 512)}
CROWD: dict[Part, int] = {"body": 65_536, "hand": 32_768, "face": 8_192}
HEAD_BETAS = 40
"""The embedded body's shape numbers, those of the head included."""
STEPS: dict[Preset, dict[Part, int]] = {
    "limner": {"body": 12_000, "hand": 3000, "face": 1500},
    "smoke": {"body": 60, "hand": 60, "face": 40},
}


def spec_of(part: Part, preset: Preset) -> NetSpec:
    """The network of a preset."""
    hidden = HIDDEN[part] if preset == "limner" else (128, 128)
    return NetSpec(part, hidden=hidden, dropout=0.0, num_betas=HEAD_BETAS if part == "face" else 10)


def options_of(part: Part, preset: Preset, seed: int) -> TrainOptions:
    """The numbers of a preset's run."""
    steps = STEPS[preset][part]
    loss = PART_WEIGHTS[part]
    if preset == "smoke":
        return TrainOptions(steps, 128, crowd=1024, log_every=steps, save_every=steps, seed=seed, loss=loss)
    return TrainOptions(steps, 256, crowd=CROWD[part], seed=seed, loss=loss)


def run_harvest(
    out: Path, shards: int, seed: int, poses: Path | None, hdri: Path | None, part: str, crops: bool
) -> None:
    """Render synthetic people and write what the frozen backbones see; resumes."""
    model = BodyModel.load()
    panoramas = None if hdri is None else read_panoramas(hdri, torch.device("cpu"))
    synthetic = SyntheticPeople(model, PersonSampler(model, poses), panoramas)
    parts = tuple(p for p in PARTS if part in (p, "all"))
    with _progress() as progress:
        task = progress.add_task("harvesting shards", total=shards)

        def report(done: int, _: int) -> None:
            progress.update(task, completed=done)

        harvest(synthetic, out, shards, seed, parts, crops=crops, progress=report)


def run_training(part: str, evidence: Path, out: Path, poses: Path | None, preset: Preset, seed: int) -> None:
    """Train one part or all; writes weights, log and loss plot to `out`; resumes."""
    model = BodyModel.load()
    console = Console()
    chosen: list[Part] = [p for p in PARTS if part in (p, "all")]
    for name in chosen:
        recipe = Recipe(name, evidence, poses, spec_of(name, preset), options_of(name, preset, seed))
        with _progress() as progress:
            report = _reporter(progress, name, recipe.options.steps)
            errors = train_part(recipe, model, out, report)
        shown = "  ".join(f"{key} {value:.4g}" for key, value in errors.items())
        console.print(f"{name}: {shown}")
        plot_log(out / f"{name}_log.csv", out / f"{name}_loss.png")


def _reporter(progress: Progress, name: str, steps: int) -> Callable[[int, dict[str, float]], None]:
    task = progress.add_task(name, total=steps)

    def report(done: int, row: dict[str, float]) -> None:
        held = f"loss {row['loss']:.3f}  held out {row['held_out_mm']:.1f} mm"
        progress.update(task, completed=done, description=f"{name}  {held}")

    return report


def _progress() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


def plot_log(log: Path, picture: Path) -> None:
    """The loss and the held-out error over the steps of a run."""
    with log.open(newline="") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    figure = matplotlib.figure.Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = [row["step"] for row in rows]
    for term in ("loss", "rotation", "points3d", "points2d"):
        left.plot(steps, [row[term] for row in rows], label=term)
    left.set(xlabel="step", ylabel="training loss", yscale="log")
    left.legend()
    right.plot(steps, [row["held_out_mm"] for row in rows])
    right.set(xlabel="step", ylabel="held-out point error (mm)", ylim=(0, None))
    with atomic_write(picture) as file:
        figure.savefig(file, format="png", dpi=110)
