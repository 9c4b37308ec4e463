"""The work on a handful of photos. Look at each, fit all their people at once, score; in any process."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch.nn.functional import pad

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.curate.observe import observe, thumbs
from limner.curate.records import Judged, Seen
from limner.curate.score import judge
from limner.errors import failure
from limner.estimator import Estimator
from limner.fit.fitter import Fitter
from limner.fit.prior import PosePriors
from limner.fit.records import FitTargets, fit_targets
from limner.fit.vposer import owned_priors
from limner.geometry.camera import photo_camera
from limner.io.image import Photo, read_photo
from limner.io.keypoint_file import PhotoKeypoints, in_pixels, keypoints_of, read_keypoints
from limner.records import join


@runtime_checkable
class Worker(Protocol):
    """What the run needs of whoever looks and fits."""

    def observe(self, photo: Photo) -> Seen:
        """Everybody in a photo."""
        ...

    def fit(self, seen: Seen) -> Judged:
        """Fit and score people of any number of photos."""
        ...


MakeWorker = Callable[[], Worker]


@dataclass(frozen=True)
class Settings:
    """How a worker is made; the same everywhere. keypoints: a keypoint file, or a folder with one a photo; vposer: an
    owner's prior of body poses; shared: names of several photos, whose keypoints are nobody's."""

    weights: str = "limner"
    body_model: Path | None = None
    keypoints: Path | None = None
    focal_px: float | None = None
    vposer: Path | None = None
    shared: frozenset[str] = frozenset()

    def __call__(self) -> Worker:
        return FitWorker(self)


class FitWorker:
    """limner's own estimator and fitter."""

    def __init__(self, settings: Settings):
        self.settings = settings
        priors = owned_priors(settings.vposer)
        self.estimator = Estimator.load(settings.weights, settings.body_model)
        self.judge = Refitter(self.estimator.body_model, priors)
        given = settings.keypoints
        self.points = read_keypoints(given) if given is not None and given.is_file() else None

    def observe(self, photo: Photo) -> Seen:
        """Everybody in a photo: found by the detector, or where the keypoint file has them."""
        return observe(self.estimator, photo, self._given(photo), self.settings.focal_px)

    def fit(self, seen: Seen) -> Judged:
        """Fit from the estimates, and score."""
        return self.judge(seen)

    def _given(self, photo: Photo) -> FitTargets | None:
        if self.settings.keypoints is None:
            return None
        points = read_keypoints_of(self.settings.keypoints, photo.path) if self.points is None else self.points
        people = in_pixels(keypoints_of(photo.path, points, self.settings.shared), (photo.width, photo.height)).people
        focal_px = self.settings.focal_px or photo.focal_px
        targets = fit_targets(people, photo_camera(photo.width, photo.height, focal_px, len(people)))
        sides = targets.boxes[:, 2:] - targets.boxes[:, :2]
        usable = (sides >= 1).all(-1)
        grow = 0.1 * sides.amax(-1, keepdim=True)  # boxes about points end inside the body
        boxes = torch.cat([targets.boxes[:, :2] - grow, targets.boxes[:, 2:] + grow], -1)
        return replace(targets, boxes=boxes)[usable.nonzero()[:, 0]]


class Refitter:
    """Fit and score people from what was seen of them: no networks, no photo; what the review page needs."""

    def __init__(self, model: BodyModel, priors: PosePriors | None = None):
        self.model = model
        self.fitter = Fitter(model, priors=priors)

    def __call__(self, seen: Seen) -> Judged:
        fits = self.fitter(seen.targets, start=_of_size(seen.estimate, self.model))
        with torch.no_grad():
            return judge(self.model, seen, fits)


def _of_size(params: BodyParams, model: BodyModel) -> BodyParams:
    """The same people with as many coefficients as the model has: networks may give fewer."""
    more = model.num_betas - params.betas.shape[1], model.num_expression - params.expression.shape[1]
    return params.replace(betas=pad(params.betas, (0, more[0])), expression=pad(params.expression, (0, more[1])))


def read_keypoints_of(folder: Path, photo: Path) -> dict[str, PhotoKeypoints]:
    """The keypoint file of one photo in a folder of many, without reading the others."""
    for name in (f"{photo.stem}_keypoints.json", f"{photo.stem}.json"):
        if (folder / name).is_file():
            return read_keypoints(folder / name)
    return {}


@dataclass(frozen=True)
class Item:
    """A photo to work on; `seen` where the networks have looked already and only the fit lacks."""

    id: int
    path: Path
    seen: Seen | None = None


@dataclass(frozen=True)
class PhotoSeen:
    """A photo was looked at."""

    photo: int
    size_px: tuple[int, int]
    seen: Seen
    thumbs: list[bytes]


@dataclass(frozen=True)
class PhotoFailed:
    """A photo came to nothing, and why."""

    photo: int
    note: str


@dataclass(frozen=True)
class PhotosFitted:
    """People of photos (id, number of people) were fitted, one after the other."""

    photos: list[tuple[int, int]]
    judged: Judged


Message = PhotoSeen | PhotoFailed | PhotosFitted


@dataclass(frozen=True)
class Curation:
    """The `limner.scale.engine.Task` of curated photos; `make` builds a worker, once in each process."""

    make: MakeWorker

    def start(self) -> Callable[[list[Item]], Iterator[Message]]:
        """Build the worker."""
        return partial(work, self.make())

    def left(self, block: list[Item], told: list[Message]) -> list[Item]:
        """Photos with people who are not fitted, and those that nobody looked at."""
        seen = {message.photo: message.seen for message in told if isinstance(message, PhotoSeen)}
        done = {message.photo for message in told if isinstance(message, PhotoFailed)}
        done |= {photo for message in told if isinstance(message, PhotosFitted) for photo, _ in message.photos}
        done |= {photo for photo, people in seen.items() if not len(people)}
        return [replace(item, seen=seen.get(item.id, item.seen)) for item in block if item.id not in done]

    def lost(self, item: Item, why: str) -> Message:
        """The process died."""
        return PhotoFailed(item.id, f"the process that worked on this photo {why}: try again with --retry-failed")


def work(worker: Worker, items: list[Item]) -> Iterator[Message]:
    """Look at photos one by one, then fit all their people in one batch; each message is worth keeping at once."""
    ready: list[tuple[int, Seen]] = []
    for item in items:
        seen = item.seen
        if seen is None:
            message = _look(worker, item)
            yield message
            if isinstance(message, PhotoFailed):
                continue
            seen = message.seen
        if len(seen):
            ready.append((item.id, seen))
    if ready:
        yield from _fit(worker, ready)


def _look(worker: Worker, item: Item) -> PhotoSeen | PhotoFailed:
    try:
        photo = read_photo(item.path)
        seen = worker.observe(photo)
        return PhotoSeen(item.id, (photo.width, photo.height), seen, thumbs(photo, seen.targets.boxes))
    except Exception as error:  # in a run over 100,000 photos a bug that one of them wakes must not stop the night
        return PhotoFailed(item.id, failure(error))


def _fit(worker: Worker, ready: list[tuple[int, Seen]]) -> Iterator[Message]:
    try:
        judged = worker.fit(join([seen for _, seen in ready]))
        yield PhotosFitted([(photo, len(seen)) for photo, seen in ready], judged)
    except Exception as error:
        if len(ready) == 1:
            yield PhotoFailed(ready[0][0], failure(error))
            return
        for one in ready:  # find out whose fault it is
            yield from _fit(worker, [one])
