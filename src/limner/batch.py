"""Everybody in many photos: `limner estimate`, and what it shares with other networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limner.body.model import BodyModel
from limner.estimator import Estimator
from limner.evaluate.resume import stamp, weights_fingerprint
from limner.geometry.camera import check_focal
from limner.io.photo_list import find_photos
from limner.pipeline.people import People
from limner.pipeline.photo_note import photo_note
from limner.pipeline.result_names import FILES, check_files
from limner.pipeline.results import save_results
from limner.scale.photos import How, Job, Recipe, Writer, run_photos
from limner.scale.where import Where


def estimate_photos(
    photos: Sequence[Path],
    recipe: Recipe[People],
    writer: Writer[People],
    box: tuple[float, ...] = (),
    keypoints: Path | None = None,
    boxes: Path | None = None,
    focal_px: float | None = None,
    recursive: bool = False,
    how: How = How(),  # noqa: B008
) -> int:
    """Estimate all photos and write results; returns the exit code: 0, or 1 if a photo failed.

    recursive: folders below those given, too; their results lie in folders of the same names. Raises LimnerError for
    what concerns all photos: no photos, a bad box or focal length, missing weights or body model, a folder that cannot
    be written.
    """
    found = find_photos(photos, recursive, without=[writer.out])
    where = Where.given(box, boxes, keypoints, found.photos)
    check_focal(focal_px)
    return run_photos(found, where, recipe, writer, focal_px, how)


@dataclass(frozen=True)
class PeopleRecipe(Recipe[People]):
    """How limner's own estimator is made: see `Estimator.load`."""

    weights: str = "limner"
    body_model: Path | None = None
    refine: bool = True

    def load(self) -> Estimator:
        """The estimator. Raises WeightsError and BodyModelError."""
        return Estimator.load(self.weights, self.body_model, self.refine)

    def facts(self) -> Mapping[str, Any]:
        """What people depend on."""
        return {
            "weights": weights_fingerprint(self.weights),
            "body_model": stamp(self.body_model),
            "refine": self.refine,
        }


@dataclass(frozen=True)
class PeopleWriter(Writer[People]):
    """Writes limner's results: a folder a photo, with the files chosen."""

    files: Sequence[str] = field(default=tuple(FILES), kw_only=True)

    def facts(self) -> Mapping[str, Any]:
        """That these files are written."""
        return {"files": sorted(check_files(self.files))}

    def note(self, people: People, job: Job) -> str:
        """See `photo_note`."""
        return photo_note(people, job.photo, job.boxes)

    def write(self, people: People, job: Job, body_model: BodyModel, note: str, first: int) -> None:
        """Write the results of one photo. Raises OutputError."""
        save_results(people, job.photo, body_model, self.out / job.item.name, job.source, note, self.files)
