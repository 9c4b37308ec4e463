"""Presets of the training commands, their progress lines and loss plots."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from rich.console import Console
from rich.text import Text

from limner.body.model import BodyModel
from limner.cached import read_people
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
from limner.progress import progress_bar
from limner.synth.light import read_panoramas
from limner.synth.people import SyntheticPeople
from limner.synth.sampler import PersonSampler
from limner.train.backbones import BackboneOptions, Init, train_backbone
from limner.train.checkpoint import read_log
from limner.train.depth import DepthOptions, train_depth
from limner.train.detector import DetectorOptions, train_detector
from limner.train.joint import JointOptions, train_joint
from limner.train.losses import PART_WEIGHTS
from limner.train.orders import Preset, Rendering, Training
from limner.train.regressors import Recipe, RegressorOptions, train_part
from limner.train.render_crops import observe_again, render_crops
from limner.train.render_photos import render_photos
from limner.train.steps import StepOptions

with extra("train", "Training"):
    import matplotlib.figure

HIDDEN: dict[Part, tuple[int, ...]] = {"body": (768, 768), "hand": (512, 512), "face": (512, 512)}
HEAD_BETAS = 40
"""The embedded body's shape numbers, those of the head included."""
SIZES: dict[Part, tuple[int, int]] = {"body": (9000, 65_536), "hand": (3000, 32_768), "face": (1500, 8_192)}
"""Steps, and people in the pool."""
REGRESSOR_OPTIONS: dict[Part, dict[Preset, RegressorOptions]] = {
    part: {
        "limner": RegressorOptions(steps, 256, pool_size=people, loss=PART_WEIGHTS[part]),
        "smoke": RegressorOptions(60, 128, pool_size=1024, log_every=60, save_every=60, loss=PART_WEIGHTS[part]),
    }
    for part, (steps, people) in SIZES.items()
}
BACKBONE_OPTIONS: dict[Preset, BackboneOptions] = {
    "limner": BackboneOptions(),
    "smoke": BackboneOptions(20, batch_size=8, log_every=20, save_every=20),
}
DEPTH_OPTIONS: dict[Preset, DepthOptions] = {
    "limner": DepthOptions(),
    "smoke": DepthOptions(30, batch_size=16, log_every=30, save_every=30),
}
JOINT_OPTIONS: dict[Preset, JointOptions] = {
    "limner": JointOptions(),
    "smoke": JointOptions(10, batch_size=16, log_every=10, save_every=10),
}
DETECTOR_OPTIONS: dict[Preset, DetectorOptions] = {
    "limner": DetectorOptions(),
    "smoke": DetectorOptions(30, batch_size=4, size=128, sizes_px=(256,), log_every=30, save_every=30),
}
PART_LOSSES = ("loss", "rotation", "points3d", "points2d")


def hidden_of(part: Part, preset: Preset) -> tuple[int, ...]:
    """Widths of a regressor's hidden layers."""
    return HIDDEN[part] if preset == "limner" else (128, 128)


def spec_of(part: Part, preset: Preset, depth: Path | None = None) -> NetSpec:
    """The network of a preset; `depth`: the branch that its evidence was seen with."""
    num_betas = HEAD_BETAS if part == "face" else 10
    return replace(frozen_spec(part, depth), hidden=hidden_of(part, preset), dropout=0.0, num_betas=num_betas)


Options = TypeVar("Options", bound=StepOptions)


def _of_run(presets: dict[Preset, Options], training: Training) -> Options:
    """The numbers of one run."""
    options = presets[training.preset]
    return replace(options, steps=training.steps or options.steps, seed=training.seed)


def _parts(part: str) -> tuple[Part, ...]:
    return tuple(p for p in PARTS if part in (p, "all"))


@contextmanager
def _counted(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that hears how many are done, of how many."""
    with progress_bar(transient=False) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def run_crops(given: Rendering, part: str, pictures: bool, depth: Path | None) -> None:
    """Render crops of synthetic people and write what the frozen backbones see; resumes."""
    depth = _keep(depth, given.out, DEPTH_FILE)
    with _counted("rendering shards") as report:
        parts, synthetic = _parts(part), _synthetic(given)
        render_crops(
            synthetic, given.out, given.shards, given.seed, parts, crops=pictures, depth=depth, progress=report
        )


def run_photos(given: Rendering) -> None:
    """Render whole photos with labelled people; resumes."""
    with _counted("rendering photos") as report:
        render_photos(_synthetic(given), given.out, given.shards, given.seed, progress=report)


def run_again(source: Path, out: Path, part: str, depth: Path | None) -> None:
    """Write what today's backbones see in the kept crops of another folder; resumes."""
    depth = _keep(depth, out, DEPTH_FILE)
    with _counted("looking again") as report:
        observe_again(source, out, _parts(part), depth, report)


def _synthetic(given: Rendering) -> SyntheticPeople:
    model = BodyModel.load()
    panoramas = None if given.hdri is None else read_panoramas(given.hdri, torch.device("cpu"))
    return SyntheticPeople(model, PersonSampler(model, given.poses), panoramas)


def _keep(file: Path | None, out: Path, name: str) -> Path | None:
    """What was not trained but used goes with the new weights, where it exists: a depth branch, a detector."""
    if file is None or not file.exists():
        return None
    with atomic_write(out / name) as copy:
        copy.write(file.read_bytes())
    return out / name


def run_regressors(part: str, evidence: Path, poses: Path | None, real_2d: Path | None, training: Training) -> None:
    """Train the regressor of one part or of all; writes weights, log and loss plot to `out`; resumes."""
    model, out = BodyModel.load(), training.out
    depth = _keep(evidence / DEPTH_FILE, out, DEPTH_FILE)
    for name in _parts(part):
        options = _of_run(REGRESSOR_OPTIONS[name], training)
        recipe = Recipe(name, evidence, poses, spec_of(name, training.preset, depth), options, real_2d)
        with _steps_of(name, options.steps) as (report, _):
            errors = train_part(recipe, model, out, report)
        show_result(name, errors, out, PART_LOSSES, "held_out_mm")


def run_backbone(part: Part, backbone: str, init: Init, evidence: Path, training: Training) -> None:
    """Train a backbone with its regressor on kept crops, from scratch or on from its weights; resumes."""
    spec = NetSpec(part, backbone, hidden=hidden_of(part, training.preset), dropout=0.0)
    options = _of_run(BACKBONE_OPTIONS, training)
    with _steps_of(f"{part}, {backbone}", options.steps) as (report, _):
        errors = train_backbone(spec, init, evidence, BodyModel.load(), training.out, options, report)
    show_result(part, errors, training.out, PART_LOSSES)


def run_depth(evidence: Path, training: Training) -> None:
    """Train the depth branch on kept crops; resumes."""
    options = _of_run(DEPTH_OPTIONS, training)
    with _steps_of("depth", options.steps) as (report, _):
        errors = train_depth(BodyModel.load(), evidence, training.out, options, report)
    show_result("depth", errors, training.out, ("loss",), "held_out_mm")


def run_detector(photos: Path, weights: str, backbone: bool, training: Training) -> None:
    """Train the detector on labelled photos; resumes."""
    options = replace(_of_run(DETECTOR_OPTIONS, training), backbone=backbone)
    with _steps_of("detector", options.steps) as (report, console):

        def complain(text: str) -> None:
            console.print(Text.assemble(("left out ", "red"), shown(text)), soft_wrap=True)

        result = train_detector(photos, training.out, options, movenet_path(weights), report, complain)
    parts = ("loss", "center", "heat", "size", "offset", "points")
    show_result("detector", result, training.out, parts, "held_out_found", "held-out people found (%)")


def run_joint(evidence: Path, weights: str, training: Training) -> None:
    """Fine-tune the regressors of all three networks together; resumes."""
    options, out = _of_run(JOINT_OPTIONS, training), training.out
    paths = weights_paths(weights)
    loaded = {part: load_net(path) for part, path in paths.items()}
    _keep(paths["body"].with_name(DEPTH_FILE), out, DEPTH_FILE)
    _keep(movenet_path(weights), out, MOVENET_FILE)
    people = read_people(evidence, held_out=False), read_people(evidence, held_out=True)
    with _steps_of("joint", options.steps) as (report, _):
        errors = train_joint(loaded, BodyModel.load(), *people, out, options, report)
    show_result("joint", errors, out, ("loss",), "held_out_body_mm")


@contextmanager
def _steps_of(name: str, steps: int) -> Iterator[tuple[Callable[[int, dict[str, float]], None], Console]]:
    """A bar that hears of the steps of a training, and where to print beside it."""
    with progress_bar(transient=False) as progress:
        task = progress.add_task(name, total=steps)

        def report(done: int, row: dict[str, float]) -> None:
            held = [f"{key.removeprefix('held_out_')} {row[key]:.1f}" for key in row if key.startswith("held_out")]
            state = f"loss {row['loss']:.3f}" + (f"  held out {' '.join(held[:3])}" if held else "")
            progress.update(task, completed=done, description=f"{name}  {state}")

        yield report, progress.console


def show_result(
    name: str,
    errors: dict[str, float],
    out: Path,
    losses: tuple[str, ...],
    held_out: str | None = None,
    label: str = "held-out error (mm)",
) -> None:
    """Print the errors of a training, and draw its log."""
    values = "  ".join(f"{key} {value:.4g}" for key, value in errors.items())
    Console().print(f"{name}: {values}")
    plot_log(out / f"{name}_log.csv", out / f"{name}_loss.png", losses, held_out, label)


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
