"""How do the people look over the photo, and from the side?"""

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.nn.functional import interpolate as resize

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

SMOOTH = 0.01  # share of the depth by which samples of one surface may differ within a pixel
SAMPLE_BUDGET = 8e5  # how many samples a picture is rendered with, within 2 x 2 to 4 x 4 a pixel


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
    return to_bytes(paint(canvas, pixels, faces, colors, opacity))


def side_view(
    vertices: Float[Tensor, "P V 3"],
    faces: Int64[Tensor, "F 3"],
    height: int = 640,
    width: int = 480,
) -> UInt8[Tensor, "3 height width"]:
    """People seen from their side of the scene, on white: turned by 90 degrees about the photo's vertical axis.

    All people given are turned together and fill the frame together; their left in this view is where the photo's
    camera stands.
    """
    canvas = torch.ones(3, height, width, device=vertices.device)
    if vertices.numel() == 0:
        return to_bytes(canvas)
    x, y, z = vertices.unbind(-1)
    turned = torch.stack([z, y, -x], -1)
    low, high = turned.flatten(0, 1).amin(0), turned.flatten(0, 1).amax(0)
    extent = (high - low).clamp_min(1e-3)
    scale = 0.92 * torch.minimum(width / extent[0], height / extent[1])
    distance = 8 * extent.max()  # far away: hardly any perspective
    moved = turned - (low + high) / 2 + torch.stack([distance * 0, distance * 0, distance])
    middle = turned.new_tensor([width / 2, height / 2])
    pixels = torch.cat([moved[..., :2] / moved[..., 2:] * (distance * scale) + middle, moved[..., 2:]], -1)
    return to_bytes(paint(canvas, pixels, faces, clay(moved, faces)))


def clay(vertices: Float[Tensor, "P V 3"], faces: Int64[Tensor, "F 3"]) -> Float[Tensor, "P V 3"]:
    """Shaded vertex colours of people (camera frame, metres), each in the next hue of `CLAY`."""
    hues = vertices.new_tensor(CLAY)[torch.arange(len(vertices)) % len(CLAY)]
    return vertex_colors(vertices, faces, hues[:, None].expand(-1, vertices.shape[1], -1))


def paint(
    canvas: Float[Tensor, "3 H W"],
    vertices_px: Float[Tensor, "P V 3"],
    faces: Int64[Tensor, "F 3"],
    colors: Float[Tensor, "P V 3"],
    opacity: float = 1.0,
) -> Float[Tensor, "3 H W"]:
    """Draw coloured meshes (x, y canvas pixels, z depth) over a copy of the canvas, with smooth edges.

    Only the part of the canvas around the meshes is rendered, 2 to 4 times finer (small parts finer) and then averaged,
    so that a pixel's coverage is its alpha. All meshes share one depth buffer.
    """
    region = _region(vertices_px, canvas.shape[1], canvas.shape[2])
    if region is None:
        return canvas.clone()
    left, top, right, bottom = region
    height, width = bottom - top, right - left
    samples = int(min(4, max(2, (SAMPLE_BUDGET / (height * width)) ** 0.5)))
    fine = (vertices_px - vertices_px.new_tensor([left, top, 0])) * vertices_px.new_tensor([samples, samples, 1])
    people, number = vertices_px.shape[:2]
    offsets = torch.arange(people, device=faces.device).view(-1, 1, 1) * number
    triangles = (faces + offsets).reshape(-1, 3)
    seen = rasterize(fine.reshape(1, -1, 3), triangles, height * samples, width * samples)
    drawn = _averaged(seen, colors.reshape(1, -1, 3), samples) * opacity
    result = canvas.clone()
    result[:, top:bottom, left:right] = drawn[:3] + (1 - drawn[3]) * canvas[:, top:bottom, left:right]
    return result


def _averaged(seen: Fragments, colors: Float[Tensor, "1 V 3"], samples: int) -> Float[Tensor, "4 h w"]:
    """Colour times alpha, and alpha, of pixels that are samples x samples of those seen.

    Inside a surface one sample tells a pixel's colour; all are asked where an edge crosses the pixel: where not all of
    them see something, or their depths differ by more than SMOOTH.
    """
    height, width = (side // samples for side in seen.shape[1:])
    depth = seen.depth[0]
    views = [depth[i::samples, j::samples] for i in range(samples) for j in range(samples)]
    nearest, farthest = views[0], views[0]
    for view in views[1:]:
        nearest, farthest = torch.minimum(nearest, view), torch.maximum(farthest, view)
    whole = (farthest - nearest) < SMOOTH * nearest  # not where something is infinitely far: inf - x, or nan
    row = seen.covered_pixels.div(width * samples, rounding_mode="floor")
    column = seen.covered_pixels - row * (width * samples)
    pixel = row.div(samples, rounding_mode="floor") * width + column.div(samples, rounding_mode="floor")
    inner = whole.view(-1).index_select(0, pixel)
    middle = (row % samples == samples // 2) & (column % samples == samples // 2)
    image = colors.new_zeros(height * width, 4)
    for rows, share in ((inner & middle, 1.0), (~inner, 1 / samples**2)):
        chosen = rows.nonzero()[:, 0]
        fragments = seen.some(chosen)
        shades = values_at(colors, fragments) * _brightness(fragments)[:, None]
        shades = torch.cat([shades, torch.ones_like(shades[:, :1])], -1) * share
        image.index_add_(0, pixel.index_select(0, chosen), shades)
    return image.view(height, width, 4).permute(2, 0, 1)


def _brightness(seen: Fragments) -> Float[Tensor, "N"]:
    """Less for pixels that show a triangle from behind: through the open mouth one looks into a hollow."""
    x, y = (seen.vertices_px[0, :, axis][seen.faces] for axis in (0, 1))
    turn = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    return torch.where(turn > 0, INSIDE, 1.0).to(x.dtype).index_select(0, seen.triangle)


def _region(vertices_px: Tensor, height: int, width: int) -> tuple[int, int, int, int] | None:
    """Canvas part (left, top, right, bottom) that holds all vertices in front of the camera; None if that is empty."""
    inside = vertices_px[vertices_px[..., 2] > 0]
    if len(inside) == 0:
        return None
    limit = inside.new_tensor([width, height])
    low = inside[:, :2].amin(0).floor().clamp_min(0).minimum(limit)
    high = inside[:, :2].amax(0).ceil().clamp_min(0).minimum(limit)
    (left, top), (right, bottom) = low.int().tolist(), high.int().tolist()
    return (left, top, right, bottom) if right > left and bottom > top else None


def fit(
    photo: UInt8[Tensor, "3 H W"], height: int, width: int, enlarge: bool = False
) -> tuple[Float[Tensor, "3 h w"], float]:
    """The photo in [0, 1], resized to fit into height x width pixels, and by which factor; enlarged only if so asked.

    For display only: what networks see is cut by `limner.geometry.warp`.
    """
    scale = min(height / photo.shape[1], width / photo.shape[2])
    if scale >= 1 and not enlarge:
        return photo.float() / 255, 1.0
    size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[2] * scale)))
    step = max(1, int(0.5 / scale))  # of a huge photo every step-th pixel, still twice as many as shown
    pixels = photo[:, ::step, ::step].float()[None] / 255
    return resize(pixels, size, mode="bilinear", antialias=True)[0].clamp(0, 1), scale


def to_bytes(image: Float[Tensor, "3 H W"]) -> UInt8[Tensor, "3 H W"]:
    """[0, 1] to 0..255."""
    return (image * 255).round().clamp(0, 255).to(torch.uint8)
