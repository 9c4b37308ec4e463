"""Labels of everybody in a whole photo: boxes of what is seen, COCO's 17 points, how much is hidden."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from limner.body.keypoints import KEYPOINT_SETS, indices_of
from limner.geometry.box import Squares
from limner.geometry.warp import unit_grid
from limner.synth.people import SynthBatch, SyntheticPeople, keypoint_thickness, nearest_of
from limner.synth.scene import occlusion

POINTS = list(indices_of(KEYPOINT_SETS["coco17"]))


@dataclass(frozen=True)
class PhotoLabels:
    """N people of B pictures, everybody of whom a pixel is seen; in pixels of the picture.

    photo       in which picture
    boxes       x0 y0 x1 y1 about the pixels that are seen
    area_px     how many these are
    share       of the pixels that would be seen if nothing were in front
    points_px   COCO's 17, hidden ones and those outside too
    visibility  0 outside the picture, 1 hidden, 2 seen
    """

    photo: Int[Tensor, "N"]
    boxes: Float[Tensor, "N 4"]
    area_px: Float[Tensor, "N"]
    share: Float[Tensor, "N"]
    points_px: Float[Tensor, "N 17 2"]
    visibility: Int[Tensor, "N 17"]


@torch.no_grad()
def photo_labels(
    synthetic: SyntheticPeople, batch: SynthBatch, squares: Squares, size: int, window: Int[Tensor, "B 4"]
) -> PhotoLabels:
    """The person of each photo and their companions, in the picture that is left of the squares, drawn at `size` pixels
    (`SyntheticPeople.render`), when they are cut to `window` (x0 y0 x1 y1 in pixels)."""
    depth, photo = synthetic.depths(batch, squares, size), torch.arange(len(batch))
    keypoints, points = batch.keypoints, batch.keypoints_px
    nearest = depth
    if batch.companions is not None and len(batch.companions.photo):
        where, others = batch.companions.photo, batch.companions.people
        more = synthetic.depths(others, squares[where], size)
        nearest = nearest_of(depth, where, more)
        depth, photo = torch.cat([depth, more]), torch.cat([photo, where])
        keypoints, points = torch.cat([keypoints, others.keypoints]), torch.cat([points, others.keypoints_px])
    free, inside = _free(batch, squares, size), _inside(window, size)
    whole = depth.isfinite() & inside[photo]
    shown = whole & (depth <= nearest[photo]) & free[photo]
    area = shown.flatten(1).sum(1).float()
    points_px = (squares[photo].unit_from_photo(points[:, POINTS]) + 1) * (size / 2)
    in_front = torch.where(free, nearest, 0.0)[photo]  # an occluder is nearer than anybody
    behind = keypoints[:, POINTS, 2] - _at(in_front, points_px)
    low, high = window[photo, None, :2], window[photo, None, 2:]
    outside = ((points_px < low) | (points_px >= high)).any(-1)
    visibility = torch.where(behind < keypoint_thickness(keypoints)[POINTS], 2, 1).masked_fill(outside, 0)
    seen = (area > 0).nonzero()[:, 0]
    return PhotoLabels(
        photo=photo[seen],
        boxes=_bounds(shown[seen]) - low[seen, 0].repeat(1, 2),
        area_px=area[seen],
        share=area[seen] / whole[seen].flatten(1).sum(1),
        points_px=(points_px - low)[seen],
        visibility=visibility[seen],
    )


def _free(batch: SynthBatch, squares: Squares, size: int) -> Bool[Tensor, "B S S"]:
    """Pixels with no occluder before them."""
    grid = unit_grid(size, squares.size_px).flatten(0, 1).expand(len(batch), -1, 2)
    cover = occlusion(batch.scene, squares.photo_from_unit(grid), squares.size_px / size).amax(-1)
    return (cover < 0.5).unflatten(1, (size, size))


def _inside(window: Int[Tensor, "B 4"], size: int) -> Bool[Tensor, "B S S"]:
    axis = torch.arange(size)
    x, y = ((axis >= window[:, [k]]) & (axis < window[:, [k + 2]]) for k in (0, 1))
    return x[:, None] & y[..., None]


def _at(maps: Float[Tensor, "N S S"], points_px: Float[Tensor, "N K 2"]) -> Float[Tensor, "N K"]:
    """Each point's value; those outside have that of the nearest edge."""
    x, y = points_px.floor().long().clamp(0, maps.shape[-1] - 1).unbind(-1)
    return maps.flatten(1).gather(1, y * maps.shape[-1] + x)


def _bounds(masks: Bool[Tensor, "N S S"]) -> Float[Tensor, "N 4"]:
    """Edges of the pixels that are set; each mask has one."""
    ends = []
    for axis in (1, 2):  # columns, then rows
        line = masks.any(axis).float()
        ends.append((line.argmax(1), line.shape[1] - line.flip(1).argmax(1)))
    (x0, x1), (y0, y1) = ends
    return torch.stack([x0, y0, x1, y1], 1).float()
