"""`limner expose`: everybody in many photos by the official network, as the official demo's files or limner's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from limner.batch import PeopleRecipe, PeopleWriter, estimate_photos
from limner.body.model import BodyModel
from limner.errors import OutputError, WeightsError
from limner.evaluate.resume import stamp, weights_fingerprint
from limner.expose.estimator import Mode, OfficialEstimator, Runtime
from limner.expose.results import demo_folders, save_demo_results
from limner.pipeline.people import People
from limner.scale.photos import How, Job, Recipe

Format = Literal["limner", "expose"]


def expose_photos(
    photos: Sequence[Path],
    out: Path,
    weights: str,
    body_model: Path | None = None,
    mode: Mode = "official",
    runtime: Runtime = "torch",
    formats: Sequence[Format] = ("limner",),
    box: tuple[float, ...] = (),
    keypoints: Path | None = None,
    boxes: Path | None = None,
    focal_px: float | None = None,
    recursive: bool = False,
    how: How = How(),  # noqa: B008
) -> int:
    """Estimate all photos and write results to `out` in the formats asked for; see `estimate_photos`.

    weights: as for `OfficialEstimator.load`, or "limner" for limner's own networks in the demo's format. Raises
    OutputError where results could not be resumed.
    """
    if how.resume and "limner" not in formats:
        raise OutputError("--resume needs limner's own results beside the demo's: add --format limner expose.")
    recipe: Recipe[People] = ExposeRecipe(weights, body_model, mode, runtime)
    if weights == "limner":
        if (mode, runtime) != ("official", "torch"):
            raise WeightsError("--mode and --runtime are for official weights, got --weights limner. Leave them out.")
        recipe = PeopleRecipe(body_model=body_model)
    writer = DemoWriter(out, "limner" in formats) if "expose" in formats else PeopleWriter(out)
    return estimate_photos(photos, recipe, writer, box, keypoints, boxes, focal_px, recursive, how)


@dataclass(frozen=True)
class ExposeRecipe(Recipe[People]):
    """How the estimator with the official network is made."""

    weights: str
    body_model: Path | None
    mode: Mode
    runtime: Runtime

    def load(self) -> OfficialEstimator:
        """The estimator. Raises WeightsError and BodyModelError."""
        return OfficialEstimator.load(self.weights, self.body_model, self.mode, self.runtime)

    def facts(self) -> Mapping[str, Any]:
        """What people depend on."""
        return {
            "expose": weights_fingerprint(self.weights),
            "body_model": stamp(self.body_model),
            "mode": self.mode,
            "runtime": self.runtime,
        }


@dataclass(frozen=True)
class DemoWriter(PeopleWriter):
    """Writes the official demo's files, a folder a person, numbered through all photos; limner's too where `both`."""

    both: bool
    numbered = True

    def facts(self) -> Mapping[str, Any]:
        """That there are such files."""
        return {"formats": ["expose"], **super().facts()}

    def write(self, people: People, job: Job, body_model: BodyModel, note: str, first: int) -> None:
        """Write the results of one photo. Raises OutputError."""
        save_demo_results(people, job.photo, body_model, self.out, first)
        if self.both:
            super().write(people, job, body_model, note, first)

    def is_whole(self, file: Path, people: int, first: int) -> bool:
        """Whether the folders are there."""
        return all(folder.is_dir() for folder in demo_folders(file, self.out, first, people))
