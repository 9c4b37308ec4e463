"""Pictures for reviewers: the person in the photo, hands and face enlarged, with or without mesh; the side."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from PIL import Image
from torch import Tensor

from limner.geometry.box import Squares
from limner.geometry.camera import Camera
from limner.geometry.warp import crop
from limner.pipeline.parts import part_points
from limner.render.overlay import clay, fit, paint, side_view, to_bytes

PARTS = ("face", "right_hand", "left_hand")
MAIN_SIDE, PART_SIDE, SIDE_VIEW = 960, 480, (640, 400)
PART_MARGIN, MIN_PART = 2.0, 16.0
PERSON_MARGIN = 0.12
SURE = 0.3


@dataclass(frozen=True)
class Region:
    """A cut-out of a photo: left, top, width and height in photo pixels, and the size in which it is shown."""

    left: float
    top: float
    width: float
    height: float
    shown: tuple[int, int]

    @property
    def scale(self) -> float:
        """Shown pixels a photo pixel."""
        return self.shown[0] / self.width

    def from_photo(self, points_px: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        """Photo pixels to pixels of the picture shown."""
        return (points_px - points_px.new_tensor([self.left, self.top])) * self.scale


@dataclass(frozen=True)
class Body:
    """One person ready to be drawn: vertices "V 3" camera frame, shaded colours "V 3", camera of one row."""

    vertices: Float[Tensor, "V 3"]
    colors: Float[Tensor, "V 3"]
    faces: Int64[Tensor, "F 3"]
    camera: Camera


def body_to_draw(vertices: Float[Tensor, "V 3"], faces: Int64[Tensor, "F 3"], camera: Camera) -> Body:
    """Light the body once for all pictures of it."""
    return Body(vertices, clay(vertices[None], faces)[0], faces, camera)


def regions(
    box: Float[Tensor, "4"],
    points_px: Float[Tensor, "144 2"],
    confidence: Float[Tensor, "144"],
    fit_px: Float[Tensor, "144 2"],
    estimate_px: Float[Tensor, "144 2"],
    photo_size: tuple[int, int],
) -> dict[str, Region]:
    """Where the pictures are cut: "person" inside the photo, the PARTS as squares that may reach beyond it.

    Parts are where their points were seen; where fewer than half of them were, where the fit has them. The person's
    region holds what the networks estimated, not the fit: it stays when the fit changes.
    """
    found = {"person": _person_region(box, estimate_px, photo_size)}
    for part in PARTS:
        sure = part_points(confidence[None, :, None], part)[0, :, 0] > SURE
        where = part_points(points_px[None], part)[0][sure] if float(sure.float().mean()) > 0.5 else None
        where = part_points(fit_px[None], part)[0] if where is None else where
        low, high = where.amin(0), where.amax(0)
        side = max(MIN_PART, float((high - low).max()) * PART_MARGIN)
        left, top = ((low + high) / 2 - side / 2).tolist()
        found[part] = Region(left, top, side, side, (PART_SIDE, PART_SIDE))
    return found


def _person_region(box: Tensor, body_px: Tensor, photo_size: tuple[int, int]) -> Region:
    """About the box and the body points that lie near it."""
    body = body_px[:22]
    near = body[((body > box[:2] - 0.5 * (box[2:] - box[:2])) & (body < box[2:] + 0.5 * (box[2:] - box[:2]))).all(-1)]
    low, high = torch.cat([box[:2][None], near]).amin(0), torch.cat([box[2:][None], near]).amax(0)
    margin = PERSON_MARGIN * float((high - low).max())
    left, top = max(0, int(low[0] - margin)), max(0, int(low[1] - margin))
    right, bottom = min(photo_size[0], int(high[0] + margin)), min(photo_size[1], int(high[1] + margin))
    width, height = max(8, right - left), max(8, bottom - top)
    scale = MAIN_SIDE / max(width, height)
    shown = max(1, round(width * scale)), max(1, round(height * scale))
    return Region(float(left), float(top), float(width), float(height), shown)


def photo_picture(photo: UInt8[Tensor, "3 H W"], region: Region) -> UInt8[Tensor, "3 h w"]:
    """The region of the photo; black outside the photo."""
    width, height = region.shown
    if width == height == PART_SIDE:
        center = torch.tensor([[region.left + region.width / 2, region.top + region.height / 2]])
        square = Squares(center, torch.tensor([region.width]), torch.zeros(1))
        return to_bytes(crop(photo, square, width).pixels[0])
    left, top = int(region.left), int(region.top)
    cut = photo[:, top : top + int(region.height), left : left + int(region.width)]
    return fit(cut, height, width, enlarge=True)[0]


def mesh_picture(photo: UInt8[Tensor, "3 H W"], region: Region, body: Body) -> UInt8[Tensor, "3 h w"]:
    """The same with the body over it."""
    canvas = photo_picture(photo, region)
    pixels = region.from_photo(body.camera.project(body.vertices[None]))
    drawn = torch.cat([pixels, body.vertices[None, :, 2:]], -1)
    return paint(canvas, drawn, body.faces, body.colors[None])


def side_picture(body: Body) -> UInt8[Tensor, "3 h w"]:
    """The body from its side of the scene."""
    return side_view(body.vertices[None], body.faces, *SIDE_VIEW)


def jpeg(pixels: UInt8[Tensor, "3 H W"], quality: int = 88) -> bytes:
    """A picture as JPEG."""
    out = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()))
    image.save(out, format="JPEG", quality=quality)
    return out.getvalue()


def bones(names: Sequence[tuple[str, ...]], order: dict[str, int]) -> list[tuple[int, int]]:
    """Chains of names as pairs of indices."""
    return [(order[a], order[b]) for chain in names for a, b in zip(chain, chain[1:], strict=False)]
