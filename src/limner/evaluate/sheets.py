"""What do the answers look like? Contact sheets: each person's photo with the labels, and the estimate over it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from limner.body.skeleton import JOINT
from limner.estimator import Estimator
from limner.evaluate.photo_sets import BODY, FACE, LEFT_HAND, RIGHT_HAND, LabelledPerson
from limner.evaluate.rivals import whole_body
from limner.geometry.box import squares_around
from limner.geometry.warp import Crops, Frames, crop
from limner.io.image import Photo, read_photo
from limner.pipeline.parts_alone import faces_in_boxes, hand_mesh, hands_in_boxes, head_params, part_faces
from limner.pipeline.people import People
from limner.render.overlay import clay, paint, to_bytes

SIDE = 240
COLUMNS = 4
MARGIN = 1.35
TRUTH, WRONG = (60, 220, 90), (235, 60, 160)
FAR = 5.0
"""Where a part without a place in the photo stands when it is shaded, metres."""


@dataclass(frozen=True)
class Tile:
    """One person: picture "3 h w" and what is written under it."""

    picture: UInt8[Tensor, "3 h w"]
    caption: str


def draw_person(estimator: Estimator, person: LabelledPerson) -> UInt8[Tensor, "3 h w"]:
    """Left the photo with the labelled points (green), right the estimate; pink lines lead from the estimate's points
    to the labelled ones."""
    photo = read_photo(person.photo)
    match person.frame:
        case "person":
            return _whole(estimator, photo, person)
        case "hand":
            return _hand(estimator, photo, person)
        case "face":
            return _face(estimator, photo, person)


def _whole(estimator: Estimator, photo: Photo, person: LabelledPerson) -> Tensor:
    people = _Once(estimator, photo, person.box[None])
    answer = whole_body(people, photo, person.box[None])
    found = people.people
    square = squares_around(person.box[None], MARGIN)
    crops = crop(photo.pixels, square, SIDE)
    px = _crop_px(crops, found.camera.project(found.vertices))
    colors = clay(found.vertices, found.faces)
    drawn = paint(to_bytes(crops.pixels[0]), torch.cat([px, found.vertices[..., 2:]], -1), found.faces, colors)
    return _pair(crops, drawn, answer.points_px[0, BODY], person.points[BODY], person.labelled[BODY])


class _Once:
    """An estimator that keeps its people, so that picture and points are of one run."""

    def __init__(self, estimator: Estimator, photo: Photo, boxes: Tensor):
        self.body_model, self.people = estimator.body_model, estimator(photo, boxes)

    def __call__(self, photo: Photo, boxes: Tensor) -> People:
        return self.people


@torch.no_grad()
def _hand(estimator: Estimator, photo: Photo, person: LabelledPerson) -> Tensor:
    left = bool(person.labelled[LEFT_HAND].any())
    net, model, frames = estimator.networks.hand, estimator.body_model, Frames((photo.pixels,))
    alone = hands_in_boxes(net, model, frames, person.box[None], torch.tensor([left]))
    said = alone.estimate
    part = LEFT_HAND if left else RIGHT_HAND
    vertices, faces = hand_mesh(model, said.wrist, said.hand_pose, said.betas)
    return _part(photo, alone.seen.crops, said.camera.project, vertices, faces, alone.points, person, part)


@torch.no_grad()
def _face(estimator: Estimator, photo: Photo, person: LabelledPerson) -> Tensor:
    model, frames = estimator.body_model, Frames((photo.pixels,))
    alone = faces_in_boxes(estimator.networks.face, model, frames, person.box[None])
    said = alone.estimate
    mesh = model(head_params(model, said))
    vertices = mesh.vertices - mesh.joints[:, JOINT["head"], None]
    faces = part_faces(model, "face")
    return _part(photo, alone.seen.crops, said.camera.project, vertices, faces, alone.points, person, FACE)


def _part(
    photo: Photo,
    crops: Crops,
    project: Callable[[Tensor], Tensor],
    vertices: Tensor,
    faces: Tensor,
    points: Tensor,
    person: LabelledPerson,
    part: slice,
) -> Tensor:
    """A part's mesh and points, drawn in the (unmirrored) crop that its network looked at."""
    shown = crop(photo.pixels, crops.squares, SIDE)
    px = _crop_px(shown, crops.photo_from_unit(project(vertices)))
    standing = vertices + vertices.new_tensor([0.0, 0.0, FAR])
    if bool(crops.mirrored[0]):  # seen in the mirror: turn the surface and its triangles with it
        standing, faces = standing * vertices.new_tensor([-1.0, 1.0, 1.0]), faces.flip(-1)
    used = faces.unique()
    low = torch.searchsorted(used, faces)
    picture = torch.cat([px, standing[..., 2:]], -1)[:, used]
    drawn = paint(to_bytes(shown.pixels[0]), picture, low, clay(standing[:, used], low))
    answer = crops.photo_from_unit(project(points))[0]
    return _pair(shown, drawn, answer, person.points[part], person.labelled[part])


def _crop_px(crops: Crops, points_px: Float[Tensor, "P N 2"]) -> Float[Tensor, "P N 2"]:
    """Photo pixels to pixels of the crop as drawn."""
    return (crops.unit_from_photo(points_px) + 1) * (SIDE / 2)


def _pair(crops: Crops, drawn: Tensor, answer: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
    truth = _crop_px(crops, target[None])[0]
    mine = _crop_px(crops, answer[None])[0]
    before = _dots(to_bytes(crops.pixels[0]), truth, labelled)
    after = _lines(drawn, mine, truth, labelled & ~mine.isnan().any(-1))
    return torch.cat([before, after], -1)


def _dots(picture: Tensor, points: Tensor, use: Tensor) -> Tensor:
    canvas = np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
    for x, y in _fixed_point(points[use]):
        cv2.circle(canvas, (x, y), 2 << 4, TRUTH, -1, cv2.LINE_AA, shift=4)
    return torch.from_numpy(canvas).permute(2, 0, 1)


def _lines(picture: Tensor, starts: Tensor, ends: Tensor, use: Tensor) -> Tensor:
    canvas = np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
    for (x0, y0), (x1, y1) in zip(_fixed_point(starts[use]), _fixed_point(ends[use]), strict=True):
        cv2.line(canvas, (x0, y0), (x1, y1), WRONG, 1, cv2.LINE_AA, shift=4)
        cv2.circle(canvas, (x1, y1), 2 << 4, TRUTH, -1, cv2.LINE_AA, shift=4)
    return torch.from_numpy(canvas).permute(2, 0, 1)


def _fixed_point(points: Tensor) -> list[list[int]]:
    """Four fractional bits; OpenCV puts (0, 0) at the first pixel's centre."""
    rows: list[list[int]] = ((points.clamp(-1e4, 1e4) - 0.5) * 16).round().int().tolist()
    return rows


def contact_sheet(tiles: Sequence[Tile], title: str, columns: int = COLUMNS) -> UInt8[Tensor, "3 H W"]:
    """Tiles in rows under a title."""
    gap, line = 8, 16
    height = max((tile.picture.shape[1] for tile in tiles), default=SIDE)
    width = max((tile.picture.shape[2] for tile in tiles), default=2 * SIDE)
    rows = max(1, -(-len(tiles) // columns))
    size = (columns * (width + gap) + gap, 30 + rows * (height + line + gap))
    page = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(page)
    pen.text((gap, 6), title, fill=(40, 44, 50), font=ImageFont.load_default(16))
    for i, tile in enumerate(tiles):
        x, y = gap + i % columns * (width + gap), 30 + i // columns * (height + line + gap)
        page.paste(Image.fromarray(np.ascontiguousarray(tile.picture.permute(1, 2, 0).numpy())), (x, y))
        pen.text((x, y + height + 1), tile.caption, fill=(70, 74, 80), font=ImageFont.load_default(11))
    return torch.from_numpy(np.array(page)).permute(2, 0, 1).contiguous()
