"""Contact sheets of predictions: each person's photo with the labels, and the estimate over it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from limner.body.skeleton import JOINT
from limner.estimator import Estimator
from limner.evaluate.baselines import points_of_people
from limner.evaluate.photo_sets import BODY, FACE, LEFT_HAND, RIGHT_HAND, LabelledPerson
from limner.geometry.box import squares_around
from limner.geometry.warp import Crops, Frames, crop
from limner.io.image import Photo, read_photo
from limner.pipeline.parts_alone import faces_in_boxes, hand_mesh, hands_in_boxes, head_params, part_faces
from limner.render.lines import draw_lines
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
    found = estimator(photo, person.box[None])
    prediction = points_of_people(estimator.body_model, found)
    square = squares_around(person.box[None], MARGIN)
    crops = crop(photo.pixels, square, SIDE)
    px = _crop_px(crops, found.camera.project(found.vertices))
    colors = clay(found.vertices, found.faces)
    drawn = paint(to_bytes(crops.pixels[0]), torch.cat([px, found.vertices[..., 2:]], -1), found.faces, colors)
    return _pair(crops, drawn, prediction.points_px[0, BODY], person.points[BODY], person.labelled[BODY])


@torch.no_grad()
def _hand(estimator: Estimator, photo: Photo, person: LabelledPerson) -> Tensor:
    left = bool(person.labelled[LEFT_HAND].any())
    net, model, frames = estimator.networks.hand, estimator.body_model, Frames((photo.pixels,))
    alone = hands_in_boxes(net, model, frames, person.box[None], torch.tensor([left]))
    prediction = alone.estimate
    part = LEFT_HAND if left else RIGHT_HAND
    vertices, faces = hand_mesh(model, prediction.wrist, prediction.hand_pose, prediction.betas)
    return _part(photo, alone.seen.crops, prediction.camera.project, vertices, faces, alone.points, person, part)


@torch.no_grad()
def _face(estimator: Estimator, photo: Photo, person: LabelledPerson) -> Tensor:
    model, frames = estimator.body_model, Frames((photo.pixels,))
    alone = faces_in_boxes(estimator.networks.face, model, frames, person.box[None])
    prediction = alone.estimate
    mesh = model(head_params(model, prediction))
    vertices = mesh.vertices - mesh.joints[:, JOINT["head"], None]
    faces = part_faces(model, "face")
    return _part(photo, alone.seen.crops, prediction.camera.project, vertices, faces, alone.points, person, FACE)


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
    prediction = crops.photo_from_unit(project(points))[0]
    return _pair(shown, drawn, prediction, person.points[part], person.labelled[part])


def _crop_px(crops: Crops, points_px: Float[Tensor, "P N 2"]) -> Float[Tensor, "P N 2"]:
    """Photo pixels to pixels of the crop as drawn."""
    return (crops.unit_from_photo(points_px) + 1) * (SIDE / 2)


def _pair(crops: Crops, drawn: Tensor, prediction: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
    target = _crop_px(crops, target[None])[0]
    mine = _crop_px(crops, prediction[None])[0]
    found = labelled & ~mine.isnan().any(-1)
    before, after = to_bytes(crops.pixels[0]), draw_lines(drawn, mine[found], target[found], 1, WRONG)
    pair = [draw_lines(before, target[labelled], target[labelled], 4, TRUTH)]
    return torch.cat([*pair, draw_lines(after, target[found], target[found], 4, TRUTH)], -1)


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
