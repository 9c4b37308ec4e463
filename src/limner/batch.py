"""How are many photos estimated? Progress, one broken photo does not stop the rest, a table at the end."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from limner import __version__
from limner.body.model import BodyModel
from limner.errors import BoxError, LimnerError, OutputError, shown
from limner.estimator import Estimator
from limner.evaluate.resume import stamp, weights_fingerprint
from limner.geometry.box import check_boxes
from limner.geometry.camera import check_focal
from limner.io.box_file import boxes_of, read_boxes
from limner.io.image import Photo, read_photo
from limner.io.keypoint_file import PersonKeypoints, in_pixels, keypoints_of, person_box, read_keypoints, shared_stems
from limner.io.photo_list import PhotoList, find_photos
from limner.official_estimator import EXPOSE_DEFAULTS, ExposeOptions, OfficialEstimator, load_estimator
from limner.pipeline.expose_results import demo_folders, save_expose_results
from limner.pipeline.people import People
from limner.pipeline.photo_note import counted, photo_note
from limner.pipeline.result_names import result_names
from limner.pipeline.result_record import MadeOf, ResultRecord, made_of, read_record
from limner.pipeline.results import check_writable, save_results, sweep_results
from limner.progress import progress_bar

Format = Literal["limner", "expose"]


@dataclass(frozen=True)
class Outcome:
    """What became of one photo: where its results are, or what was wrong with it (None).

    seconds: None where the results of an earlier run were kept.
    """

    photo: Path
    folder: Path | None
    people: int
    seconds: float | None
    note: str


@dataclass(frozen=True)
class Job:
    """One photo to do: its file, the name of its results, its pixels, the boxes of its people if they are known, and
    what its results are made of."""

    file: Path
    name: str
    photo: Photo
    boxes: Tensor | None
    source: MadeOf


class Where:
    """Where users say that people are: a box for every photo, a box file, or keypoints; or nowhere."""

    def __init__(
        self,
        box: tuple[float, ...] = (),
        boxes: Path | None = None,
        keypoints: Path | None = None,
        photos: Sequence[Path] = (),
    ):
        """`photos`: all of the run; keypoints of a name that two of them share are nobody's."""
        given = [name for name, said in (("--box", box), ("--boxes", boxes), ("--keypoints", keypoints)) if said]
        if len(given) > 1:
            raise BoxError(
                f"got {' and '.join(given)}, expected one of them: each says where people are. Leave "
                f"{'one' if len(given) == 2 else 'two'} out."
            )
        self.same = _given_boxes(box)
        self.table = None if boxes is None else read_boxes(boxes)
        self.points = None if keypoints is None else read_keypoints(keypoints)
        self.shared = shared_stems(photos)

    def __call__(self, file: Path, size_px: tuple[int, int] | None = None) -> Tensor | None:
        """The boxes of a photo; None where the detector has to find them.

        size_px: of the photo; without it, boxes of keypoints that are shares of the photo are shares, too. Raises
        BoxError and KeypointFileError.
        """
        if self.table is not None:
            return boxes_of(file, self.table)
        if self.points is not None:
            found = keypoints_of(file, self.points, self.shared)
            return _boxes_about((found if size_px is None else in_pixels(found, size_px)).people)
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
    recursive: bool = False,
    resume: bool = False,
) -> int:
    """Estimate all photos and write results to `out`; returns the exit code: 0, or 1 if a photo failed.

    recursive: folders below those given, too; their results lie in folders of the same names. resume: results in `out`
    that are whole and were made of the same photo with the same options are kept. Raises LimnerError for what concerns
    all photos: no photos, a bad box or focal length, missing weights or body model, a folder that cannot be written.
    """
    found = find_photos(photos, recursive, without=[out])
    where = Where(box, boxes, keypoints, found.photos)
    check_focal(focal_px)
    if resume and "limner" not in formats:
        raise OutputError("--resume needs limner's own results beside the demo's: add --format limner expose.")
    estimator = load_estimator(weights, body_model, refine, expose)
    check_writable(out)
    names = result_names(found.photos, found.below)
    sweep_results(out, names)
    facts = {
        "limner": __version__,
        "weights": weights_fingerprint(weights),
        "body_model": stamp(body_model),
        "focal_px": focal_px,
        "refine": refine,
        "expose": [expose.mode, expose.runtime],
        "formats": sorted(formats),
    }
    run = _Run(estimator, where, focal_px, Writer(out, estimator.body_model, formats), facts, resume)
    size = max(1, batch)
    console = Console()
    with progress_bar(console) as progress:
        task = progress.add_task("estimating", total=len(names))
        for done in run.all(list(zip(found.photos, names, strict=True)), size):
            progress.advance(task, done)
    console.print(_table(run.outcomes, found))
    for remark in (*found.remarks(), estimator.note):
        if remark:
            console.print(Text(remark), soft_wrap=True)
    if any(outcome.folder for outcome in run.outcomes):
        console.print(Text(shown(f"Results are in {out.resolve()}")), soft_wrap=True)
    return 1 if any(outcome.folder is None for outcome in run.outcomes) else 0


def _given_boxes(box: tuple[float, ...]) -> Tensor | None:
    if not box:
        return None
    if len(box) % 4:
        raise BoxError(f"--box takes 4 numbers a person (x0 y0 x1 y1, photo pixels), got {len(box)} numbers.")
    return torch.tensor(box).reshape(-1, 4)


class Writer:
    """Writes photos' people in the formats that were asked for; numbers people through all photos of a run."""

    def __init__(self, out: Path, body_model: BodyModel, formats: Sequence[Format]):
        self.out, self.body_model, self.formats, self.first = out, body_model, formats, 0

    def __call__(self, people: People, job: Job, note: str) -> Path:
        """Where the results are. Raises OutputError."""
        folder = self.out
        source = self.numbered(job.source)
        if "expose" in self.formats:
            save_expose_results(people, job.photo, self.body_model, self.out, self.first)
        if "limner" in self.formats:
            folder = save_results(people, job.photo, self.body_model, self.out / job.name, source, note)
        self.first += len(people)
        return folder

    def numbered(self, source: MadeOf) -> MadeOf:
        """With the number of the next person, where that is part of the result's names."""
        if "expose" not in self.formats:
            return source
        return replace(source, options={**source.options, "first": self.first})


class _Run:
    """Photos from reading to results, in order; their errors become their outcomes."""

    def __init__(
        self,
        estimator: Estimator | OfficialEstimator,
        where: Where,
        focal_px: float | None,
        write: Writer,
        facts: dict[str, Any],
        resume: bool,
    ):
        """`facts`: what all results depend on."""
        self.estimator, self.where, self.focal_px, self.write = estimator, where, focal_px, write
        self.facts, self.resume = facts, resume
        self.outcomes: list[Outcome] = []

    def all(self, files: list[tuple[Path, str]], size: int) -> Iterator[int]:
        """`size` photos at a time; yields how many are done each time."""
        some: list[tuple[Path, str]] = []
        for file, name in files:
            record = read_record(self.write.out / name) if self.resume else None
            if record is not None:
                yield self._together(some)  # numbers of people go on from theirs
                some = []
                if self._is_of(record, file):
                    self.write.first += record.people
                    self.outcomes.append(Outcome(file, self.write.out / name, record.people, None, record.note))
                    yield 1
                    continue
            some.append((file, name))
            if len(some) >= size:
                yield self._together(some)
                some = []
        yield self._together(some)

    def _is_of(self, record: ResultRecord, file: Path) -> bool:
        """Whether a result was made of this photo, as it would be made now, and all of it is there."""
        if not file.is_file():
            return False
        try:
            source = self.write.numbered(made_of(file, self._options(self.where(file))))
        except LimnerError:
            return False  # said when it is tried
        demo = demo_folders(file, self.write.out, self.write.first, record.people)
        return record.made_of == source and ("expose" not in self.write.formats or all(f.is_dir() for f in demo))

    def _options(self, boxes: Tensor | None) -> dict[str, Any]:
        return self.facts | {"boxes": None if boxes is None else boxes.tolist()}

    def _together(self, files: list[tuple[Path, str]]) -> int:
        outcomes: dict[Path, Outcome] = {}
        jobs = []
        for file, name in files:
            try:
                jobs.append(self._job(file, name))
            except LimnerError as error:
                outcomes[file] = Outcome(file, None, 0, 0.0, str(error))
        start = time.perf_counter()
        try:
            found = self._people(jobs)
        except LimnerError as error:
            outcomes |= {job.file: Outcome(job.file, None, 0, 0.0, str(error)) for job in jobs}
            found = []
        seconds = (time.perf_counter() - start) / max(1, len(jobs))
        for job, people in zip(jobs, found, strict=False):
            note = photo_note(people, job.photo, job.boxes)
            try:
                outcomes[job.file] = Outcome(job.file, self.write(people, job, note), len(people), seconds, note)
            except LimnerError as error:
                outcomes[job.file] = Outcome(job.file, None, 0, 0.0, str(error))
        self.outcomes += [outcomes[file] for file, _ in files]
        return len(files)

    def _job(self, file: Path, name: str) -> Job:
        photo = read_photo(file)
        boxes = self.where(file, (photo.width, photo.height))
        if boxes is not None:  # here already, so that a bad box is an error of its photo and not of all photos with it
            check_boxes(boxes, photo.width, photo.height)
        return Job(file, name, photo, boxes, made_of(file, self._options(self.where(file))))

    def _people(self, jobs: list[Job]) -> list[People]:
        if not jobs:
            return []
        return self.estimator.together([job.photo for job in jobs], [job.boxes for job in jobs], self.focal_px)


def _boxes_about(people: Sequence[PersonKeypoints]) -> Tensor:
    """Boxes about the people of a keypoint file, a tenth larger than their points."""
    boxes = [box for person in people if (box := person_box(person)) is not None]
    if not boxes:
        return torch.zeros(0, 4)
    stacked = torch.stack(boxes).float()
    grow = 0.1 * (stacked[:, 2:] - stacked[:, :2]).amax(-1, keepdim=True)
    return torch.cat([stacked[:, :2] - grow, stacked[:, 2:] + grow], -1)


def _table(outcomes: Sequence[Outcome], found: PhotoList) -> Table:
    """A row a photo, then what was left out."""
    kept = sum(o.seconds is None for o in outcomes)
    parts = [counted(len(outcomes), "photo"), f"{kept} kept" * (kept > 0)]
    parts.append(f"{len(found.left_out)} left out" * bool(found.left_out))
    table = Table(title=", ".join(part for part in parts if part))
    table.add_column("photo", overflow="fold")
    table.add_column("people", justify="right")
    table.add_column("seconds", justify="right")
    table.add_column("note", overflow="fold")
    for below, o in zip(found.below, outcomes, strict=True):
        people = "-" if o.folder is None else str(o.people)
        seconds = "-" if o.folder is None else "kept" if o.seconds is None else f"{o.seconds:.2f}"
        # as Text: brackets in names and messages are no markup
        row = Text(shown(str(below / o.photo.name))), people, seconds, Text(shown(o.note))
        table.add_row(*row, style="red" if o.folder is None else None)
    for one in found.left_out:
        table.add_row(Text(shown(one.file.name)), "-", "-", Text(shown(f"left out: {one.reason}")), style="yellow")
    return table
