"""The original ExPose's way to cut crops: its sampling rules, pixel for pixel, reading only the pixels needed.

Three conventions of the original differ from limner's own (`limner.geometry.warp`) and are kept for parity: the person
crop is an integer rectangle, its corners truncated towards zero, black outside the photo; part crops put the centres of
their first and last pixels on the square's edges and take pixel (0, 0) to have its centre at (0, 0), with the mean
colour outside the photo; nothing is anti-aliased. `CLEAN_CROPS` are what they should have been.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from limner.expose.crop_kernel import sample, suits
from limner.geometry.box import Squares, squares_around
from limner.geometry.warp import Crops, crop
from limner.networks.backbone import IMAGENET_MEAN

BODY_MARGIN = 1.2
BLACK = (0.0, 0.0, 0.0)


def official_body_crops(photo: UInt8[Tensor, "3 H W"], boxes: Float[Tensor, "B 4"], size: int) -> Crops:
    """Person crops: the square about each box (x1.2), its corners truncated to whole pixels, resized bilinearly.

    `squares` of the result are the untruncated ones: the original maps coordinates with those.
    """
    squares = squares_around(boxes, BODY_MARGIN)
    cuts = []
    for low, high in zip(*truncated_corners(squares, size), strict=True):
        taps = [_resize_taps(int(a), int(b), size) for a, b in zip(low, high, strict=True)]
        cuts.append(_sample(photo, *taps[0], *taps[1], outside=BLACK))
    pixels = torch.stack(cuts) if cuts else torch.zeros(0, 3, size, size)
    return Crops(pixels, squares, torch.zeros(len(squares), dtype=torch.bool))


def official_part_crops(photo: UInt8[Tensor, "3 H W"], squares: Squares, size: int, mirror: bool) -> Crops:
    """Hand and head crops at the photo's full resolution; `mirror` flips them left to right."""
    steps = torch.arange(size, dtype=torch.float64) / (size - 1) - 0.5
    cuts = []
    for (x, y), side in zip(squares.center_px.double(), squares.size_px.double(), strict=True):
        cuts.append(_sample(photo, *_grid_taps(x + side * steps), *_grid_taps(y + side * steps), outside=IMAGENET_MEAN))
    pixels = torch.stack(cuts) if cuts else torch.zeros(0, 3, size, size)
    return Crops(pixels.flip(-1) if mirror else pixels, squares, torch.full((len(squares),), mirror))


def clean_body_crops(photo: UInt8[Tensor, "3 H W"], boxes: Float[Tensor, "B 4"], size: int) -> Crops:
    """The same squares without truncation, anti-aliased where they shrink; black outside the photo as in training."""
    return crop(photo, squares_around(boxes, BODY_MARGIN), size)


def clean_part_crops(photo: UInt8[Tensor, "3 H W"], squares: Squares, size: int, mirror: bool) -> Crops:
    """Hand and head crops whose edges are the square's edges, anti-aliased; the mean colour outside the photo."""
    mirrored = torch.full((len(squares),), mirror)
    cuts = crop(photo, squares, size, mirrored)
    white = torch.full((3, 1, 1), 255, dtype=torch.uint8).expand_as(photo)
    missing = 1 - crop(white, squares, size, mirrored).pixels
    return Crops(cuts.pixels + missing * torch.tensor(IMAGENET_MEAN)[:, None, None], squares, mirrored)


@dataclass(frozen=True)
class Cropping:
    """How crops are cut: bodies from (photo, boxes, size), parts from (photo, squares, size, mirror)."""

    body: Callable[[Tensor, Tensor, int], Crops]
    part: Callable[[Tensor, Squares, int, bool], Crops]


OFFICIAL_CROPS = Cropping(official_body_crops, official_part_crops)
CLEAN_CROPS = Cropping(clean_body_crops, clean_part_crops)


def truncated_corners(squares: Squares, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole-pixel corners "B 2", low and high: those of the square, truncated towards zero.

    Taken through the inverse of the float32 matrix from photo to crop, as the original does: where a corner is a whole
    number, the rounding of that matrix decides.
    """
    corners = []
    for (x, y), side in zip(squares.center_px.double().tolist(), squares.size_px.double().tolist(), strict=True):
        crop_from_photo = np.array(
            [
                [size / side, 0, size * (-x / side + 0.5)],
                [0, size / side, size * (-y / side + 0.5)],
                [0, 0, 1],
            ],
            dtype=np.float32,
        )
        photo_from_crop = np.linalg.inv(crop_from_photo)
        ends = photo_from_crop @ np.array([[0, size], [0, size], [1, 1]], dtype=np.float32)
        corners.append(np.trunc(ends[:2]).astype(np.int64))
    stacked = np.stack(corners) if corners else np.zeros((0, 2, 2), np.int64)
    return stacked[..., 0], stacked[..., 1]


def _resize_taps(low: int, high: int, size: int) -> tuple[Int[Tensor, "2 S"], Float[Tensor, "S"]]:
    """Two pixel indices and the weight of the second, for each of S pixels that a run low..high is resized to.

    OpenCV's bilinear rule: pixel centres at halves, the outermost pixels continue beyond the edge.
    """
    length = max(high - low, 1)
    position = (torch.arange(size, dtype=torch.float64) + 0.5) * (length / size) - 0.5
    position = position.clamp(0, length - 1)
    first = position.floor().long().clamp(max=max(length - 2, 0))
    second = (first + 1).clamp(max=length - 1)
    return torch.stack([first, second]) + low, (position - first).float()


def _grid_taps(position: Float[Tensor, "S"]) -> tuple[Int[Tensor, "2 S"], Float[Tensor, "S"]]:
    """Two pixel indices and the weight of the second, at positions counted in pixel centres."""
    first = position.floor()
    return torch.stack([first, first + 1]).long(), (position - first).float()


def _sample(
    photo: UInt8[Tensor, "3 H W"],
    columns: Int[Tensor, "2 S"],
    x_weight: Float[Tensor, "S"],
    rows: Int[Tensor, "2 S"],
    y_weight: Float[Tensor, "S"],
    outside: tuple[float, float, float],
) -> Float[Tensor, "3 S S"]:
    """Bilinear sampling on a separable grid; pixels outside the photo have the colour `outside`."""
    if suits(photo, len(x_weight)):
        return sample(photo, columns, x_weight, rows, y_weight, outside)
    height, width = photo.shape[-2:]
    color = torch.tensor(outside)[:, None, None]
    down, right = rows.flatten().clamp(0, height - 1), columns.flatten().clamp(0, width - 1)
    left, last = int(right.min()), int(right.max())
    picked = photo[:, :, left : last + 1].index_select(1, down).numpy()
    # numpy's take along the last axis is several times faster than torch's index_select
    values = torch.from_numpy(picked.take((right - left).numpy(), axis=2)).float()
    all_inside = bool((down == rows.flatten()).all() and (right == columns.flatten()).all())
    if not all_inside:
        values.mul_(1 / 255).sub_(color)
        values.mul_(_within(rows, height)[:, None] * _within(columns, width))
    upper, lower = values.chunk(2, 1)
    first, second = torch.lerp(upper, lower, y_weight[:, None]).chunk(2, 2)
    crop = torch.lerp(first, second, x_weight)
    return crop.mul_(1 / 255) if all_inside else crop.add_(color)


def _within(index: Int[Tensor, "2 S"], count: int) -> Float[Tensor, "N"]:
    """1 for indices inside the photo, 0 outside."""
    flat = index.flatten()
    return ((flat >= 0) & (flat < count)).float()
