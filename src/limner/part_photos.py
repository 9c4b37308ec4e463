"""`limner estimate --part`: hands or faces alone in many photos."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import Tensor

from limner.body.model import BodyModel
from limner.estimator import Estimator
from limner.geometry.camera import check_focal
from limner.io.image import Photo
from limner.io.photo_list import find_photos
from limner.pipeline.part_alone import PartAlone, Side
from limner.pipeline.part_results import PART_FILES, save_parts
from limner.pipeline.result_names import check_files
from limner.scale.photos import How, Job, Recipe, Writer, run_photos
from limner.scale.where import Where

Part = Literal["hand", "face"]


def estimate_parts(
    photos: Sequence[Path],
    out: Path,
    part: Part,
    side: Side = "auto",
    box: tuple[float, ...] = (),
    weights: str = "limner",
    focal_px: float | None = None,
    recursive: bool = False,
    how: How = How(),  # noqa: B008
    files: Sequence[str] = PART_FILES,
) -> int:
    """Estimate the hand or the face in each photo and write results to `out`; returns the exit code: 0, or 1 if a photo
    failed.

    box: x0 y0 x1 y1 of each hand or face, in every photo; without, one is looked for. recursive: folders below those
    given, too. files: what is written, some of PART_FILES. Raises LimnerError for what concerns all photos.
    """
    check_files(files, PART_FILES)
    where = Where.given(box, whom=part)
    found = find_photos(photos, recursive, without=[out])
    check_focal(focal_px)
    writer = PartWriter(out, whom=f"{part}s", files=files)
    return run_photos(found, where, PartRecipe(part, side, weights), writer, focal_px, how)


@dataclass(frozen=True)
class PartRecipe(Recipe[list[PartAlone]]):
    """How an estimator of parts is made."""

    part: Part
    side: Side
    weights: str

    def load(self) -> "PartEstimator":
        """The estimator. Raises WeightsError."""
        return PartEstimator(self, Estimator.load(self.weights))


@dataclass(frozen=True)
class PartEstimator:
    """Hands or faces in photos."""

    recipe: PartRecipe
    estimator: Estimator
    note = ""

    @property
    def body_model(self) -> BodyModel:
        """limner's own body."""
        return self.estimator.own_body

    def together(
        self, photos: Sequence[Photo], boxes: Sequence[Tensor | None], focal_px: float | None
    ) -> list[list[PartAlone]]:
        """The parts in each photo."""
        if self.recipe.part == "face":
            return [self.estimator.faces(photo, own, focal_px) for photo, own in zip(photos, boxes, strict=True)]
        side = self.recipe.side
        return [self.estimator.hands(photo, own, side, focal_px) for photo, own in zip(photos, boxes, strict=True)]


@dataclass(frozen=True)
class PartWriter(Writer[list[PartAlone]]):
    """Writes the parts of photos: the files chosen."""

    files: Sequence[str] = field(default=PART_FILES, kw_only=True)

    def note(self, found: list[PartAlone], job: Job) -> str:
        """What each part is, and how sure that is; a guess is called one."""
        doubt = {True: "", False: ", hardly seen: a guess, give --box"}
        return ", ".join(f"{one.part.replace('_', ' ')} ({one.presence:.2f}){doubt[one.seen]}" for one in found)

    def write(self, found: list[PartAlone], job: Job, body_model: BodyModel, note: str, first: int) -> None:
        """Write the results of one photo. Raises OutputError."""
        save_parts(found, job.photo, body_model, self.out / job.item.name, self.files)
