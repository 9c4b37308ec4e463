"""The training commands: presets, progress lines, loss plots."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from limner.body.model import BodyModel
from limner.errors import shown
from limner.extras import extra
from limner.io.atomic import atomic_write
from limner.networks.weights import (
    DEPTH_FILE,
    MOVENET_FILE,
    PARTS,
    NetSpec,
    Part,
    frozen_spec,
    load_net,
    movenet_path,
    weights_paths,
)
from limner.synth.light import read_panoramas
from limner.synth.people import SyntheticPeople
from limner.synth.sampler import PersonSampler
from limner.train.checkpoint import read_log
from limner.train.depth import DepthOptions, train_depth
from limner.train.harvest import harvest, look_again
from limner.train.harvest_photos import harvest_photos
from limner.train.loop import TrainOptions
from limner.train.losses import PART_WEIGHTS
from limner.train.person import PersonOptions, train_person
from limner.train.replay import read_people
from limner.train.stages import Recipe, train_part
from limner.train.whole import WholeOptions, train_whole

with extra("train", "Training"):
    import matplotlib.figure

Preset = Literal["limner", "smoke"]

HIDDEN: dict[Part, tuple[int, ...]] = {"body": (768, 768), "hand": (512, 512), "face": (512, 512)}
CROWD: dict[Part, int] = {"body": 65_536, "hand": 32_768, "face": 8_192}
HEAD_BETAS = 40
"""The embedded body's shape numbers, those of the head included."""
DEPTH_OPTIONS: dict[Preset, DepthOptions] = {
    "limner": DepthOptions(),
    "smoke": DepthOptions(30, batch_size=16, log_every=30, save_every=30),
}
WHOLE_OPTIONS: dict[Preset, WholeOptions] = {
    "limner": WholeOptions(),
    "smoke": WholeOptions(10, batch_size=16, log_every=10, save_every=10),
}
PERSON_OPTIONS: dict[Preset, PersonOptions] = {
    "limner": PersonOptions(),
    "smoke": PersonOptions(30, batch_size=4, size=128, looks=(256,), log_every=30, save_every=30),
}
STEPS: dict[Preset, dict[Part, int]] = {
    "limner": {"body": 9000, "hand": 3000, "face": 1500},
    "smoke": {"body": 60, "hand": 60, "face": 40},
}


def spec_of(part: Part, preset: Preset, depth: Path | None = None) -> NetSpec:
    """The network of a preset; `depth`: the branch that its evidence was seen with."""
    hidden = HIDDEN[part] if preset == "limner" else (128, 128)
    num_betas = HEAD_BETAS if part == "face" else 10
    return replace(frozen_spec(part, depth), hidden=hidden, dropout=0.0, num_betas=num_betas)


def options_of(part: Part, preset: Preset, seed: int) -> TrainOptions:
    """The numbers of a preset's run."""
    steps = STEPS[preset][part]
    loss = PART_WEIGHTS[part]
    if preset == "smoke":
        return TrainOptions(steps, 128, crowd=1024, log_every=steps, save_every=steps, seed=seed, loss=loss)
    return TrainOptions(steps, 256, crowd=CROWD[part], seed=seed, loss=loss)


def run_harvest(
    out: Path,
    shards: int,
    seed: int,
    poses: Path | None,
    hdri: Path | None,
    part: str,
    crops: bool,
    depth: Path | None,
) -> None:
    """Render synthetic people and write what the frozen backbones see; resumes."""
    synthetic = _synthetic(poses, hdri)
    parts = tuple(p for p in PARTS if part in (p, "all"))
    with progress_bar() as progress:
        task = progress.add_task("harvesting shards", total=shards)

        def report(done: int, _: int) -> None:
            progress.update(task, completed=done)

        harvest(synthetic, out, shards, seed, parts, crops=crops, depth=_keep(depth, out, DEPTH_FILE), progress=report)


def run_photos(out: Path, shards: int, seed: int, poses: Path | None, hdri: Path | None) -> None:
    """Render whole photos with labelled people; resumes."""
    with progress_bar() as progress:
        task = progress.add_task("harvesting photos", total=shards)

        def report(done: int, _: int) -> None:
            progress.update(task, completed=done)

        harvest_photos(_synthetic(poses, hdri), out, shards, seed, progress=report)


def _synthetic(poses: Path | None, hdri: Path | None) -> SyntheticPeople:
    model = BodyModel.load()
    panoramas = None if hdri is None else read_panoramas(hdri, torch.device("cpu"))
    return SyntheticPeople(model, PersonSampler(model, poses), panoramas)


def run_looks(source: Path, out: Path, part: str, depth: Path | None) -> None:
    """Write what today's backbones see in the kept crops of another folder; resumes."""
    parts = tuple(p for p in PARTS if part in (p, "all"))
    with progress_bar() as progress:
        task = progress.add_task("looking again", total=None)

        def report(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        look_again(source, out, parts, _keep(depth, out, DEPTH_FILE), report)


def _keep(file: Path | None, out: Path, name: str) -> Path | None:
    """What was not trained but used goes with the new weights: a depth branch or a person finder of one's own."""
    if file is None:
        return None
    with atomic_write(out / name) as copy:
        copy.write(file.read_bytes())
    return out / name


def run_training(
    part: str, evidence: Path, out: Path, poses: Path | None, preset: Preset, seed: int, real_2d: Path | None
) -> None:
    """Train the regressor of one part or of all; writes weights, log and loss plot to `out`; resumes."""
    model = BodyModel.load()
    chosen: list[Part] = [p for p in PARTS if part in (p, "all")]
    found = evidence / DEPTH_FILE
    depth = _keep(found if found.exists() else None, out, DEPTH_FILE)
    for name in chosen:
        recipe = Recipe(name, evidence, poses, spec_of(name, preset, depth), options_of(name, preset, seed), real_2d)
        with progress_bar() as progress:
            report = reporter(progress, name, recipe.options.steps)
            errors = train_part(recipe, model, out, report)
        show_result(name, errors, out, ("loss", "rotation", "points3d", "points2d"), "held_out_mm")


def run_depth(evidence: Path, out: Path, steps: int | None, preset: Preset, seed: int) -> None:
    """Train the depth branch on kept crops; resumes."""
    options = DEPTH_OPTIONS[preset]
    options = replace(options, steps=steps or options.steps, seed=seed)
    with progress_bar() as progress:
        errors = train_depth(BodyModel.load(), evidence, out, options, reporter(progress, "depth", options.steps))
    show_result("depth", errors, out, ("loss",), "held_out_mm")


def run_person(
    evidence: Path, weights: str, out: Path, steps: int | None, preset: Preset, seed: int, backbone: bool
) -> None:
    """Train the person finder on labelled photos; resumes."""
    options = PERSON_OPTIONS[preset]
    options = replace(options, steps=steps or options.steps, seed=seed, backbone=backbone)
    with progress_bar() as progress:

        def complain(text: str) -> None:
            progress.console.print(Text.assemble(("left out ", "red"), shown(text)), soft_wrap=True)

        report = reporter(progress, "person", options.steps)
        result = train_person(evidence, out, options, movenet_path(weights), report, complain)
    parts = ("loss", "center", "heat", "size", "offset", "points")
    show_result("person", result, out, parts, "held_out_found", "held-out people found (%)")


def run_whole(evidence: Path, weights: str, out: Path, steps: int | None, preset: Preset, seed: int) -> None:
    """Fine-tune the regressors of all three networks together; resumes."""
    options = WHOLE_OPTIONS[preset]
    options = replace(options, steps=steps or options.steps, seed=seed)
    model, paths = BodyModel.load(), weights_paths(weights)
    loaded = {part: load_net(path) for part, path in paths.items()}
    depth = paths["body"].with_name(DEPTH_FILE)
    _keep(depth if depth.exists() else None, out, DEPTH_FILE)
    _keep(movenet_path(weights), out, MOVENET_FILE)
    people = read_people(evidence, held_out=False), read_people(evidence, held_out=True)
    with progress_bar() as progress:
        report = reporter(progress, "whole", options.steps)
        errors = train_whole(loaded, model, *people, out, options, report)
    show_result("whole", errors, out, ("loss",), "held_out_body_mm")


def show_result(
    name: str,
    errors: dict[str, float],
    out: Path,
    losses: tuple[str, ...],
    held_out: str | None = None,
    label: str = "held-out error (mm)",
) -> None:
    values = "  ".join(f"{key} {value:.4g}" for key, value in errors.items())
    Console().print(f"{name}: {values}")
    plot_log(out / f"{name}_log.csv", out / f"{name}_loss.png", losses, held_out, label)


def reporter(progress: Progress, name: str, steps: int) -> Callable[[int, dict[str, float]], None]:
    task = progress.add_task(name, total=steps)

    def report(done: int, row: dict[str, float]) -> None:
        held = [
            f"{key.removeprefix('held_out_')} {value:.1f}" for key, value in row.items() if key.startswith("held_out")
        ]
        told = f"loss {row['loss']:.3f}" + (f"  held out {' '.join(held[:3])}" if held else "")
        progress.update(task, completed=done, description=f"{name}  {told}")

    return report


def progress_bar() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


def plot_log(log: Path, picture: Path, losses: tuple[str, ...], held_out: str | None, label: str) -> None:
    """The loss and the held-out number over the steps of a run."""
    rows = read_log(log)
    figure = matplotlib.figure.Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = [row["step"] for row in rows]
    for term in losses:
        left.plot(steps, [row[term] for row in rows], label=term)
    left.set(xlabel="step", ylabel="training loss", yscale="log")
    left.legend()
    if held_out is not None:
        right.plot(steps, [row[held_out] for row in rows])
    right.set(xlabel="step", ylabel=label, ylim=(0, None))
    with atomic_write(picture) as file:
        figure.savefig(file, format="png", dpi=110)
