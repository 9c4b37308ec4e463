"""`limner experiments`: ask about everybody, add up, write numbers, plots and the page."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from limner.body.model import BodyModel
from limner.estimator import Estimator
from limner.experiments.answers import Answers, Questioner
from limner.experiments.backbones import backbone_times
from limner.experiments.page import page
from limner.experiments.people import Shown, shown_people
from limner.experiments.photos import score_photos
from limner.experiments.plots import draw_plots, side_by_side
from limner.experiments.summary import correlations, summarise
from limner.geometry.box import Squares
from limner.geometry.warp import crop
from limner.io.atomic import atomic_write
from limner.io.image import read_photo, write_image
from limner.synth.light import read_panoramas
from limner.synth.people import SyntheticPeople
from limner.synth.sampler import PersonSampler

THUMB_PX = 320
"""Side of the small pictures of the people that are kept for the page."""
SHOWN, COLUMNS = 8, 4


@dataclass(frozen=True)
class Plan:
    """What a run does: so many people, the first `fits` of them with optimisation; so many people of each photo set."""

    people: int = 40
    fits: int = 20
    seed: int = 2020
    photo_px: int = 2048
    photo_limit: int = 60
    poses: Path | None = None
    hdri: Path | None = None
    photos: Path | None = None

    def command(self) -> str:
        """How to make the same numbers again."""
        given = (
            ("--poses", self.poses, "cmu_poses.npz"),
            ("--hdri", self.hdri, "HDRI"),
            ("--photos", self.photos, "PHOTOS"),
        )
        options = "".join(f" {name} {stand_in}" for name, path, stand_in in given if path is not None)
        return f"limner experiments --out DIR --people {self.people} --fits {self.fits} --seed {self.seed}{options}"


def run_experiments(out: Path, plan: Plan, weights: str = "limner") -> None:
    """Everything, into `out`: experiments.json, experiments.md, images/; answers stay in people/ and photos.json.

    Who and what was measured there already is not measured again. Raises LimnerError for missing data or weights.
    """
    torch.set_num_threads(1)  # times are CPU times of one thread
    out.mkdir(parents=True, exist_ok=True)
    console = Console()
    estimator = Estimator.load(weights)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        people = ask_everybody(out / "people", estimator, plan, progress)
        photos = _photo_rows(out / "photos.json", estimator, plan, progress)
    content = {
        "what": "ExPose's experiments on limner's data",
        "command": plan.command(),
        "people": len(people),
        "fits": min(plan.fits, len(people)),
        "seed": plan.seed,
        "photo_px": plan.photo_px,
        "weights": weights,
        "experiments": summarise(people),
        "correlations": correlations(people),
        "backbones": backbone_times(),
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


def ask_everybody(folder: Path, estimator: Estimator, plan: Plan, progress: Progress) -> list[Answers]:
    """Everybody's answers; who is in `folder` already is not asked again."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"person_{number:04d}.json" for number in range(plan.people)]
    done = frozenset(number for number, file in enumerate(files) if file.exists())
    task = progress.add_task("people", total=plan.people, completed=len(done))
    if len(done) < plan.people:
        questioner = Questioner(estimator)
        synthetic = _synthetic(estimator.body_model, plan)
        for person in shown_people(synthetic, plan.people, plan.seed, done):
            answers = questioner.ask(person, with_fits=person.number < plan.fits)
            write_image(folder / f"person_{person.number:04d}.png", _thumb(person))
            with atomic_write(files[person.number]) as file:
                file.write(json.dumps(answers, indent=1).encode())
            progress.advance(task)
    return [json.loads(file.read_text()) for file in files]


def _synthetic(model: BodyModel, plan: Plan) -> SyntheticPeople:
    panoramas = None if plan.hdri is None else read_panoramas(plan.hdri, torch.device("cpu"))
    return SyntheticPeople(model, PersonSampler(model, plan.poses), panoramas, plan.photo_px)


def _thumb(person: Shown) -> UInt8[Tensor, "3 S S"]:
    side = float(person.photo.shape[-1])
    whole = Squares(torch.full((1, 2), side / 2), torch.tensor([side]), torch.zeros(1))
    return (crop(person.photo, whole, THUMB_PX).pixels[0] * 255).round().to(torch.uint8)


def _photo_rows(cache: Path, estimator: Estimator, plan: Plan, progress: Progress) -> Sequence[dict[str, object]]:
    """Scores on labelled photos, from the cache where they are there already."""
    if plan.photos is None:
        return []
    if not cache.exists():
        task = progress.add_task("people in photos", total=None)
        rows = score_photos(plan.photos, estimator, plan.photo_limit, lambda count: progress.advance(task, count))
        with atomic_write(cache) as file:
            file.write(json.dumps(rows, indent=1).encode())
    found: list[dict[str, object]] = json.loads(cache.read_text())
    return found


def _write_thumbs(folder: Path, picture: Path, people: int) -> None:
    """Some of the people side by side."""
    count = min(SHOWN, people)
    pictures = [read_photo(folder / f"person_{number:04d}.png").pixels for number in range(count)]
    write_image(picture, side_by_side(pictures, min(COLUMNS, count)))
