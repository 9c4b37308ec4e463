"""Estimates of many photos: each is read, estimated and written by one worker; a broken one is its own error alone."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence, Sized
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

from rich.console import Console
from torch import Tensor

from limner import __version__
from limner.body.model import BodyModel
from limner.errors import failure
from limner.geometry.box import check_boxes
from limner.io.image import Photo, read_photo
from limner.io.photo_list import PhotoList
from limner.pipeline.result_names import result_names
from limner.pipeline.result_record import MadeOf, ResultRecord, made_of, read_record
from limner.pipeline.results import check_writable, sweep_results
from limner.progress import progress_bar
from limner.scale.engine import Engine, EngineError, messages
from limner.scale.report import Outcome, Report
from limner.scale.where import Where

Found = TypeVar("Found", bound=Sized)
"""Who was found in a photo: a People, or a list of hands or faces."""


@runtime_checkable
class Estimates(Protocol[Found]):
    """Finds whom it is made for in photos."""

    @property
    def body_model(self) -> BodyModel:
        """The body that they have."""
        ...

    @property
    def note(self) -> str:
        """What a user should know of all results; mostly nothing."""
        ...

    def together(self, photos: Sequence[Photo], boxes: Sequence[Tensor | None], focal_px: float | None) -> list[Found]:
        """Who is in each of several photos."""
        ...


class Recipe(ABC, Generic[Found]):
    """How an estimator is made, in each process that works: can be pickled."""

    @abstractmethod
    def load(self) -> Estimates[Found]:
        """The estimator. Raises LimnerErrors, which concern all photos."""

    def facts(self) -> Mapping[str, Any]:
        """What results depend on: names to what JSON can hold."""
        return {}


@dataclass(frozen=True)
class Item:
    """A photo to do: its number in the run, its file, the name of its results, where its people are said to be."""

    number: int
    file: Path
    name: str
    where: Where


@dataclass(frozen=True)
class Job:
    """A photo that was read, the boxes of its people if they are known, and what its results are made of."""

    item: Item
    photo: Photo
    boxes: Tensor | None
    source: MadeOf


@dataclass(frozen=True)
class Writer(ABC, Generic[Found]):
    """Writes results into the folder `out`: can be pickled.

    whom: who is written, in the plural. numbered: whether names of results hold numbers of people that run through all
    photos; then one process works.
    """

    out: Path
    whom: str = field(default="people", kw_only=True)
    numbered: ClassVar[bool] = False

    def facts(self) -> Mapping[str, Any]:
        """What results depend on: names to what JSON can hold."""
        return {}

    @abstractmethod
    def note(self, found: Found, job: Job) -> str:
        """What somebody should know of a photo's results."""

    @abstractmethod
    def write(self, found: Found, job: Job, body_model: BodyModel, note: str, first: int) -> None:
        """Write the results of one photo; `first`: people before it. Raises OutputError."""

    def is_whole(self, file: Path, people: int, first: int) -> bool:
        """Whether all is there of a photo's result beside the folder whose record says so itself."""
        return True


@dataclass(frozen=True)
class How:
    """How a run goes: photos that are estimated together, whether whole results in `out` are kept, and who works."""

    batch: int = 1
    resume: bool = False
    engine: Engine = "local"
    workers: int = 0


def run_photos(
    found: PhotoList,
    where: Where,
    recipe: Recipe[Found],
    writer: Writer[Found],
    focal_px: float | None = None,
    how: How = How(),  # noqa: B008
) -> int:
    """Estimate all photos, write results, and tell what became of them; returns the exit code: 0, or 1 if a photo
    failed.

    resume: what is whole and was made of the same photo with the same options is kept. Raises LimnerError for what
    concerns all photos: bad weights or body model, a folder that cannot be written, an engine that is not there.
    """
    names = result_names(found.photos, found.below)
    workers = how.workers
    if writer.numbered:
        if how.engine != "local" or workers > 1:
            raise EngineError(
                "people are numbered through all photos in the demo's files, so one process writes them: leave out "
                "--engine and --workers, or --format expose."
            )
        workers = 1
    sweep_results(writer.out, names)
    facts = {"limner": __version__, "focal_px": focal_px, **recipe.facts(), **writer.facts()}
    task = PhotoTask(recipe, writer, focal_px, facts, how.resume)
    blocks = _blocks(found, names, where, max(1, how.batch))
    console = Console()
    try:
        with (
            Report(found, writer.out, names, writer.whom) as report,
            progress_bar(console) as progress,
            closing(messages(task, blocks, len(names), how.engine, workers)) as outcomes,
        ):
            bar = progress.add_task("estimating", total=len(names))
            for outcome in outcomes:
                report.add(outcome)
                progress.advance(bar)
    finally:
        sweep_results(writer.out, names)  # what killed workers left
    return report.tell(console)


def _blocks(found: PhotoList, names: Sequence[str], where: Where, size: int) -> Iterator[list[Item]]:
    for start in range(0, len(names), size):
        yield [
            Item(number, found.photos[number], names[number], where.only(found.photos[number]))
            for number in range(start, min(start + size, len(names)))
        ]


@dataclass(frozen=True)
class PhotoTask(Generic[Found]):
    """The `limner.scale.engine.Task` of photos; `facts`: what all results depend on."""

    recipe: Recipe[Found]
    writer: Writer[Found]
    focal_px: float | None
    facts: Mapping[str, Any]
    resume: bool

    def start(self) -> "_Worker[Found]":
        """Load the estimator."""
        estimator = self.recipe.load()
        check_writable(self.writer.out)
        return _Worker(self, estimator)

    def left(self, block: list[Item], told: list[Outcome]) -> list[Item]:
        """Photos without an outcome."""
        done = {outcome.number for outcome in told}
        return [item for item in block if item.number not in done]

    def lost(self, item: Item, why: str) -> Outcome:
        """The process died."""
        note = f"the process that worked on this photo {why}. Try it again; if memory is short, with fewer --workers."
        return Outcome(item.number, 0, 0.0, note, failed=True)


@dataclass
class _Worker(Generic[Found]):
    """Photos from reading to results, in order; their errors become their outcomes. `first`: people so far."""

    task: PhotoTask[Found]
    estimator: Estimates[Found]
    first: int = field(default=0)

    def __call__(self, block: list[Item]) -> Iterator[Outcome]:
        some: list[Item] = []
        for item in block:
            record = read_record(self.task.writer.out / item.name) if self.task.resume else None
            if record is not None:
                yield from self._together(some)  # numbers of people go on from theirs
                some = []
                if self._is_of(record, item):
                    self.first += record.people
                    yield Outcome(item.number, record.people, None, record.note)
                    continue
            some.append(item)
        yield from self._together(some)

    def _is_of(self, record: ResultRecord, item: Item) -> bool:
        """Whether a result was made of this photo, as it would be made now, and all of it is there."""
        if not item.file.is_file():
            return False
        try:
            source = self._numbered(self._source(item))
        except Exception:
            return False  # said when it is tried
        return record.made_of == source and self.task.writer.is_whole(item.file, record.people, self.first)

    def _source(self, item: Item) -> MadeOf:
        boxes = item.where(item.file)
        return made_of(item.file, {**self.task.facts, "boxes": None if boxes is None else boxes.tolist()})

    def _numbered(self, source: MadeOf) -> MadeOf:
        """With the number of the next person, where that is part of the result's names."""
        if not self.task.writer.numbered:
            return source
        return replace(source, options={**source.options, "first": self.first})

    def _together(self, items: list[Item]) -> Iterator[Outcome]:
        jobs = []
        for item in items:
            try:
                jobs.append(self._job(item))
            except Exception as error:  # of 100,000 photos, one that wakes a bug must not stop the night
                yield _failed(item, error)
        if not jobs:
            return
        start = time.perf_counter()
        try:
            found = self._estimate(jobs)
        except Exception as error:
            if len(jobs) == 1:
                yield _failed(jobs[0].item, error)
                return
            for item in items:  # find out whose fault it is
                if any(job.item is item for job in jobs):
                    yield from self._together([item])
            return
        seconds = (time.perf_counter() - start) / len(jobs)
        for job, people in zip(jobs, found, strict=True):
            yield self._written(job, people, seconds)

    def _written(self, job: Job, found: Found, seconds: float) -> Outcome:
        writer, numbered = self.task.writer, replace(job, source=self._numbered(job.source))
        try:
            note = writer.note(found, job)
            writer.write(found, numbered, self.estimator.body_model, note, self.first)
        except Exception as error:
            return _failed(job.item, error)
        self.first += len(found)
        return Outcome(job.item.number, len(found), seconds, note, remark=self.estimator.note)

    def _job(self, item: Item) -> Job:
        photo = read_photo(item.file)
        boxes = item.where(item.file, (photo.width, photo.height))
        if boxes is not None:  # here already, so that a bad box is an error of its photo and not of all photos with it
            check_boxes(boxes, photo.width, photo.height)
        return Job(item, photo, boxes, self._source(item))

    def _estimate(self, jobs: list[Job]) -> list[Found]:
        return self.estimator.together([job.photo for job in jobs], [job.boxes for job in jobs], self.task.focal_px)


def _failed(item: Item, error: Exception) -> Outcome:
    return Outcome(item.number, 0, 0.0, failure(error), failed=True)
