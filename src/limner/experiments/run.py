"""`limner experiments`: ask about everybody, add up, write numbers, plots and the page."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from limner.body.model import BodyModel
from limner.errors import DataSetError
from limner.estimator import Estimator
from limner.evaluate.resume import fingerprint, folder_fingerprint, stamp, weights_fingerprint
from limner.experiments.backbones import backbone_times, read_backbones
from limner.experiments.page import page
from limner.experiments.people import Shown, shown_people
from limner.experiments.photos import chosen_sets, score_photos
from limner.experiments.plots import draw_plots, side_by_side
from limner.experiments.summary import correlations, summarise
from limner.experiments.variants import Group, VariantErrors, VariantRunner
from limner.geometry.box import Squares
from limner.geometry.warp import crop
from limner.io.atomic import atomic_write
from limner.io.image import read_photo, write_image
from limner.progress import progress_bar
from limner.reading.json_file import read_json
from limner.reading.told import RefusedError, told_as
from limner.synth.light import read_panoramas
from limner.synth.people import SyntheticPeople
from limner.synth.sampler import PersonSampler

THUMB_PX = 320
"""Side of the small pictures of the people that are kept for the page."""
SHOWN, COLUMNS = 8, 4


FORM = 2
"""Of what is kept of a person; other forms are asked for again."""


@dataclass(frozen=True)
class Plan:
    """What a run does: so many people, the first `fits` of them with optimisation; so many people of each photo set.

    tuned: weights from after end-to-end fine-tuning, compared with those of the run; backbones: JSON of trained ones.
    """

    people: int = 40
    fits: int = 20
    seed: int = 2020
    photo_px: int = 2048
    photo_limit: int = 60
    poses: Path | None = None
    hdri: Path | None = None
    photos: Path | None = None
    tuned: Path | None = None
    backbones: Path | None = None

    def command(self) -> str:
        """How to make the same numbers again."""
        given = (
            ("--poses", self.poses, "cmu_poses.npz"),
            ("--hdri", self.hdri, "HDRI"),
            ("--photos", self.photos, "PHOTOS"),
            ("--tuned", self.tuned, "WEIGHTS"),
            ("--backbones", self.backbones, "bench/backbones.json"),
        )
        options = "".join(f" {name} {stand_in}" for name, path, stand_in in given if path is not None)
        return f"limner experiments --out DIR --people {self.people} --fits {self.fits} --seed {self.seed}{options}"

    def groups(self, number: int) -> tuple[Group, ...]:
        """What this person is asked about."""
        given: tuple[Group, ...] = ("flow", "sizes")
        if number < self.fits:
            given = (*given, "fits")
        return given if self.tuned is None else (*given, "tuned")

    def keys(self, weights: str) -> dict[Group, str]:
        """By group, what its variants depend on: with the same key they need not be asked for again."""
        who = fingerprint(FORM, self.seed, self.photo_px, stamp(self.poses), self.hdri and folder_stamps(self.hdri))
        now = fingerprint(who, weights_fingerprint(weights))
        tuned = fingerprint(who, self.tuned and weights_fingerprint(self.tuned))
        return {"flow": now, "sizes": now, "fits": now, "tuned": tuned}


def folder_stamps(folder: Path) -> list[tuple[str, int]]:
    """Names and sizes of the files in a folder."""
    return [(file.name, file.stat().st_size) for file in sorted(folder.iterdir()) if file.is_file()]


def run_experiments(out: Path, plan: Plan, weights: str = "limner") -> None:
    """Everything, into `out`: experiments.json, experiments.md, images/; variants stay in people/ and photos/.

    What is there already, of the same weights and people, is not asked for again: a run can be stopped at any moment.
    Raises LimnerError for missing data or weights.
    """
    torch.set_num_threads(1)  # times are CPU times of one thread
    trained = [] if plan.backbones is None else read_backbones(plan.backbones)
    out.mkdir(parents=True, exist_ok=True)
    console = Console()
    estimator = Estimator.load(weights)
    tuned = None if plan.tuned is None else Estimator.load(plan.tuned)
    with progress_bar(console, transient=False) as progress:
        people = ask_everybody(out / "people", VariantRunner(estimator, tuned), plan, plan.keys(weights), progress)
        photos = _photo_rows(out / "photos", estimator, plan, weights, progress)
    content = {
        "what": "ExPose's experiments on limner's data",
        "command": plan.command(),
        "people": len(people),
        "fits": min(plan.fits, len(people)),
        "seed": plan.seed,
        "photo_px": plan.photo_px,
        "weights": weights,
        "weights_fingerprint": weights_fingerprint(weights),
        "experiments": summarise(people),
        "correlations": correlations(people),
        "backbones": backbone_times(),
        "trained_backbones": trained,
        "photos": photos,
    }
    write_results(out, content)
    _write_thumbs(out / "people", out / "images" / "experiments_people.jpg", len(people))
    console.print(f"Results are in {out.resolve()}: start with experiments.md", soft_wrap=True)


def write_results(out: Path, content: dict[str, Any]) -> None:
    """experiments.json, and what is made of it alone: experiments.md and the plots in images/."""
    with atomic_write(out / "experiments.json") as file:
        file.write(json.dumps(content, indent=1).encode())
    with atomic_write(out / "experiments.md") as file:
        file.write(page(content).encode())
    draw_plots(content, out / "images")


def ask_everybody(
    folder: Path, runner: VariantRunner, plan: Plan, keys: dict[Group, str], progress: Progress
) -> list[VariantErrors]:
    """Everybody's variants; a person is not asked again for a group that is in `folder` under the same key."""
    folder.mkdir(parents=True, exist_ok=True)
    known = [_known(folder / f"person_{number:04d}.json", keys) for number in range(plan.people)]
    wanted = [plan.groups(number) for number in range(plan.people)]
    done = frozenset(number for number, groups in enumerate(wanted) if set(groups) <= known[number].keys())
    tasks = {
        group: progress.add_task(
            f"people: {group}",
            total=sum(group in groups for groups in wanted),
            completed=sum(group in groups and group in had for groups, had in zip(wanted, known, strict=True)),
        )
        for group in dict.fromkeys(group for groups in wanted for group in groups)
    }
    if len(done) < plan.people:
        synthetic = _synthetic(runner.model, plan)
        for person in shown_people(synthetic, plan.people, plan.seed, done):
            file = folder / f"person_{person.number:04d}.json"
            write_image(file.with_suffix(".png"), _thumb(person))
            for group in wanted[person.number]:
                if group not in known[person.number]:
                    known[person.number][group] = runner.ask(person, group)
                    _keep(file, known[person.number], keys)
                    progress.advance(tasks[group])
    return [
        {name: errors for group in groups for name, errors in had[group].items()}
        for groups, had in zip(wanted, known, strict=True)
    ]


def _known(file: Path, keys: dict[Group, str]) -> dict[Group, VariantErrors]:
    """Groups of variants in a person's file that were given under today's keys."""
    if not file.exists():
        return {}
    with told_as(DataSetError, file, "Delete it: it is made again."):
        content = read_json(file)
        return {group: content[group]["answers"] for group in keys if content.get(group, {}).get("key") == keys[group]}


def _keep(file: Path, variants: dict[Group, VariantErrors], keys: dict[Group, str]) -> None:
    content = {group: {"key": keys[group], "answers": given} for group, given in variants.items()}
    with atomic_write(file) as stream:
        stream.write(json.dumps(content, indent=1).encode())


def _synthetic(model: BodyModel, plan: Plan) -> SyntheticPeople:
    panoramas = None if plan.hdri is None else read_panoramas(plan.hdri, torch.device("cpu"))
    return SyntheticPeople(model, PersonSampler(model, plan.poses), panoramas, plan.photo_px)


def _thumb(person: Shown) -> UInt8[Tensor, "3 S S"]:
    side = float(person.photo.shape[-1])
    whole = Squares(torch.full((1, 2), side / 2), torch.tensor([side]), torch.zeros(1))
    return (crop(person.photo, whole, THUMB_PX).pixels[0] * 255).round().to(torch.uint8)


def _photo_rows(
    folder: Path, estimator: Estimator, plan: Plan, weights: str, progress: Progress
) -> list[dict[str, object]]:
    """Scores on labelled photos, a file a set; a set is not scored again where it was with the same weights."""
    if plan.photos is None:
        return []
    key = fingerprint(FORM, weights_fingerprint(weights), plan.photo_limit, folder_fingerprint(plan.photos))
    rows: list[dict[str, object]] = []
    for photo_set in chosen_sets(plan.photos, plan.photo_limit):
        cache = folder / f"{photo_set.name}.json"
        kept: dict[str, Any] = {}
        if cache.exists():
            with told_as(DataSetError, cache, "Delete it: it is made again."):
                kept = read_json(cache)
                if not isinstance(kept["key"], str) or not all(isinstance(row, dict) for row in kept["rows"]):
                    raise RefusedError("its rows are not as limner writes them")
        task = progress.add_task(f"photos: {photo_set.name}", total=len(photo_set.people))
        if kept.get("key") != key:
            kept = {"key": key, "rows": score_photos(photo_set, estimator, partial(progress.advance, task))}
            with atomic_write(cache) as file:
                file.write(json.dumps(kept, indent=1).encode())
        progress.update(task, completed=len(photo_set.people))
        rows += kept["rows"]
    return rows


def _write_thumbs(folder: Path, picture: Path, people: int) -> None:
    """Some of the people side by side."""
    count = min(SHOWN, people)
    pictures = [read_photo(folder / f"person_{number:04d}.png").pixels for number in range(count)]
    write_image(picture, side_by_side(pictures, min(COLUMNS, count)))
