"""Records of the 2D keypoints of people in a photo, whatever file they came from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class PersonKeypoints:
    """K points of one person.

    name_set: which points (a key of `limner.body.keypoints.KEYPOINT_SETS`); xy "K 2" photo pixels; confidence "K" in
    [0, 1], 0 for points not there; box "4" x0 y0 x1 y1 photo pixels where the file has one; xyz "K 3" camera frame,
    metres, and score, limner's own files only.
    """

    name_set: str
    xy: Float[Tensor, "K 2"]
    confidence: Float[Tensor, "K"]
    box: Float[Tensor, "4"] | None = None
    xyz: Float[Tensor, "K 3"] | None = None
    score: float | None = None


@dataclass(frozen=True)
class PhotoKeypoints:
    """Everyone in one photo, and what to write beside them; `camera` is focal length, centre x, centre y in pixels.

    shares: points and boxes are shares of the photo's width and height, not pixels (see `in_pixels`).
    """

    photo: str
    people: Sequence[PersonKeypoints]
    size_px: tuple[int, int] | None = None
    camera: tuple[float, float, float] | None = None
    shares: bool = False


def in_pixels(record: PhotoKeypoints, size_px: tuple[int, int]) -> PhotoKeypoints:
    """The same in pixels of a photo of this width and height; what is in pixels already stays as it is."""
    if not record.shares:
        return record
    size = torch.tensor([float(size_px[0]), float(size_px[1])])
    people = [
        replace(p, xy=p.xy * size, box=None if p.box is None else p.box * torch.cat([size, size]))
        for p in record.people
    ]
    return replace(record, people=people, shares=False)


def person_box(person: PersonKeypoints, min_confidence: float = 0.1) -> Float[Tensor, "4"] | None:
    """The person's box: the file's own, else the bounds of the points of at least this confidence.

    None where fewer than three points are seen or their bounds have no area: nothing to look at. The bounds end at
    joints, inside the body: leave a margin.
    """
    if person.box is not None:
        return person.box
    seen = person.xy[(person.confidence >= min_confidence) & (person.confidence > 0)]
    if len(seen) < 3:
        return None
    low, high = seen.amin(0), seen.amax(0)
    return torch.cat([low, high]) if bool((high - low >= 1).all()) else None
