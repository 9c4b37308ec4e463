"""`limner estimate`: everybody in many photos, by limner's network or the official one, in the formats asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from limner.body.model import BodyModel
from limner.errors import OutputError
from limner.estimator import Estimator
from limner.evaluate.resume import stamp, weights_fingerprint
from limner.geometry.camera import check_focal
from limner.io.photo_list import find_photos
from limner.official_estimator import EXPOSE_DEFAULTS, ExposeOptions, OfficialEstimator, load_estimator
from limner.pipeline.expose_results import demo_folders, save_expose_results
from limner.pipeline.people import People
from limner.pipeline.photo_note import photo_note
from limner.pipeline.results import save_results
from limner.scale.photos import How, Job, run_photos
from limner.scale.where import Where

Format = Literal["limner", "expose"]


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
    expose: ExposeOptions = EXPOSE_DEFAULTS,
    recursive: bool = False,
    how: How = How(),  # noqa: B008
) -> int:
    """Estimate all photos and write results to `out`; returns the exit code: 0, or 1 if a photo failed.

    recursive: folders below those given, too; their results lie in folders of the same names. Raises LimnerError for
    what concerns all photos: no photos, a bad box or focal length, missing weights or body model, a folder that cannot
    be written.
    """
    found = find_photos(photos, recursive, without=[out])
    where = Where.given(box, boxes, keypoints, found.photos)
    check_focal(focal_px)
    if how.resume and "limner" not in formats:
        raise OutputError("--resume needs limner's own results beside the demo's: add --format limner expose.")
    recipe = PeopleRecipe(weights, body_model, refine, expose)
    return run_photos(found, where, recipe, PeopleWriter(out, tuple(formats)), focal_px, how)


@dataclass(frozen=True)
class PeopleRecipe:
    """How an estimator of people is made: see `limner.official_estimator.load_estimator`."""

    weights: str
    body_model: Path | None
    refine: bool
    expose: ExposeOptions

    def load(self) -> Estimator | OfficialEstimator:
        """The estimator. Raises WeightsError and BodyModelError."""
        return load_estimator(self.weights, self.body_model, self.refine, self.expose)

    def facts(self) -> Mapping[str, Any]:
        """What people depend on."""
        return {
            "weights": weights_fingerprint(self.weights),
            "body_model": stamp(self.body_model),
            "refine": self.refine,
            "expose": [self.expose.mode, self.expose.runtime],
        }


@dataclass(frozen=True)
class PeopleWriter:
    """Writes photos' people in the formats that were asked for; the demo's numbers them through all photos of a run."""

    out: Path
    formats: tuple[Format, ...]
    whom = "people"

    @property
    def numbered(self) -> bool:
        """Whether the demo's files are written."""
        return "expose" in self.formats

    def facts(self) -> Mapping[str, Any]:
        """What is written."""
        return {"formats": sorted(self.formats)}

    def note(self, people: People, job: Job) -> str:
        """See `photo_note`."""
        return photo_note(people, job.photo, job.boxes)

    def write(self, people: People, job: Job, body_model: BodyModel, note: str, first: int) -> None:
        """Write the results of one photo. Raises OutputError."""
        if self.numbered:
            save_expose_results(people, job.photo, body_model, self.out, first)
        if "limner" in self.formats:
            save_results(people, job.photo, body_model, self.out / job.item.name, job.source, note)

    def is_whole(self, file: Path, people: int, first: int) -> bool:
        """Whether the demo's folders are there."""
        return not self.numbered or all(one.is_dir() for one in demo_folders(file, self.out, first, people))
