"""Labelled photos as what MoveNet learns from: kept small, cut at random, turned, mirrored, recoloured."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Generator, Tensor

from limner.body.skeleton import mirrored_name
from limner.data.labelled_photos import LabelledPhoto
from limner.errors import PhotoError
from limner.geometry.box import Squares
from limner.geometry.warp import Crops, crop
from limner.io.image import read_photo
from limner.networks.movenet import MOVENET_POINTS
from limner.train.backbones import recoloured
from limner.train.center_maps import Labels

KEPT_PX = 800  # longer side: the finest look at a whole photo has 640 px
QUALITY = 95
MIRRORED = [MOVENET_POINTS.index(mirrored_name(name)) for name in MOVENET_POINTS]
"""Which point each one is in a mirror."""


@dataclass(frozen=True)
class CutOptions:
    """How far what the network sees strays from whole photos.

    least, most: side of the square in longer sides of the photo; about_somebody: share that is laid about a person, the
    others anywhere; turned: share that is turned, by up to `turn_deg`. People of whom less than `least_share` is in the
    square, or a longer side of `least_px` pixels of it, do not count.
    """

    least: float = 0.4
    most: float = 1.05
    about_somebody: float = 0.7
    turned: float = 0.4
    turn_deg: float = 15.0
    least_share: float = 0.5
    least_px: float = 10.0


@dataclass(frozen=True)
class KeptPhoto:
    """One photo as a JPEG of at most KEPT_PX, with labels in its pixels."""

    code: bytes
    labels: LabelledPhoto

    def pixels(self) -> UInt8[Tensor, "3 H W"]:
        """The picture, RGB."""
        return torch.from_numpy(np.array(Image.open(io.BytesIO(self.code)))).permute(2, 0, 1).contiguous()


def keep_photo(photo: LabelledPhoto, most_px: int = KEPT_PX) -> KeptPhoto:
    """Read, reduce and compress. Raises PhotoError, also where labels and photo disagree about its size."""
    pixels = read_photo(photo.path).pixels
    height, width = pixels.shape[1:]
    if photo.size_px not in (None, (width, height)):
        raise PhotoError(
            f"{photo.path} has {width} x {height} pixels when it is turned upright, its labels are of a photo of "
            f"{photo.size_px}: label it as it is, or remove its EXIF mark."
        )
    scale = min(1.0, most_px / max(width, height))
    size = (round(width * scale), round(height * scale))
    kept, file = Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0))), io.BytesIO()
    kept.resize(size, Image.Resampling.BOX).save(file, "JPEG", quality=QUALITY)
    by = torch.tensor([size[0] / width, size[1] / height])
    limits = torch.tensor([*size, *size])
    boxes, ignored = ((boxes * by.repeat(2)).clamp_min(0).minimum(limits) for boxes in (photo.boxes, photo.ignored))
    labels = replace(photo, size_px=size, boxes=boxes, points_px=photo.points_px * by, ignored=ignored)
    return KeptPhoto(file.getvalue(), labels)


def draw_batch(
    photos: Sequence[KeptPhoto], count: int, size: int, options: CutOptions, generator: Generator
) -> tuple[Float[Tensor, "B 3 S S"], list[Labels]]:
    """Random pieces of random photos, and who is in them; all chance comes from the generator."""
    pixels, labels = [], []
    for i in torch.randint(len(photos), (count,), generator=generator).tolist():
        photo = photos[i].labels
        squares = cut_square(photo, options, generator)
        mirror = torch.rand(1, generator=generator) < 0.5
        cut = crop(photos[i].pixels(), squares, size, mirror)
        pixels.append(cut.pixels)
        labels.append(labels_in(cut, photo, size, options))
    return recoloured(torch.cat(pixels), generator), labels


def cut_square(photo: LabelledPhoto, options: CutOptions, generator: Generator) -> Squares:
    """One square of the photo: about a person, or anywhere."""
    assert photo.size_px is not None
    draw = torch.rand(6, generator=generator)
    size = torch.tensor(photo.size_px, dtype=torch.float32)
    side = size.amax() * options.least * (options.most / options.least) ** draw[0]
    if len(photo.boxes) and draw[1] < options.about_somebody:
        who = photo.boxes[int(torch.randint(len(photo.boxes), (1,), generator=generator))]
        middle = (who[:2] + who[2:]) / 2
        center = middle + (draw[2:4] - 0.5) * 0.8 * side
    else:
        center = size * draw[2:4]
    # not farther out than the photo reaches
    half = torch.minimum(side, size) / 2
    center = center.maximum(half).minimum(size - half)
    turn = (2 * draw[4] - 1) * math.radians(options.turn_deg) * (draw[5] < options.turned)
    return Squares(center[None], side[None], turn[None])


def labels_in(cut: Crops, photo: LabelledPhoto, size: int, options: CutOptions) -> Labels:
    """Who is in a single crop of `size` pixels: boxes end at its edges, mirrored people's left is their right."""
    whole, ignored = (boxes_in(cut, boxes, size) for boxes in (photo.boxes, photo.ignored))
    boxes = whole.clamp(0, size)
    sides = boxes[:, 2:] - boxes[:, :2]
    share = sides.prod(-1) / (whole[:, 2:] - whole[:, :2]).prod(-1).clamp_min(1e-6)
    counts = (share >= options.least_share) & (sides.amax(-1) >= options.least_px)
    points = (cut.unit_from_photo(photo.points_px.flatten(0, 1)[None])[0] + 1) * (size / 2)
    points, labelled = points.unflatten(0, (-1, len(MOVENET_POINTS))), photo.labelled
    if bool(cut.mirrored):
        points, labelled = points[:, MIRRORED], labelled[:, MIRRORED]
    nobody = torch.cat([boxes[~counts], ignored.clamp(0, size)])
    return Labels(boxes[counts], points[counts], labelled[counts], nobody)


def boxes_in(cut: Crops, boxes: Float[Tensor, "P 4"], size: int) -> Float[Tensor, "P 4"]:
    """Boxes of the photo in the pixels of one crop, which may be turned: people are taken for ellipses then."""
    middle = (cut.unit_from_photo(((boxes[:, :2] + boxes[:, 2:]) / 2)[None])[0] + 1) * (size / 2)
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * (size / cut.squares.size_px)
    cos, sin = cut.squares.angle_rad.cos(), cut.squares.angle_rad.sin()
    turn = torch.stack([torch.cat([cos, sin]), torch.cat([sin, cos])]).abs()
    reach = (half.square() @ turn.square()).sqrt()
    return torch.cat([middle - reach, middle + reach], -1)
