"""Where users say that people are: a box for every photo, a box file, or keypoints; or nowhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from limner.errors import BoxError, LimnerError
from limner.io.box_file import boxes_of, read_boxes
from limner.io.keypoint_file import (
    PersonKeypoints,
    PhotoKeypoints,
    in_pixels,
    keypoints_of,
    person_box,
    read_keypoints,
    shared_stems,
)


@dataclass(frozen=True)
class Where:
    """What users said of many photos, or of one.

    same      boxes in every photo             table   boxes by photo name, in groups of one name without ending
    points    keypoints by photo name, and `shared`: names of several photos, whose keypoints are nobody's
    error     of one photo: why nothing is known of it, though a file was given
    """

    same: Float[Tensor, "_ 4"] | None = None
    table: Mapping[str, Mapping[str, Tensor]] | None = None
    points: dict[str, PhotoKeypoints] | None = None
    shared: frozenset[str] = frozenset()
    error: LimnerError | None = None

    @classmethod
    def given(
        cls,
        box: tuple[float, ...] = (),
        boxes: Path | None = None,
        keypoints: Path | None = None,
        photos: Sequence[Path] = (),
        whom: str = "person",
    ) -> "Where":
        """From the options of a command; `photos`: all of the run. Raises BoxError and KeypointFileError."""
        named = [name for name, said in (("--box", box), ("--boxes", boxes), ("--keypoints", keypoints)) if said]
        if len(named) > 1:
            raise BoxError(
                f"got {' and '.join(named)}, expected one of them: each says where people are. Leave "
                f"{'one' if len(named) == 2 else 'two'} out."
            )
        if len(box) % 4:
            raise BoxError(f"--box takes 4 numbers a {whom} (x0 y0 x1 y1, photo pixels), got {len(box)} numbers.")
        return cls(
            torch.tensor(box).reshape(-1, 4) if box else None,
            None if boxes is None else _by_stem(read_boxes(boxes)),
            None if keypoints is None else read_keypoints(keypoints),
            frozenset() if keypoints is None else shared_stems(photos),
        )

    def only(self, file: Path) -> "Where":
        """What was said of one photo: small enough to go with it to whoever works on it."""
        try:
            if self.table is not None:
                return Where(table={file.stem: {file.name: self._listed(file, self.table)}})
            if self.points is not None:
                return Where(points={file.stem: keypoints_of(file, self.points, self.shared)})
        except LimnerError as error:
            return Where(error=error)
        return self

    def __call__(self, file: Path, size_px: tuple[int, int] | None = None) -> Float[Tensor, "_ 4"] | None:
        """The boxes of a photo; None where the detector has to find them.

        size_px: of the photo; without it, boxes of keypoints that are shares of the photo are shares, too. Raises
        BoxError and KeypointFileError.
        """
        if self.error is not None:
            raise self.error
        if self.table is not None:
            return self._listed(file, self.table)
        if self.points is not None:
            found = keypoints_of(file, self.points, self.shared)
            return _boxes_about((found if size_px is None else in_pixels(found, size_px)).people)
        return self.same

    def _listed(self, file: Path, table: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
        some = islice(chain.from_iterable(group.items() for group in table.values()), 6)  # to tell what there is
        return boxes_of(file, table.get(file.stem) or dict(some))


def _by_stem(table: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """In groups, so that 100,000 photos do not each go through 100,000 names."""
    groups: dict[str, dict[str, Tensor]] = {}
    for name, boxes in table.items():
        groups.setdefault(Path(name).stem, {})[name] = boxes
    return groups


def _boxes_about(people: Sequence[PersonKeypoints]) -> Float[Tensor, "_ 4"]:
    """Boxes about the people of a keypoint file, a tenth larger than their points."""
    boxes = [box for person in people if (box := person_box(person)) is not None]
    if not boxes:
        return torch.zeros(0, 4)
    stacked = torch.stack(boxes).float()
    grow = 0.1 * (stacked[:, 2:] - stacked[:, :2]).amax(-1, keepdim=True)
    return torch.cat([stacked[:, :2] - grow, stacked[:, 2:] + grow], -1)
