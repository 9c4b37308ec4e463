"""How are many photos estimated? Progress, one broken photo does not stop the rest, a table at the end."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text
from torch import Tensor

from limner.errors import BoxError, LimnerError, PhotoError
from limner.estimator import Estimator
from limner.io.image import list_photos, read_photo
from limner.io.keypoint_file import PhotoKeypoints, keypoints_of, person_box, read_keypoints
from limner.pipeline.people import People
from limner.pipeline.results import check_writable, result_names, save_results


@dataclass(frozen=True)
class Outcome:
    """What became of one photo: where its results are, or what was wrong with it."""

    photo: Path
    folder: Path | None
    people: int
    seconds: float
    note: str


def estimate_photos(
    photos: Sequence[Path],
    out: Path,
    box: tuple[float, ...] = (),
    keypoints: Path | None = None,
    weights: str = "limner",
    body_model: Path | None = None,
    focal_px: float | None = None,
    refine: bool = True,
) -> int:
    """Estimate all photos and write results to `out`; returns the exit code: 0, or 1 if a photo failed.

    Raises LimnerError for what concerns all photos: no photos, a bad box or focal length, missing weights or body
    model, a folder that cannot be written.
    """
    files = list_photos(photos)
    boxes = _given_boxes(box)
    if boxes is not None and keypoints is not None:
        raise BoxError("got --box and --keypoints, expected one of them: both say where people are. Leave one out.")
    if focal_px is not None and not 0 < focal_px < float("inf"):
        raise PhotoError(
            f"focal length of {focal_px:g} px, expected a positive number. Leave it out if you do not know."
        )
    points = None if keypoints is None else read_keypoints(keypoints)
    estimator = Estimator.load(weights, body_model, refine)
    check_writable(out)
    names = result_names(files)
    console = Console()
    outcomes = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("estimating", total=len(files))
        for file, name in zip(files, names, strict=True):
            outcomes.append(_one(estimator, file, out / name, boxes, points, focal_px))
            progress.advance(task)
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


def _one(
    estimator: Estimator,
    file: Path,
    folder: Path,
    boxes: Tensor | None,
    points: dict[str, PhotoKeypoints] | None,
    focal_px: float | None,
) -> Outcome:
    """One photo from reading to results; its errors become its outcome."""
    try:
        photo = read_photo(file)
        if points is not None:
            boxes = _boxes_of(file, points)
        start = time.perf_counter()
        people = estimator(photo, boxes, focal_px)
        seconds = time.perf_counter() - start
        save_results(people, photo, estimator.body_model, folder)
    except LimnerError as error:
        return Outcome(file, None, 0, 0.0, str(error))
    return Outcome(file, folder, len(people), seconds, _note(people))


def _boxes_of(file: Path, points: dict[str, PhotoKeypoints]) -> Tensor:
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
