"""Overlays: the people over the photo, and from the side."""

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torch.nn.functional import interpolate as resize
from torch.nn.functional import pad

from limner.geometry.camera import Camera
from limner.render.raster import Fragments, rasterize, values_at
from limner.render.shade import vertex_colors

CLAY = (
    (0.68, 0.77, 0.87),  # clay blue
    (0.86, 0.78, 0.70),  # warm grey
    (0.68, 0.81, 0.71),  # sage
    (0.88, 0.70, 0.64),  # terracotta
    (0.77, 0.71, 0.86),  # lilac
    (0.90, 0.83, 0.61),  # straw
)
"""Surface colours (sRGB), one a person, in this order and again from the front."""

INSIDE = 0.16  # brightness of surfaces seen from within the body

SMOOTH = 0.01  # share of the depth by which neighbouring pixels of one surface may differ
EDGE_SAMPLES = ((-5, -3), (-3, 1), (-1, 5), (1, -5), (3, -1), (5, 3))
"""Where a pixel that an edge may cross is asked, twelfths of a pixel from its centre: six queens, no two in a row, a
column or a diagonal, so that edges of any slope have six steps."""
BLOCK = 4  # pixels: what triangles are chosen by that such pixels may need
PIXELS_AT_ONCE = 2**15  # a working set that fits a CPU's cache


def overlay(
    photo: UInt8[Tensor, "3 H W"],
    vertices: Float[Tensor, "P V 3"],
    faces: Int64[Tensor, "F 3"],
    camera: Camera,
    *,
    opacity: float = 1.0,
    longest_side: int = 1600,
    colors: Float[Tensor, "P V 3"] | None = None,
) -> UInt8[Tensor, "3 h w"]:
    """The photo with all people drawn over it, nearer surfaces in front, each person in a hue of their own.

    vertices: camera frame, metres, `camera` one entry a person. The result is the photo's size, or smaller, so that
    its longer side is at most `longest_side` pixels. colors: what `clay` made of the same vertices, if it is at hand.
    All tensors lie on one device.
    """
    canvas, scale = fit(photo, longest_side, longest_side)
    colors = clay(vertices, faces) if colors is None else colors
    pixels = torch.cat([camera.project(vertices) * scale, vertices[..., 2:]], -1)
    return paint(canvas, pixels, faces, colors, opacity)


def side_view(
    vertices: Float[Tensor, "P V 3"],
    faces: Int64[Tensor, "F 3"],
    height: int = 640,
    width: int = 480,
    sky: Float[Tensor, "P V"] | None = None,
) -> UInt8[Tensor, "3 height width"]:
    """People seen from their side of the scene, on white: turned by 90 degrees about the photo's vertical axis.

    All people given are turned together and fill the frame together; their left in this view is where the photo's
    camera stands. sky: their `sky_light`, if it is at hand.
    """
    canvas = torch.full((3, height, width), 255, dtype=torch.uint8, device=vertices.device)
    if vertices.numel() == 0:
        return canvas
    x, y, z = vertices.unbind(-1)
    turned = torch.stack([z, y, -x], -1)
    low, high = turned.flatten(0, 1).amin(0), turned.flatten(0, 1).amax(0)
    extent = (high - low).clamp_min(1e-3)
    scale = 0.92 * torch.minimum(width / extent[0], height / extent[1])
    distance = 8 * extent.max()  # far away: hardly any perspective
    moved = turned - (low + high) / 2 + torch.stack([distance * 0, distance * 0, distance])
    middle = turned.new_tensor([width / 2, height / 2])
    pixels = torch.cat([moved[..., :2] / moved[..., 2:] * (distance * scale) + middle, moved[..., 2:]], -1)
    return paint(canvas, pixels, faces, clay(moved, faces, sky))


def clay(
    vertices: Float[Tensor, "P V 3"], faces: Int64[Tensor, "F 3"], sky: Float[Tensor, "P V"] | None = None
) -> Float[Tensor, "P V 3"]:
    """Shaded vertex colours of people (camera frame, metres), each in the next hue of `CLAY`.

    sky: their `sky_light`, if it is at hand.
    """
    hues = vertices.new_tensor(CLAY)[torch.arange(len(vertices), device=vertices.device) % len(CLAY)]
    return vertex_colors(vertices, faces, hues[:, None].expand(-1, vertices.shape[1], -1), sky)


def paint(
    canvas: UInt8[Tensor, "3 H W"],
    vertices_px: Float[Tensor, "P V 3"],
    faces: Int64[Tensor, "F 3"],
    colors: Float[Tensor, "P V 3"],
    opacity: float = 1.0,
) -> UInt8[Tensor, "3 H W"]:
    """Draw coloured meshes (x, y canvas pixels, z depth) over a copy of the canvas, with smooth edges.

    Inside a surface the pixel's centre tells its colour. Where an edge may cross a pixel, several places in it are
    asked, and the share that sees a mesh is its alpha. All meshes share one depth buffer.
    """
    result = canvas.clone()
    region = _region(vertices_px, canvas.shape[1], canvas.shape[2])
    if region is None:
        return result
    left, top, right, bottom = region
    size = height, width = bottom - top, right - left
    people, number = vertices_px.shape[:2]
    corners = (faces.mT + torch.arange(people, device=faces.device).view(-1, 1, 1) * number).transpose(0, 1).flatten(1)
    vertices = (vertices_px - vertices_px.new_tensor([left, top, 0])).reshape(1, -1, 3)
    x, y = (vertices[0, :, axis].index_select(0, corners.reshape(-1)).view(3, -1) for axis in (0, 1))
    (x0, x1), (y0, y1) = x.aminmax(dim=0), y.aminmax(dim=0)
    shown = ((x0 < width) & (y0 < height) & (x1 > 0) & (y1 > 0)).nonzero()[:, 0]
    boxes = torch.stack([x0, y0, x1, y1]).index_select(1, shown)
    faces, x, y = (values.index_select(1, shown) for values in (corners, x, y))
    away = (x[1] - x[0]) * (y[2] - y[0]) > (x[2] - x[0]) * (y[1] - y[0])
    light = torch.where(away, INSIDE, 1.0).to(colors)
    faces, colors = faces.mT, colors.reshape(1, -1, 3)

    centres = rasterize(vertices, faces, height, width)
    edges = _edges(centres.depth[0]).view(-1)
    window = result[:, top:bottom, left:right].reshape(3, -1)
    inner = (~edges.index_select(0, centres.covered_pixels)).nonzero()[:, 0]
    for rows in inner.split(PIXELS_AT_ONCE):
        seen = centres.some(rows)
        _put(window, seen.covered_pixels, _shades(colors, seen, light) * opacity, colors.new_tensor(opacity))

    edge = edges.nonzero()[:, 0]
    asked = _touching(boxes, edge, size)
    if not away[centres.triangle].any():  # nobody looks into a hollow: what is turned away is hidden
        asked &= ~away
    places = pad(vertices.new_tensor(EDGE_SAMPLES) / 12, (0, 1))[:, None]
    seen = rasterize(vertices - places, faces[asked], height, width, only=edge)
    shades = pad(_shades(colors, seen, light[asked]), (0, 1), value=1.0) * (opacity / len(places))
    row = torch.searchsorted(edge, seen.covered_pixels % (height * width))
    mixed = shades.new_zeros(len(edge), 4).index_add_(0, row, shades)
    _put(window, edge, mixed[:, :3], mixed[:, 3])
    result[:, top:bottom, left:right] = window.view(3, height, width)
    return result


def _put(
    window: UInt8[Tensor, "3 N"], pixel: Int64[Tensor, "K"], colors: Float[Tensor, "K 3"], alpha: Float[Tensor, "*K"]
) -> None:
    """Lay colours, already times alpha, over some pixels of a flat picture."""
    below = window.index_select(1, pixel) * (1 - alpha)
    window.index_copy_(1, pixel, below.addcmul_(colors.mT, below.new_tensor(255)).round_().clamp_(0, 255).byte())


def _shades(colors: Float[Tensor, "1 V 3"], seen: Fragments, light: Float[Tensor, "F"]) -> Float[Tensor, "N 3"]:
    """The colour that each covered pixel shows, in the light of its triangle."""
    return values_at(colors, seen) * light.index_select(0, seen.triangle)[:, None]


def _edges(depth: Float[Tensor, "H W"]) -> Bool[Tensor, "H W"]:
    """Pixels that an edge may cross: beside one of them nothing is seen, or something much nearer or farther."""
    edges = torch.zeros_like(depth, dtype=torch.bool)
    for one, other, here, there in (
        (depth[1:], depth[:-1], edges[1:], edges[:-1]),
        (depth[:, 1:], depth[:, :-1], edges[:, 1:], edges[:, :-1]),
    ):
        jump = (one - other).abs() > SMOOTH * torch.minimum(one, other)  # never where both are infinite: nan
        here |= jump
        there |= jump
    return edges


def _touching(boxes: Float[Tensor, "4 F"], pixel: Int64[Tensor, "K"], size: tuple[int, int]) -> Bool[Tensor, "F"]:
    """Which boxes x0 y0 x1 y1 may cover a part of one of these pixels (flat indices): meet a BLOCK with one in it."""
    rows, columns = (-(-side // BLOCK) for side in size)
    row = pixel.div(size[1], rounding_mode="floor")
    blocks = boxes.new_zeros(rows + 1, columns + 1)
    blocks[row // BLOCK + 1, (pixel - row * size[1]) // BLOCK + 1] = 1
    before = blocks.cumsum(0).cumsum(1).view(-1)  # blocks with such pixels above and to the left of each block
    low, high = (boxes[:2] - 0.5) / BLOCK, (boxes[2:] + 0.5) / BLOCK + 1
    limit = boxes.new_tensor([[columns], [rows]])
    (x0, y0), (x1, y1) = (ends.clamp_min(0).minimum(limit).long() for ends in (low, high))
    y0, y1 = y0 * (columns + 1), y1 * (columns + 1)
    inside = before[y1 + x1] - before[y0 + x1] - before[y1 + x0] + before[y0 + x0]
    return inside > 0


def _region(vertices_px: Tensor, height: int, width: int) -> tuple[int, int, int, int] | None:
    """Canvas part (left, top, right, bottom) that holds all vertices in front of the camera, and a pixel around them;
    None if that is empty."""
    inside = vertices_px[vertices_px[..., 2] > 0]
    if len(inside) == 0:
        return None
    limit = inside.new_tensor([width, height])
    low = (inside[:, :2].amin(0).floor() - 1).clamp_min(0).minimum(limit)
    high = (inside[:, :2].amax(0).ceil() + 1).clamp_min(0).minimum(limit)
    (left, top), (right, bottom) = low.int().tolist(), high.int().tolist()
    return (left, top, right, bottom) if right > left and bottom > top else None


def fit(
    photo: UInt8[Tensor, "3 H W"], height: int, width: int, enlarge: bool = False
) -> tuple[UInt8[Tensor, "3 h w"], float]:
    """The photo, resized to fit into height x width pixels, and by which factor; enlarged only if so asked.

    For display only: what networks see is cut by `limner.geometry.warp`.
    """
    scale = min(height / photo.shape[1], width / photo.shape[2])
    if scale >= 1 and not enlarge:
        return photo, 1.0
    size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[2] * scale)))
    step = max(1, int(0.5 / scale))  # of a huge photo every step-th pixel, still twice as many as shown
    pixels = photo[None, :, ::step, ::step].cpu()  # bytes are resized there alone, in a third of the time of floats
    return resize(pixels, size, mode="bilinear", antialias=True)[0].to(photo.device), scale


def to_bytes(image: Float[Tensor, "*B 3 H W"]) -> UInt8[Tensor, "*B 3 H W"]:
    """[0, 1] to 0..255."""
    return (image * 255).round().clamp(0, 255).to(torch.uint8)
