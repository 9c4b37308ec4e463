"""The rasteriser: which triangle each pixel sees, where in it, and how far away.

Pure torch, batched, on any device. A scanline rasteriser turned into three flat lists, each filtered before the next
is made: triangles whose box holds a pixel centre -> their rows -> covered pixels, which meet in a z-buffer
(depth and face index packed into one integer, `scatter_reduce` with the minimum). The x where an edge crosses a row
is computed from the edge's two end points only, always from the upper one, so two triangles that share an edge
agree on it to the last bit: no holes and no pixel twice along shared edges.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from limner.records import Rows

_EMPTY = 2**63 - 1  # z-buffer key of a pixel without a triangle: behind everything
_TRIANGLES_AT_ONCE = 2**17  # of a batch: a working set that fits a CPU's cache made batches of 32 a third faster
_ROWS_AT_ONCE = 2**15  # and large pictures by a third


@dataclass(frozen=True)
class Fragments:
    """What the pixels of B images see; N of them see a triangle, and only of those more is kept.

    shape: B, H, W.
    covered_pixels: flat indices (into B*H*W, ascending) of the pixels that see a triangle.
    triangle: index of the nearest triangle of each of them.
    distance: its camera depth there, in the unit of the vertices' z.
    weights: of its three corners at the pixel centre, sum 1 (perspective-correct if so rasterised).
    faces: the vertex indices of the triangles that `triangle` counts.
    """

    shape: tuple[int, int, int]
    covered_pixels: Int64[Tensor, "N"]
    triangle: Int64[Tensor, "N"]
    distance: Float[Tensor, "N"]
    faces: Int64[Tensor, "F 3"]
    vertices_px: Float[Tensor, "B V 3"]
    perspective: bool

    @cached_property
    def weights(self) -> Float[Tensor, "N 3"]:
        """Where in its triangle each covered pixel's centre lies."""
        return _weights(self)

    @property
    def samples(self) -> Int64[Tensor, "N"]:
        """Which image each covered pixel belongs to."""
        return self.covered_pixels.div(self.shape[1] * self.shape[2], rounding_mode="floor")

    @cached_property
    def covered(self) -> Bool[Tensor, "B H W"]:
        """True where a triangle is seen."""
        return self.image(torch.ones_like(self.covered_pixels, dtype=torch.bool), False)

    @cached_property
    def depth(self) -> Float[Tensor, "B H W"]:
        """Camera depth; +inf where there is none."""
        return self.image(self.distance, torch.inf)

    def image(self, values: Shaped[Tensor, "N *C"], elsewhere: float | int | bool) -> Shaped[Tensor, "B H W *C"]:
        """Values of the covered pixels as an image, `elsewhere` where nothing is seen; differentiable in the values."""
        batch, height, width = self.shape
        empty = values.new_full((batch * height * width, *values.shape[1:]), elsewhere)
        return empty.index_copy(0, self.covered_pixels, values).view(*self.shape, *values.shape[1:])

    def some(self, rows: Int64[Tensor, "M"]) -> "Fragments":
        """The same of some of the covered pixels."""
        kept = {name: getattr(self, name).index_select(0, rows) for name in ("covered_pixels", "triangle", "distance")}
        return replace(self, **kept)

    def __len__(self) -> int:
        return self.shape[0]


@dataclass(frozen=True)
class _Edges:
    """Edges as x = x0 + (y - y0) * slope, (x0, y0) the upper end."""

    x0: Tensor
    y0: Tensor
    slope: Tensor

    def cross(self, y: Tensor, edge: Tensor) -> tuple[Tensor, Tensor]:
        """Where edges number `edge` cross the heights y, and how far below their upper end that is."""
        down = y - self.y0.index_select(0, edge)
        return self.x0.index_select(0, edge) + down * self.slope.index_select(0, edge), down


@dataclass(frozen=True)
class _Triangles:
    """T triangles of all images; `w` is 1/z (or z without perspective), linear over the image.

    Of each triangle's corners, sorted downwards, the long edge joins 0 and 2. On the other side lies a short edge: 0-1
    above `y_bend`, 1-2 from there on; `short` holds all the upper ones, then all the lower ones.
    """

    sample: Tensor
    face: Tensor
    first_row: Tensor
    rows: Tensor
    long: _Edges
    short: _Edges
    y_bend: Tensor
    w: Tensor  # at corner 0
    w_down: Tensor  # change of w a pixel down along the long edge
    w_right: Tensor  # change of w a pixel to the right


@dataclass(frozen=True)
class _Rows(Rows):
    """What each row of each triangle covers: `pixels` pixels (often 0) from column `first`."""

    triangle: Tensor
    row: Tensor
    first: Tensor
    pixels: Tensor
    x_long: Tensor  # where the long edge crosses the row's centre line
    down: Tensor  # and how far that is below the edge's upper end


@torch.no_grad()
def rasterize(
    vertices_px: Float[Tensor, "B V 3"],
    faces: Int64[Tensor, "F 3"],
    height: int,
    width: int,
    *,
    near: float = 0.01,
    perspective: bool = True,
    cull_back: bool = False,
    only: Int64[Tensor, "K"] | None = None,
) -> Fragments:
    """Draw a mesh, in B states, into B images of `height` x `width` pixels.

    Args:
        vertices_px: x right and y down in pixels ((0, 0) is the corner of the first pixel, its centre (0.5, 0.5));
            z is the camera depth, metres for a perspective camera.
        near: triangles with a corner at z <= near are left out (only with `perspective`).
        perspective: interpolate 1/z over the image, as a pinhole camera needs; False interpolates z (orthographic;
            then any z, also a negative one, is good).
        cull_back: leave out triangles seen from behind (outside is where corners run counter-clockwise).
        only: flat indices, ascending, of the pixels that are drawn, of every image; the others stay empty.

    A pixel belongs to a triangle if its centre does; a centre on an edge (to rounding) belongs to the triangle to the
    right of or below that edge. Of triangles at equal depth the lowest index wins. What is seen is decided in single
    precision. Not differentiable.
    """
    key = _z_buffer(vertices_px, faces, height, width, near, perspective, cull_back, only)
    seen = (key != _EMPTY).nonzero().squeeze(1)
    depth, face = _unpack(key.index_select(0, seen))
    if only is not None:
        sample = seen.div(max(1, len(only)), rounding_mode="floor")
        seen = sample * (height * width) + only.index_select(0, seen - sample * len(only))
    shape = (len(vertices_px), height, width)
    return Fragments(shape, seen, face, depth.to(vertices_px.dtype), faces, vertices_px, perspective)


@torch.no_grad()
def depth_map(
    vertices_px: Float[Tensor, "B V 3"],
    faces: Int64[Tensor, "F 3"],
    height: int,
    width: int,
    *,
    near: float = 0.01,
    perspective: bool = True,
    cull_back: bool = False,
) -> Float[Tensor, "B H W"]:
    """Depth of the nearest triangle at every pixel, +inf where there is none: `rasterize(...).depth`, only cheaper."""
    key = _z_buffer(vertices_px, faces, height, width, near, perspective, cull_back)
    depth = torch.where(key == _EMPTY, torch.inf, _unpack(key)[0])
    return depth.view(len(vertices_px), height, width).to(vertices_px.dtype)


def values_at(attributes: Float[Tensor, "#B V C"], fragments: Fragments) -> Float[Tensor, "N C"]:
    """Vertex attributes at the covered pixels (a batch of 1 serves all images); differentiable in `attributes`."""
    offset: Tensor | int = 0
    if attributes.shape[0] > 1:
        offset = fragments.samples * attributes.shape[1]
    rows = [column.index_select(0, fragments.triangle) + offset for column in fragments.faces.unbind(1)]
    values, weights = attributes.reshape(-1, attributes.shape[2]), fragments.weights.to(attributes.dtype)
    terms = [values.index_select(0, rows[i]) * weights[:, i, None] for i in range(3)]
    return terms[0] + terms[1] + terms[2]


def _triangles(
    vertices_px: Tensor, faces: Tensor, height: int, width: int, near: float, perspective: bool, cull_back: bool
) -> _Triangles:
    """The triangles whose box holds a pixel centre of the image, ready to be cut into rows."""
    corner = torch.cat(faces.unbind(1))
    planes = [plane.index_select(1, corner).view(len(plane), 3, len(faces)) for plane in vertices_px.unbind(-1)]
    top, bottom = _centres(*_extremes(planes[1]), height)
    left, right = _centres(*_extremes(planes[0]), width)
    keep = (bottom > top) & (right > left)
    if perspective:
        keep &= _extremes(planes[2])[0] > near
    if cull_back:
        keep &= _turns_left(planes[0], planes[1])
    kept = keep.view(-1).nonzero().squeeze(1)

    sample = kept.div(max(len(faces), 1), rounding_mode="floor")
    face = kept - sample * len(faces)
    at = [kept + (2 * sample + corner) * len(faces) for corner in range(3)]  # rows in the flattened planes
    order = _downwards(*(planes[1].view(-1).index_select(0, i) for i in at))
    x, y, z = ([plane.view(-1).index_select(0, at[0] + i * len(faces)) for i in order] for plane in planes)
    w = [depth.reciprocal() for depth in z] if perspective else z
    first_row = top.view(-1).index_select(0, kept)
    rows = bottom.view(-1).index_select(0, kept) - first_row

    long = _Edges(x[0], y[0], _slope(x, y, 0, 2))
    short = _Edges(torch.cat(x[:2]), torch.cat(y[:2]), torch.cat([_slope(x, y, 0, 1), _slope(x, y, 1, 2)]))
    w_down = _slope(w, y, 0, 2)
    # The row through corner 1 is the widest: from its two ends the step to the right comes out safe even in slivers.
    bend = y[1] - y[0]
    breadth = x[1] - (x[0] + bend * long.slope)
    w_right = (w[1] - (w[0] + bend * w_down)) / (breadth + (breadth == 0))
    return _Triangles(sample, face, first_row.int(), rows.int(), long, short, y[1], w[0], w_down, w_right)


def _turns_left(x: Tensor, y: Tensor) -> Tensor:
    """Whether "B 3 F" corners run counter-clockwise as the viewer sees them: the outside faces the camera."""
    return (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) < (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])


def _downwards(y0: Tensor, y1: Tensor, y2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which corner of each triangle is the uppermost, the middle and the lowest (three swaps by `where` are slower)."""
    a, b, c = y0 > y1, y0 > y2, y1 > y2
    upper = (a & ~c).byte() + 2 * (b & c).byte()
    lower = (~a & c).byte() + 2 * (~b & ~c).byte()
    return upper.long(), (3 - upper - lower).long(), lower.long()


def _slope(values: list[Tensor], y: list[Tensor], upper: int, lower: int) -> Tensor:
    """Change of a value a pixel down along an edge; not finite on horizontal edges, which cross no row."""
    return (values[lower] - values[upper]) / (y[lower] - y[upper])


def _extremes(corners: Tensor) -> tuple[Tensor, Tensor]:
    """Least and greatest value of "B 3 F" corners (faster than a reduction over the dimension)."""
    a, b, c = corners.unbind(1)
    return torch.minimum(torch.minimum(a, b), c), torch.maximum(torch.maximum(a, b), c)


def _centres(start: Tensor, end: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Half-open range of the pixels whose centre lies in [start, end), within an image of `size` pixels."""
    return (start - 0.5).ceil().clamp(0, size), (end - 0.5).ceil().clamp(0, size)


def _rows(triangles: _Triangles, width: int) -> _Rows:
    """Cut triangles into rows of pixels."""
    triangle, row = _enumerate(triangles.rows, triangles.first_row)
    y = row + 0.5
    x_long, down = triangles.long.cross(y, triangle)
    below = y >= triangles.y_bend.index_select(0, triangle)
    x_short, _ = triangles.short.cross(y, triangle + below * len(triangles.rows))
    first, end = _centres(torch.minimum(x_long, x_short), torch.maximum(x_long, x_short), width)
    return _Rows(triangle, row, first.int(), (end - first).clamp_min(0).int(), x_long, down)


def _enumerate(counts: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Owner and number of `counts[i]` things of owner i, numbered from `start[i]`.

    Counts 2 3 from 0 7: owners 0 0 1 1 1, numbers 0 1 7 8 9.
    """
    owner = torch.repeat_interleave(counts)
    shift = start - (counts.cumsum(0, dtype=counts.dtype) - counts)
    number = torch.arange(len(owner), dtype=counts.dtype, device=counts.device) + shift.index_select(0, owner)
    return owner, number


def _z_buffer(
    vertices_px: Tensor,
    faces: Tensor,
    height: int,
    width: int,
    near: float,
    perspective: bool,
    cull_back: bool,
    only: Tensor | None = None,
) -> Tensor:
    """Nearest (depth, face) of every pixel as one integer key, see `_pack`; _EMPTY where there is none.

    With `only` of these pixels alone.
    """
    size, before = height * width, None
    if only is not None:
        before = torch.zeros(size + 1, dtype=torch.int32, device=only.device).index_fill_(0, only + 1, 1).cumsum_(0)
        size = len(only)
    buffer = torch.full((len(vertices_px), size), _EMPTY, dtype=torch.int64, device=vertices_px.device)
    images = max(1, _TRIANGLES_AT_ONCE // max(1, len(faces)))
    for part, target in zip(vertices_px.float().split(images), buffer.split(images), strict=True):
        triangles = _triangles(part, faces, height, width, near, perspective, cull_back)
        rows = _rows(triangles, width)
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            _draw(triangles, rows[first : first + _ROWS_AT_ONCE], target, width, perspective, only, before)
    return buffer.view(-1)


def _draw(
    triangles: _Triangles,
    rows: _Rows,
    buffer: Tensor,
    width: int,
    perspective: bool,
    only: Tensor | None,
    before: Tensor | None,
) -> None:
    """Put the keys of all covered pixels into the buffer (B N) of the triangles' images, the least one winning.

    `only`: the pixels that the buffer holds, if not all; `before`: how many of them lie before each pixel.
    """
    start = rows.row * width + rows.first
    place, count = start, rows.pixels
    if before is not None:
        place = before.index_select(0, start)
        count = before.index_select(0, start + count) - place
    drawn = count.nonzero().squeeze(1)
    of, place, count, start, first, x_long, down = (
        values.index_select(0, drawn)
        for values in (rows.triangle, place, count, start, rows.first, rows.x_long, rows.down)
    )
    step = triangles.w_right.index_select(0, of)
    w = triangles.w.index_select(0, of) + down * triangles.w_down.index_select(0, of)
    w = w + (first + 0.5 - x_long) * step  # at the row's first pixel
    face, image = triangles.face.index_select(0, of), (triangles.sample * buffer.shape[1]).index_select(0, of)

    owner, place = _enumerate(count, place)
    right = (place if only is None else only.index_select(0, place)) - start.index_select(0, owner)
    w = w.index_select(0, owner) + right * step.index_select(0, owner)
    key = _pack(w.reciprocal() if perspective else w, face.index_select(0, owner))
    buffer.view(-1).scatter_reduce_(0, image.index_select(0, owner) + place, key, "amin")


def _pack(depth: Tensor, face: Tensor) -> Tensor:
    """Integer that sorts by depth, then face: depth's bits, flipped below zero so that they sort, over the index."""
    bits = depth.view(torch.int32)
    bits = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return (bits.long() << 32) | face


def _unpack(key: Tensor) -> tuple[Tensor, Tensor]:
    """Inverse of `_pack`: depth and face."""
    bits = (key >> 32).int()
    bits = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return bits.view(torch.float32), key & 0xFFFFFFFF


@torch.no_grad()
def _weights(fragments: Fragments) -> Tensor:
    """Where in its triangle each covered pixel centre lies."""
    _, height, width = fragments.shape
    pixel, vertices_px = fragments.covered_pixels, fragments.vertices_px
    row = pixel.div(width, rounding_mode="floor")
    sample = row.div(height, rounding_mode="floor")
    x_px, y_px = pixel - row * width + 0.5, row - sample * height + 0.5
    first = sample * vertices_px.shape[1]
    corners = [column.index_select(0, fragments.triangle) + first for column in fragments.faces.unbind(1)]
    x, y, z = ([plane.reshape(-1).index_select(0, i) for i in corners] for plane in vertices_px.unbind(-1))
    return _barycentric([a - x_px for a in x], [a - y_px for a in y], z if fragments.perspective else None)


def _barycentric(x: list[Tensor], y: list[Tensor], z: list[Tensor] | None) -> Tensor:
    """Weights (N 3) of the corners at the origin, known to lie within; perspective-correct if z is given."""
    # Twice the signed area of the triangle that the origin forms with the side opposite to each corner.
    areas = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]]
    sign = (areas[0] + areas[1] + areas[2]).sign()
    # Rounding may put the point a hair outside, and a sliver's area may vanish: stay within the triangle.
    weights = [(area * sign).clamp_min(1e-20) for area in areas]
    if z is not None:
        weights = [weight / depth for weight, depth in zip(weights, z, strict=True)]
    total = weights[0] + weights[1] + weights[2]
    return torch.stack([weight / total for weight in weights], 1)
