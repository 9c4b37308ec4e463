"""How are many photos estimated? Progress, one broken photo does not stop the rest, a table at the end."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text
from torch import Tensor

from limner.body.model import BodyModel
from limner.errors import BoxError, LimnerError, PhotoError
from limner.estimator import Estimator
from limner.geometry.box import check_boxes
from limner.io.box_file import boxes_of, read_boxes
from limner.io.image import Photo, read_photo
from limner.io.keypoint_file import PhotoKeypoints, keypoints_of, person_box, read_keypoints
from limner.io.photo_list import list_photos
from limner.official_estimator import EXPOSE_DEFAULTS, ExposeOptions, OfficialEstimator, load_estimator
from limner.pipeline.expose_results import save_expose_results
from limner.pipeline.people import People
from limner.pipeline.results import check_writable, result_names, save_results

Format = Literal["limner", "expose"]


@dataclass(frozen=True)
class Outcome:
    """What became of one photo: where its results are, or what was wrong with it."""

    photo: Path
    folder: Path | None
    people: int
    seconds: float
    note: str


@dataclass(frozen=True)
class Job:
    """One photo to do: its file, the name of its results, its pixels, and the boxes of its people if they are known."""

    file: Path
    name: str
    photo: Photo
    boxes: Tensor | None


class Where:
    """Where users say that people are: a box for every photo, a box file, or keypoints; or nowhere."""

    def __init__(self, box: tuple[float, ...] = (), boxes: Path | None = None, keypoints: Path | None = None):
        given = [name for name, said in (("--box", box), ("--boxes", boxes), ("--keypoints", keypoints)) if said]
        if len(given) > 1:
            raise BoxError(
                f"got {' and '.join(given)}, expected one of them: each says where people are. Leave "
                f"{'one' if len(given) == 2 else 'two'} out."
            )
        self.same = _given_boxes(box)
        self.table = None if boxes is None else read_boxes(boxes)
        self.points = None if keypoints is None else read_keypoints(keypoints)

    def __call__(self, file: Path) -> Tensor | None:
        """The boxes of a photo; None where the detector has to find them. Raises BoxError and KeypointFileError."""
        if self.table is not None:
            return boxes_of(file, self.table)
        if self.points is not None:
            return _boxes_about(file, self.points)
        return self.same


def estimate_photos(
    photos: Sequence[Path],
    out: Path,
    box: tuple[float, ...] = (),
    keypoints: Path | None = None,
    weights: str = "limner",
    body_model: Path | None = None,
    focal_px: float | None = None,
    refine: bool = True,
    boxes: Path | None = None,
    formats: Sequence[Format] = ("limner",),
    batch: int = 1,
    expose: ExposeOptions = EXPOSE_DEFAULTS,
) -> int:
    """Estimate all photos and write results to `out`; returns the exit code: 0, or 1 if a photo failed.

    Raises LimnerError for what concerns all photos: no photos, a bad box or focal length, missing weights or body
    model, a folder that cannot be written.
    """
    files = list_photos(photos)
    where = Where(box, boxes, keypoints)
    if focal_px is not None and not 0 < focal_px < float("inf"):
        raise PhotoError(
            f"focal length of {focal_px:g} px, expected a positive number. Leave it out if you do not know."
        )
    estimator = load_estimator(weights, body_model, refine, expose)
    check_writable(out)
    console = Console()
    outcomes: list[Outcome] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("estimating", total=len(files))
        size = max(1, batch) if isinstance(estimator, OfficialEstimator) else 1
        for some in _chunks(list(zip(files, result_names(files), strict=True)), size):
            first = sum(outcome.people for outcome in outcomes)
            outcomes += _together(estimator, some, where, focal_px, Writer(out, estimator.body_model, formats, first))
            progress.advance(task, len(some))
    console.print(_table(outcomes))
    if any(outcome.folder for outcome in outcomes):
        console.print(Text(f"Results are in {out.resolve()}"), soft_wrap=True)
    return 1 if any(outcome.folder is None for outcome in outcomes) else 0


def _given_boxes(box: tuple[float, ...]) -> Tensor | None:
    if not box:
        return None
    if len(box) % 4:
        raise BoxError(f"--box takes 4 numbers a person (x0 y0 x1 y1, photo pixels), got {len(box)} numbers.")
    return torch.tensor(box).reshape(-1, 4)


def _chunks(files: list[tuple[Path, str]], size: int) -> list[list[tuple[Path, str]]]:
    return [files[start : start + size] for start in range(0, len(files), size)]


class Writer:
    """Writes photos' people in the formats that were asked for; numbers people through all photos of a run."""

    def __init__(self, out: Path, body_model: BodyModel, formats: Sequence[Format], first: int):
        self.out, self.body_model, self.formats, self.first = out, body_model, formats, first

    def __call__(self, people: People, job: Job) -> Path:
        """Where the results are. Raises OutputError."""
        folder = self.out
        if "expose" in self.formats:
            save_expose_results(people, job.photo, self.body_model, self.out, self.first)
        if "limner" in self.formats:
            folder = save_results(people, job.photo, self.body_model, self.out / job.name)
        self.first += len(people)
        return folder


def _together(
    estimator: Estimator | OfficialEstimator,
    files: list[tuple[Path, str]],
    where: Where,
    focal_px: float | None,
    write: Writer,
) -> list[Outcome]:
    """Some photos from reading to results, in order; their errors become their outcomes."""
    outcomes: dict[Path, Outcome] = {}
    jobs = []
    for file, name in files:
        try:
            jobs.append(_job(file, name, where))
        except LimnerError as error:
            outcomes[file] = Outcome(file, None, 0, 0.0, str(error))
    start = time.perf_counter()
    try:
        found = _people(estimator, jobs, focal_px)
    except LimnerError as error:
        outcomes |= {job.file: Outcome(job.file, None, 0, 0.0, str(error)) for job in jobs}
        found = []
    seconds = (time.perf_counter() - start) / max(1, len(jobs))
    for job, people in zip(jobs, found, strict=False):
        try:
            outcomes[job.file] = Outcome(job.file, write(people, job), len(people), seconds, _note(people))
        except LimnerError as error:
            outcomes[job.file] = Outcome(job.file, None, 0, 0.0, str(error))
    return [outcomes[file] for file, _ in files]


def _job(file: Path, name: str, where: Where) -> Job:
    photo = read_photo(file)
    boxes = where(file)
    if boxes is not None:  # here already, so that a bad box is an error of its photo and not of all photos with it
        check_boxes(boxes, photo.width, photo.height)
    return Job(file, name, photo, boxes)


def _people(estimator: Estimator | OfficialEstimator, jobs: list[Job], focal_px: float | None) -> list[People]:
    """The official network takes several photos at once; limner's own takes the people of one photo together."""
    if isinstance(estimator, OfficialEstimator) and jobs:
        return estimator.together([job.photo for job in jobs], [job.boxes for job in jobs], focal_px)
    return [estimator(job.photo, job.boxes, focal_px) for job in jobs]


def _boxes_about(file: Path, points: dict[str, PhotoKeypoints]) -> Tensor:
    """Boxes about the people of a keypoint file, a tenth larger than their points."""
    boxes = [box for person in keypoints_of(file, points).people if (box := person_box(person)) is not None]
    if not boxes:
        return torch.zeros(0, 4)
    stacked = torch.stack(boxes).float()
    grow = 0.1 * (stacked[:, 2:] - stacked[:, :2]).amax(-1, keepdim=True)
    return torch.cat([stacked[:, :2] - grow, stacked[:, 2:] + grow], -1)


def _note(people: People) -> str:
    if not len(people):
        return "nobody found"
    untrusted = {
        "hand": int((~torch.cat([people.left_hand_trusted, people.right_hand_trusted])).sum()),
        "face": int((~people.face_trusted).sum()),
    }
    unseen = [f"{count} {name}{'s' * (count != 1)}" for name, count in untrusted.items() if count]
    return f"{' and '.join(unseen)} from the body alone" if unseen else ""


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table(title=f"{len(outcomes)} photo{'s' * (len(outcomes) != 1)}")
    table.add_column("photo", overflow="fold")
    table.add_column("people", justify="right")
    table.add_column("seconds", justify="right")
    table.add_column("note", overflow="fold")
    for o in outcomes:
        style = "red" if o.folder is None else None
        people, seconds = ("-", "-") if o.folder is None else (str(o.people), f"{o.seconds:.2f}")
        # as Text: brackets in names and messages are no markup
        table.add_row(Text(o.photo.name), people, seconds, Text(o.note), style=style)
    return table
