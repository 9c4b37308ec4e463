"""The sheet of what was seen. One picture: photo with regions, overlay, side view, and every part enlarged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from limner.geometry.box import Squares
from limner.geometry.camera import Camera
from limner.geometry.warp import crop
from limner.render.lines import Color, draw_lines
from limner.render.overlay import CLAY, clay, fit, paint, side_view, to_bytes


@dataclass(frozen=True)
class Layout:
    """Sizes in pixels, colours in RGB bytes."""

    panel_height: int = 760
    panel_width: int = 960  # at most
    gap: int = 14
    margin: int = 26
    caption: int = 17
    line: int = 2
    ink: Color = (70, 74, 80)
    frame: Color = (222, 224, 228)
    parts: tuple[Color, ...] = ((242, 153, 60), (52, 178, 170), (226, 92, 128), (120, 120, 230))


@dataclass(frozen=True)
class Tile:
    """A picture "3 h w" with its caption."""

    image: Tensor
    caption: str
    color: Color


LAYOUT = Layout()
ENLARGED = 1.25  # by how much a finished overlay may be enlarged: beyond, it is drawn again in the panel's size


def sheet(
    photo: UInt8[Tensor, "3 H W"],
    vertices: Float[Tensor, "P V 3"],
    faces: Int64[Tensor, "F 3"],
    camera: Camera,
    boxes: Float[Tensor, "P 4"],
    parts: Sequence[tuple[str, Squares]],
    layout: Layout = LAYOUT,
    colors: Float[Tensor, "P V 3"] | None = None,
    sky: Float[Tensor, "P V"] | None = None,
    overlaid: UInt8[Tensor, "3 oh ow"] | None = None,
) -> UInt8[Tensor, "3 h w"]:
    """Compose the result picture of P people.

    First row: the photo with person boxes and part squares, the overlay, the view from the side. Then a row a person:
    each part's crop of the original photo, and the same crop with the mesh over it. All tensors lie on one device.

    Args:
        vertices: camera frame, metres; `camera` one entry a person.
        boxes: person boxes x0 y0 x1 y1, photo pixels.
        parts: name and squares (one a person) of each part, such as ("left hand", left_hand_squares).
        colors, sky, overlaid: what `clay`, `sky_light` and `overlay` made of the same, if it is at hand.
    """
    canvas, scale = fit(photo, layout.panel_height, layout.panel_width, enlarge=True)
    colors = clay(vertices, faces) if colors is None else colors
    photo_px = torch.cat([camera.project(vertices), vertices[..., 2:]], -1)
    height, width = canvas.shape[1:]
    if overlaid is not None and height <= ENLARGED * overlaid.shape[1]:
        drawn = fit(overlaid, height, width, enlarge=True)[0]
    else:
        drawn = paint(canvas, photo_px * photo_px.new_tensor([scale, scale, 1]), faces, colors)
    rows = [
        [
            Tile(draw_regions(canvas, boxes * scale, parts, scale, layout), "photo", layout.ink),
            Tile(drawn, "mesh", layout.ink),
            Tile(side_view(vertices, faces, height, int(0.62 * height), sky), "from the side", layout.ink),
        ]
    ]
    width = sum(tile.image.shape[2] for tile in rows[0]) + 2 * layout.gap
    if parts:
        size = (width - layout.gap * (2 * len(parts) - 1)) // (2 * len(parts))
        rows += _part_rows(photo, photo_px, faces, colors, parts, size, layout)
    return compose(rows, width, layout)


def draw_regions(
    image: UInt8[Tensor, "3 H W"],
    boxes: Float[Tensor, "P 4"],
    parts: Sequence[tuple[str, Squares]],
    scale: float = 1.0,
    layout: Layout = LAYOUT,
) -> UInt8[Tensor, "3 H W"]:
    """A copy of the image with person boxes (image pixels) and part squares (photo pixels, times scale)."""
    outlines = []
    for number, box in enumerate(boxes):
        red, green, blue = CLAY[number % len(CLAY)]
        color = (int(255 * red), int(255 * green), int(255 * blue))
        outlines.append((box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2), color))
    for number, (_, squares) in enumerate(parts):
        color = layout.parts[number % len(layout.parts)]
        outlines += [(square * scale, color) for square in squares.corners_px()]
    corners = torch.stack([corner for corner, _ in outlines]) if outlines else boxes.new_zeros(0, 4, 2)
    starts, ends = corners.flatten(0, 1), corners.roll(-1, 1).flatten(0, 1)
    picture = draw_lines(image, starts, ends, layout.line + 2, (0, 0, 0), opacity=0.3)
    for corner, color in outlines:
        picture = draw_lines(picture, corner, corner.roll(-1, 0), layout.line, color)
    return picture


def _part_rows(
    photo: Tensor,
    photo_px: Tensor,
    faces: Tensor,
    colors: Tensor,
    parts: Sequence[tuple[str, Squares]],
    size: int,
    layout: Layout,
) -> list[list[Tile]]:
    """For each person: crop, and crop with mesh, of each part; the person in question is drawn without the others."""
    rows: list[list[Tile]] = [[] for _ in range(len(photo_px))]
    for number, (name, squares) in enumerate(parts):
        color = layout.parts[number % len(layout.parts)]
        pixels = to_bytes(crop(photo, squares, size).pixels)
        crop_px = (squares.unit_from_photo(photo_px[..., :2]) + 1) * (size / 2)
        crop_px = torch.cat([crop_px, photo_px[..., 2:]], -1)
        for i, row in enumerate(rows):
            drawn = paint(pixels[i], crop_px[i : i + 1], faces, colors[i : i + 1])
            row += [Tile(pixels[i], name, color), Tile(drawn, "", color)]
    return rows


def compose(rows: list[list[Tile]], width: int, layout: Layout) -> UInt8[Tensor, "3 h w"]:
    """Tiles in rows on a white page, captions above them."""
    header = layout.caption + 10
    heights = [max(tile.image.shape[1] for tile in row) + header for row in rows]
    page_height = sum(heights) + layout.gap * (len(rows) - 1) + 2 * layout.margin
    page = Image.new("RGB", (width + 2 * layout.margin, page_height), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(layout.caption)
    y = layout.margin
    for row, height in zip(rows, heights, strict=True):
        x = layout.margin
        for tile in row:
            pen.text((x, y), tile.caption, fill=tile.color, font=font)
            page.paste(Image.fromarray(tile.image.permute(1, 2, 0).cpu().numpy()), (x, y + header))
            right = x + tile.image.shape[2]
            pen.rectangle((x - 1, y + header - 1, right, y + header + tile.image.shape[1]), outline=layout.frame)
            x = right + layout.gap
        y += height + layout.gap
    return torch.from_numpy(np.array(page)).permute(2, 0, 1)
