"""Which region of the photo: axis-aligned boxes and (rotated) squares."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limner.errors import BoxError
from limner.records import Rows


@dataclass(frozen=True)
class Squares(Rows):
    """Square regions of a photo, turned about their centre.

    center_px "B 2" photo pixels; size_px "B" side length; angle_rad "B" turns the square clockwise in the image:
    the square's own x axis points along (cos, sin) of the angle in photo pixels.
    """

    center_px: Float[Tensor, "B 2"]
    size_px: Float[Tensor, "B"]
    angle_rad: Float[Tensor, "B"]

    def _axes(self) -> Float[Tensor, "B 2 2"]:
        """Columns are the square's x and y axis in the photo, half a side long."""
        half = self.size_px / 2
        x, y = self.angle_rad.cos() * half, self.angle_rad.sin() * half
        return torch.stack([torch.stack([x, -y], -1), torch.stack([y, x], -1)], -2)

    def photo_from_unit(self, points: Float[Tensor, "B N 2"]) -> Float[Tensor, "B N 2"]:
        """[-1, 1] coordinates of the square (its edges at +-1) to photo pixels."""
        return points @ self._axes().mT + self.center_px[:, None]

    def unit_from_photo(self, points_px: Float[Tensor, "B N 2"]) -> Float[Tensor, "B N 2"]:
        """Photo pixels to [-1, 1] coordinates of the square."""
        return (points_px - self.center_px[:, None]) @ torch.linalg.inv(self._axes()).mT

    def corners_px(self) -> Float[Tensor, "B 4 2"]:
        """Corners in drawing order, photo pixels."""
        unit = self.size_px.new_tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
        return self.photo_from_unit(unit.expand(len(self), 4, 2))


@dataclass(frozen=True)
class CropJitter:
    """How far crops may stray: along each axis and in size as shares of the side, and in radians."""

    shift: float
    scale: float
    turn: float

    def holds(self, new: Squares, old: Squares) -> Bool[Tensor, "B"]:
        """Which new squares stray no further from the old ones."""
        away = ((new.center_px - old.center_px) / old.size_px[:, None]).abs().amax(-1)
        larger = (new.size_px / old.size_px).log().abs()
        turned = torch.remainder(new.angle_rad - old.angle_rad + torch.pi, 2 * torch.pi) - torch.pi
        return (away <= self.shift) & (larger <= self.scale) & (turned.abs() <= self.turn)


def squares_around(boxes: Float[Tensor, "B 4"], margin: float) -> Squares:
    """Upright squares about the box centres, side = margin * longer box side."""
    low, high = boxes[:, :2], boxes[:, 2:]
    size = (high - low).amax(-1) * margin
    return Squares((low + high) / 2, size, torch.zeros_like(size))


def upright_squares(center_px: Float[Tensor, "B 2"], top_px: Float[Tensor, "B 2"], margin: float) -> Squares:
    """Squares turned so that `top` lies straight above the centre; half the side is `margin` times its distance."""
    up = top_px - center_px
    angle = torch.atan2(up[:, 0], -up[:, 1])
    return Squares(center_px, (2 * margin * up.norm(dim=-1)).clamp_min(2.0), angle)


def inside(points_px: Float[Tensor, "B N 2"], size_px: Float[Tensor, "#B 2"]) -> Bool[Tensor, "B N"]:
    """Which points lie in photos of these sizes (width, height), their edges included."""
    return ((points_px >= 0) & (points_px <= size_px[:, None])).all(-1)


def bounds_of(points: Float[Tensor, "B N 2"]) -> Float[Tensor, "B 4"]:
    """Axis-aligned bounds x0 y0 x1 y1 of point sets."""
    return torch.cat([points.amin(1), points.amax(1)], -1)


def box_of_points(
    points_px: Float[Tensor, "K 2"], confidence: Float[Tensor, "K"] | None = None, margin: float = 1.2
) -> Float[Tensor, "4"]:
    """x0 y0 x1 y1 about the points (with a confidence above zero), `margin` times as wide and high as they spread.

    1.2 is the factor of ExPose's data sets (facts, section 12). NaN without points.
    """
    seen = points_px if confidence is None else points_px[confidence > 0]
    if not len(seen):
        return torch.full((4,), torch.nan)
    low, high = bounds_of(seen[None])[0].split(2)
    middle, half = (low + high) / 2, (high - low) / 2 * margin
    return torch.cat([middle - half, middle + half])


def iou(a: Float[Tensor, "A 4"], b: Float[Tensor, "B 4"]) -> Float[Tensor, "A B"]:
    """Intersection over union of every box of `a` with every box of `b`; 0 where both are empty."""
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = (high - low).clamp_min(0).prod(-1)
    area_a, area_b = ((x[:, 2:] - x[:, :2]).clamp_min(0).prod(-1) for x in (a, b))
    return inter / (area_a[:, None] + area_b[None] - inter).clamp_min(1e-9)


def share_inside(a: Float[Tensor, "A 4"], b: Float[Tensor, "B 4"]) -> Float[Tensor, "A B"]:
    """Share of every box of `a` that lies in each box of `b`."""
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    area = (a[:, 2:] - a[:, :2]).prod(-1)
    return (high - low).clamp_min(0).prod(-1) / area[:, None].clamp_min(1e-9)


def as_boxes(given: Any) -> Float[Tensor, "B 4"]:
    """Boxes from what users have of them: rows of x0 y0 x1 y1 in photo pixels; lists, numpy or torch, of any numbers.

    Four numbers alone are one box; an empty list is no box. Raises BoxError for anything else.
    """
    try:
        numbers = given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
        rows = torch.from_numpy(np.array(numbers, dtype=np.float64))
    except (TypeError, ValueError, RuntimeError) as error:
        raise BoxError(
            f"boxes of type {type(given).__name__} that are no table of numbers ({error}): expected x0 y0 x1 y1 of "
            f"each person. Give [[x0, y0, x1, y1], ...] in photo pixels."
        ) from error
    if not rows.numel():
        return torch.zeros(0, 4)
    rows = rows[None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or rows.shape[1] != 4:
        shape = " x ".join(map(str, numbers.shape)) or "one number"
        more = (
            " Of boxes with scores or classes behind them give boxes[:, :4]."
            if rows.ndim and rows.shape[-1] > 4
            else ""
        )
        raise BoxError(
            f"boxes of shape {shape}, expected P x 4, or the 4 numbers of one box: x0 y0 x1 y1 in photo pixels.{more}"
        )
    return rows.float()


def boxes_of_each(boxes: Any, photos: int) -> list[Any]:
    """The boxes of each of several photos: a list with an entry a photo, None where they are not known."""
    if boxes is None:
        return [None] * photos
    if not hasattr(boxes, "__len__") or len(boxes) != photos:
        got = f"{len(boxes)} entries" if hasattr(boxes, "__len__") else f"a {type(boxes).__name__}"
        raise BoxError(
            f"boxes for {photos} photos: got {got}, expected a list with one entry a photo: its boxes, or None where "
            f"the detector is to find people."
        )
    return list(boxes)


def check_boxes(boxes: Float[Tensor, "B 4"], width: int, height: int) -> None:
    """Raise BoxError for a box that is not finite, has no area, or lies wholly outside the photo."""
    for i, box in enumerate(boxes.tolist()):
        x0, y0, x1, y1 = box
        shown = f"box {i} = ({x0:g}, {y0:g}, {x1:g}, {y1:g})"
        if not all(map(_is_finite, box)):
            raise BoxError(f"{shown}: coordinates must be finite numbers. Give x0 y0 x1 y1 in photo pixels.")
        if x1 - x0 < 1 or y1 - y0 < 1:
            raise BoxError(
                f"{shown} is {x1 - x0:g} x {y1 - y0:g} px, expected at least 1 x 1. Give x0 y0 x1 y1 "
                "(left, top, right, bottom), not x y width height."
            )
        if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
            raise BoxError(
                f"{shown} lies outside the photo of {width} x {height} px. Give photo pixels with the origin at "
                "the top left."
            )


def _is_finite(value: float) -> bool:
    return value - value == 0
