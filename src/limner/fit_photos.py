"""Fits of the people of many photos to given keypoints: in batches over photos, resumed, one bad photo alone."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.errors import KeypointFileError, LimnerError, PhotoError, shown
from limner.estimator import Estimator
from limner.evaluate.resume import fingerprint, stamp, weights_fingerprint
from limner.fit.files import (
    StartBodies,
    fits_entry,
    people_of_fits,
    read_fits_file,
    start_of_folder,
    write_fits_file,
)
from limner.fit.fitter import Fitter
from limner.fit.records import FITTED, Fits, FitTargets, fit_targets, join_fits
from limner.fit.video import fit_video
from limner.fit.vposer import owned_priors
from limner.geometry.camera import check_focal, photo_camera
from limner.io.image import Photo, read_photo
from limner.io.keypoint_file import PhotoKeypoints, in_pixels, keypoints_of, read_keypoints, shared_stems
from limner.io.motion_file import Motion, read_params, write_params
from limner.io.photo_list import PhotoList, find_photos
from limner.pipeline.result_names import result_names
from limner.pipeline.results import check_writable, motion, save_results, sweep_results
from limner.progress import progress_bar
from limner.records import join
from limner.scale.report import tell_left_out

GREY = 200
FITS_FILE = "fits.json"
SHOWN = 5
NO_KEYPOINTS = "no keypoints"


@dataclass(frozen=True)
class Job:
    """One photo to fit: its name in the results, its file (None: keypoints alone), its keypoints, and why it cannot be
    fitted, if so."""

    name: str
    file: Path | None
    keypoints: PhotoKeypoints
    size_px: tuple[int, int] | None
    error: str = ""


@dataclass(frozen=True)
class Ready:
    """A photo that was read: targets of its people, and their starts (None: from typical poses)."""

    job: Job
    photo: Photo
    targets: FitTargets
    starts: list[BodyParams | None]


@dataclass(frozen=True)
class Row:
    """A photo's row of the table at the end."""

    name: str
    people: int
    fitted: int
    note: str
    failed: bool


class Starts:
    """Where fits start: limner's estimate of the photo, typical poses, or results on disk."""

    def __init__(self, start: str, weights: str, body_model: Path | None, model: BodyModel):
        """`start`: "estimate", "mean", a folder that limner wrote, or one `params.npz`."""
        self.bodies, self.path = StartBodies(model), None if start in ("estimate", "mean") else Path(start).expanduser()
        self.estimator = Estimator.load(weights, body_model) if start == "estimate" else None
        self.motion = None if self.path is None or self.path.is_dir() else read_params(self.path)

    @property
    def notes(self) -> list[str]:
        """What the user should know of people of another body than the one that is fitted."""
        converter = self.estimator.converter if isinstance(self.estimator, Estimator) else None
        return self.bodies.notes if converter is None else [converter.note]

    def of(self, photo: Photo, job: Job, targets: FitTargets, first: int) -> list[BodyParams | None]:
        """One start a person of a photo; `first`: how many people came before, for a motion file's frames."""
        starts: list[BodyParams | None] = [None] * len(targets)
        if self.motion is not None:
            return [self.bodies(self.motion, first + k) for k in range(len(targets))]
        if self.path is not None:
            return start_of_folder(self.path / job.name, targets, self.bodies)
        good = [k for k, box in enumerate(targets.boxes.tolist()) if box[2] - box[0] >= 1 and box[3] - box[1] >= 1]
        if self.estimator is None or not good:
            return starts
        boxes = targets.boxes[good]
        grow = 0.1 * (boxes[:, 2:] - boxes[:, :2]).amax(-1, keepdim=True)  # as `limner estimate --keypoints` makes them
        boxes = torch.cat([boxes[:, :2] - grow, boxes[:, 2:] + grow], -1)
        people = self.estimator(photo, boxes, float(targets.camera.focal_px[0]))
        for row, k in enumerate(good):
            starts[k] = people.params[row : row + 1]
        return starts


def fit_photos(
    photos: Sequence[Path],
    keypoints: Path,
    out: Path,
    start: str = "estimate",
    video: bool = False,
    weights: str = "limner",
    body_model: Path | None = None,
    focal_px: float | None = None,
    photo_size: tuple[int, int] | None = None,
    vposer: Path | None = None,
    recursive: bool = False,
) -> int:
    """Fit everybody in keypoint files and write results to `out`; returns 0, or 1 if a photo failed.

    Without photos the keypoints alone are fitted (not from "estimate"); their photos' size is then in the files
    (limner's own) or `photo_size`. With `video` the photos are the frames of one clip, and the n-th person of every
    file is the same. Photos that `out/fits.json` has already, with the same keypoints and options, are skipped (not
    with `video`). `vposer`: an owner's, as prior of the body instead of limner's. `recursive`: folders below those
    given, too. Raises LimnerError for what concerns all photos.
    """
    check_focal(focal_px)
    points = read_keypoints(keypoints)
    found = find_photos(photos, recursive, without=[out]) if photos else None
    jobs = _jobs(found, points, photo_size, start)
    priors = owned_priors(vposer)
    model = BodyModel.load(body_model)
    check_writable(out)
    sweep_results(out, [job.name for job in jobs])
    options = (
        weights_fingerprint(weights) if start == "estimate" else "",
        stamp(body_model and Path(body_model)),
        stamp(vposer and Path(vposer)),
        (start, focal_px),
    )
    made_of = {job.name: fingerprint(*options, *_facts_of(job)) for job in jobs}
    before = read_fits_file(out / FITS_FILE)
    todo = [job for job in jobs if video or before.get(job.name, {}).get("made_of") != made_of[job.name]]
    starts = Starts(start, weights, body_model, model)
    run = _Run(Fitter(model, priors=priors), model, starts, out, focal_px, made_of)
    console = Console()
    begun = time.perf_counter()
    with progress_bar(console) as progress:
        task = progress.add_task("fitting", total=len(todo))
        for rows in run.video(todo) if video else run.batches(todo):
            progress.advance(task, rows)
    console.print(_table(run.rows, len(jobs) - len(todo), time.perf_counter() - begun))
    for note in run.starts.notes:
        console.print(Text(note), soft_wrap=True)
    unused = sorted(points.keys() - {job.file.stem for job in jobs if job.file}) if photos else []
    if unused:
        names = ", ".join(unused[:SHOWN]) + (", ..." if len(unused) > SHOWN else "")
        console.print(
            Text(shown(f"Left out: keypoints of {len(unused)} photos that were not given ({names})")), soft_wrap=True
        )
    if found:
        tell_left_out(console, found)
    console.print(Text(shown(f"Results are in {out.resolve()}")), soft_wrap=True)
    return 1 if any(row.failed for row in run.rows) else 0


def _jobs(
    found: PhotoList | None, points: dict[str, PhotoKeypoints], photo_size: tuple[int, int] | None, start: str
) -> list[Job]:
    """Every photo with its keypoints; without photos every keypoint record."""
    if found is not None:
        return _jobs_of_photos(found, points)
    if start == "estimate":
        raise PhotoError("fitting from limner's estimate needs the photos. Name them, or use --start mean.")
    unknown = [name for name, record in points.items() if (record.size_px or photo_size) is None]
    if unknown:
        raise KeypointFileError(
            f"the size of the photo {unknown[0]!r} is not in its keypoint file. Name the photos, or give --photo-size "
            "WIDTH HEIGHT."
        )
    names = result_names([Path(name).with_name(f"{name}.json") for name in points])
    return [
        Job(name, None, record, record.size_px or photo_size)
        for name, record in zip(names, points.values(), strict=True)
    ]


def _jobs_of_photos(found: PhotoList, points: dict[str, PhotoKeypoints]) -> list[Job]:
    shared = shared_stems(found.photos)
    jobs = []
    for name, file in zip(result_names(found.photos, found.below), found.photos, strict=True):
        record, error = PhotoKeypoints(file.name, []), ""
        if file.stem in points:
            try:
                record = keypoints_of(file, points, shared)
            except KeypointFileError as refusal:
                error = str(refusal)
        jobs.append(Job(name, file, record, None, error))
    if not any(job.keypoints.people or job.error for job in jobs):
        keypoints_of(found.photos[0], points)  # says what is wrong if no photo has keypoints
    return jobs


def _facts_of(job: Job) -> tuple[object, ...]:
    """What a photo's fit depends on beside the options."""
    numbers = []
    for person in job.keypoints.people:
        box = None if person.box is None else person.box.tolist()
        numbers.append((person.name_set, person.xy.tolist(), person.confidence.tolist(), box))
    return stamp(job.file), job.size_px, job.keypoints.camera, numbers


class _Run:
    """The state of one run: what is done and what the table will say."""

    def __init__(
        self,
        fitter: Fitter,
        model: BodyModel,
        starts: Starts,
        out: Path,
        focal_px: float | None,
        made_of: dict[str, str],
    ):
        """`made_of`: of each photo's name a fingerprint of what its fit depends on."""
        self.fitter, self.model, self.starts, self.out = fitter, model, starts, out
        self.focal_px, self.made_of = focal_px, made_of
        self.done: dict[str, Any] = {}
        self.rows: list[Row] = []
        self.people_before = 0

    def batches(self, jobs: Sequence[Job]) -> Iterator[int]:
        """Fit photos until a batch of people is full; yields how many photos are done."""
        batch: list[Ready] = []
        for job in jobs:
            ready = self._read(job)
            if ready is None:
                yield 1
                continue
            batch.append(ready)
            if sum(len(r.targets) for r in batch) >= self.fitter.options.batch:
                yield self._finish(batch)
                batch = []
        if batch:
            yield self._finish(batch)

    def video(self, jobs: Sequence[Job]) -> Iterator[int]:
        """Fit the n-th person of all frames together."""
        frames = [ready for job in jobs if (ready := self._read(job)) is not None]
        most = max((len(f.targets) for f in frames), default=0)
        tracks = []
        for person in range(most):
            targets = join([_person_or_nobody(f.targets, person) for f in frames])
            starts = [f.starts[person] if person < len(f.starts) else None for f in frames]
            whole = join([s for s in starts if s is not None]) if None not in starts else None
            fits = fit_video(self.fitter, targets, whole)
            tracks.append(fits)
            self._write_track(person, fits, targets, frames)
        for k, frame in enumerate(frames):
            present = [t[torch.tensor([k])] for t in tracks[: len(frame.targets)]]
            fits = join_fits(present) if present else self.fitter(frame.targets)
            self._write(frame, fits)
            yield 1
        write_fits_file(self.out / FITS_FILE, self.done)

    def _read(self, job: Job) -> Ready | None:
        """A photo, its targets and starts; None (and a row of the table) where that fails."""
        try:
            if job.error:
                raise KeypointFileError(job.error)
            photo = _photo_of(job)
            lens = job.keypoints.camera
            focal = self.focal_px or photo.focal_px or (lens[0] if lens else None)
            people = in_pixels(job.keypoints, (photo.width, photo.height)).people
            targets = fit_targets(people, photo_camera(photo.width, photo.height, focal, len(people)))
            starts = self.starts.of(photo, job, targets, self.people_before)
            self.people_before += len(targets)
        except LimnerError as error:
            self.rows.append(Row(job.name, len(job.keypoints.people), 0, str(error), True))
            return None
        return Ready(job, photo, targets, starts)

    def _finish(self, batch: list[Ready]) -> int:
        targets = join([r.targets for r in batch])
        fits = fit_with_starts(self.fitter, targets, [start for r in batch for start in r.starts])
        first = 0
        for ready in batch:
            rows = torch.arange(first, first + len(ready.targets))
            first += len(rows)
            self._write(ready, fits[rows])
        write_fits_file(self.out / FITS_FILE, self.done)
        return len(batch)

    def _write(self, ready: Ready, fits: Fits) -> None:
        """Results of one photo; people who were not fitted well are named, not drawn."""
        good = fits.fitted.nonzero()[:, 0]
        people = people_of_fits(self.model, ready.targets[good], fits[good])
        name = ready.job.name
        note = "; ".join(f"person {k}: {v}" for k, v in enumerate(fits.status) if v != FITTED)
        note = note if len(fits) else NO_KEYPOINTS
        try:
            save_results(people, ready.photo, self.model, self.out / name)
        except LimnerError as error:
            self.rows.append(Row(name, len(fits), 0, str(error), True))
            return
        self.done[name] = fits_entry(fits, self.made_of[name])
        self.rows.append(Row(name, len(fits), len(good), note, False))

    def _write_track(self, person: int, fits: Fits, targets: FitTargets, frames: list[Ready]) -> None:
        """One person's motion over the frames in which the fit holds."""
        good = fits.fitted.nonzero()[:, 0]
        if not len(good):
            return
        first = people_of_fits(self.model, targets[good[:1]], fits[good[:1]])
        one = motion(first, self.model, frames[int(good[0])].photo)
        params = fits.params[good]
        track = Motion(
            params.full_pose(), params.transl, params.betas[0], params.expression, one.pelvis_rest, one.body_model
        )
        write_params(self.out / f"track_{person}.npz", track)


def fit_with_starts(fitter: Fitter, targets: FitTargets, starts: Sequence[BodyParams | None]) -> Fits:
    """Fit people who have a start from there, the others from typical poses."""
    order: list[int] = []
    parts = []
    for known in (True, False):
        rows = [k for k, start in enumerate(starts) if (start is not None) is known]
        if rows:
            given = [start for start in starts if start is not None]
            parts.append(fitter(targets[rows], join(given) if known else None))
            order += rows
    if not parts:
        return fitter(targets)
    return join_fits(parts)[torch.tensor(order).argsort()]


def _photo_of(job: Job) -> Photo:
    if job.file is not None:
        return read_photo(job.file)
    assert job.size_px is not None
    width, height = job.size_px
    return Photo(torch.full((3, height, width), GREY, dtype=torch.uint8), None, Path(job.keypoints.photo))


def _person_or_nobody(targets: FitTargets, person: int) -> FitTargets:
    """One person of a frame; a row without confidence where the frame lacks that person."""
    if person < len(targets):
        return targets[[person]]
    camera = targets.camera[:1] if len(targets) else photo_camera(1, 1, 1.0, 1)
    return FitTargets(torch.zeros(1, 144, 2), torch.zeros(1, 144), camera, torch.zeros(1, 4))


def _table(rows: Sequence[Row], skipped: int, seconds: float) -> Table:
    people, fitted = sum(r.people for r in rows), sum(r.fitted for r in rows)
    before = f", {skipped} done before" if skipped else ""
    table = Table(title=f"{fitted} of {people} people fitted in {seconds:.1f} s{before}")
    for column, side in (("photo", "left"), ("people", "right"), ("fitted", "right"), ("note", "left")):
        table.add_column(column, justify=side, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        name, note = Text(shown(row.name)), Text(shown(row.note))
        table.add_row(name, str(row.people), str(row.fitted), note, style="red" if row.failed else None)
    return table
