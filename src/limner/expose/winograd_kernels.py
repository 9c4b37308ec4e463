"""The machine code that convolves Winograd's way: vector loops, made for this very CPU when first needed.

The ways to and from Winograd's tiles are short sums for every pixel. Torch could only do them in two dozen passes over
memory; here a tile is read once and written once, and what lies between is multiplied while it is in the cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from limner.expose import vector_code
from limner.expose.vector_code import Code, Kernel, lines_of

STEP = 16
"""Channels come in multiples of this."""
BAND = 32
"""So many tiles are multiplied and taken back to pixels at once."""


@dataclass(frozen=True)
class Transform:
    """The matrices of F(m x m, 3x3), n = m + 2: d * g = from_tiles ((filters g) (to_tiles d)) in one dimension."""

    to_tiles: Float64[np.ndarray, "n n"]
    filters: Float64[np.ndarray, "n 3"]
    from_tiles: Float64[np.ndarray, "m n"]


ARGUMENTS = (
    "ptr noalias %map, ptr noalias %room, ptr noalias %weights, ptr noalias %bias, ptr noalias %shortcut, "
    "ptr noalias %out, i64 %is_map, i64 %relu, i64 %H, i64 %W, i64 %C, i64 %D, i64 %some, i64 %d, i64 %rows, "
    "i64 %columns, i64 %first, i64 %last, i64 %portion"
)
"""Of the kernel: out = map * weights + bias + shortcut, then ReLU if `relu` is not 0.

Only at the tiles first..last, `portion` of them at a time, and for `some` of the D channels, `d` at a time; tiles are
counted row by row through all images, `rows` by `columns` in each. Maps are N H W C (out and shortcut N H W D) in
memory, zeros around the map. `is_map` is 1 where the shortcut is a map, 0 where it is D numbers. Weights: see
`winograd.slabs`. `room` is memory for `room_numbers`.
"""


def room_numbers(size: int, channels: int, wide: int, tiles: int) -> int:
    """How many float32 of working memory a call needs: C channels, slabs of `wide`, so many tiles of size x size."""
    return size * size * (_plane(tiles, channels) + channels * wide + STEP + _plane(BAND, wide) + channels)


def _plane(tiles: int, channels: int) -> int:
    """From one of the n*n numbers of all tiles to the next.

    Whole rows of the multiplication, and a little more: planes a power of two apart would compete for the same lines of
    the cache.
    """
    return -(-tiles // ROWS) * ROWS * channels + STEP


def compiled(transform: Transform) -> Kernel | None:
    """The convolution (see ARGUMENTS); None where this machine has no code."""
    return vector_code.compiled(lambda lanes: program(transform, lanes), "convolve", ARGUMENTS)


WHERE = "i64 %rows, i64 %columns, i64 %plane, i64 %first, i64 %last"
ROWS, COLUMNS = 8, 3
"""The matrix product works on so many rows and at most so many vectors of columns at once: 24 of AVX-512's 32."""


def program(transform: Transform, lanes: int) -> str:
    """LLVM assembly of the convolution with vectors of so many lanes."""
    return "\n".join(
        [
            _expand(transform.filters, lanes),
            _into_tiles(transform.to_tiles, lanes),
            *(_multiply(columns, lanes) for columns in range(1, COLUMNS + 1)),
            _out_of_tiles(transform.from_tiles, lanes),
            _convolve(len(transform.to_tiles), lanes),
        ]
    )


def _convolve(size: int, lanes: int) -> str:
    """All steps in order (see ARGUMENTS): a portion of the tiles at a time, slab by slab, band by band."""
    code = Code(lanes)
    padded = code.new(f"and i64 {code.add('%portion', ROWS - 1)}, -{ROWS}")
    plane = code.add(code.mul(padded, "%C"), STEP)
    band_plane = code.add(code.mul("%d", BAND), STEP)
    filters = code.mul("%C", "%d")
    matrices = code.at("%room", code.mul(plane, size * size))
    matrix = code.add(filters, STEP)
    products = code.at(matrices, code.mul(matrix, size * size))
    edge = code.at(products, code.mul(band_plane, size * size))
    multiply = _widest(code)
    several = code.new("icmp ne i64 %d, %some")
    with code.loop("%first", "%last", "%portion") as begin:
        finish = code.smaller(code.add(begin, "%portion"), "%last")
        code.say(
            f"call void @into_tiles(ptr %map, ptr %room, ptr {edge}, i64 %H, i64 %W, i64 %C, "
            f"i64 %rows, i64 %columns, i64 {plane}, i64 {begin}, i64 {finish})"
        )
        fresh = code.new(f"or i1 {several}, {code.new(f'icmp eq i64 {begin}, %first')}")
        with code.loop(0, "%some", "%d") as channel:
            with code.where(fresh):
                weights = code.at("%weights", code.mul(code.mul("%C", 9), channel))
                code.say(f"call void @expand(ptr {weights}, ptr {matrices}, i64 {filters}, i64 {matrix})")
            bias, beside, out = (code.at(name, channel) for name in ("%bias", "%shortcut", "%out"))
            with code.loop(begin, finish, BAND) as start:
                end = code.smaller(code.add(start, BAND), finish)
                some = code.new(f"sub i64 {end}, {start}")
                given = code.at("%room", code.mul(code.new(f"sub i64 {start}, {begin}"), "%C"))
                with code.loop(0, size * size) as number:
                    a, b, c = (
                        code.at(address, code.mul(number, step))
                        for address, step in ((given, plane), (matrices, matrix), (products, band_plane))
                    )
                    code.say(f"call void {multiply}(ptr {a}, ptr {b}, ptr {c}, i64 {some}, i64 %C, i64 %d)")
                code.say(
                    f"call void @out_of_tiles(ptr {products}, ptr {bias}, ptr {beside}, i64 %is_map, ptr {out}, "
                    f"i64 %relu, i64 %d, i64 %H, i64 %W, i64 %D, i64 %rows, i64 %columns, i64 {band_plane}, "
                    f"i64 {start}, i64 {end})"
                )
    return code.function("convolve", ARGUMENTS)


def _widest(code: Code) -> str:
    """The matrix product with the widest panel that divides the columns of a slab."""
    vectors = code.new(f"udiv i64 %d, {code.lanes}")
    best = "@multiply1"
    for columns in range(2, COLUMNS + 1):
        fits = code.new(f"icmp eq i64 {code.new(f'urem i64 {vectors}, {columns}')}, 0")
        best = code.new(f"select i1 {fits}, ptr @multiply{columns}, ptr {best}")
    return best


def _multiply(columns: int, lanes: int) -> str:
    """out "count d" = a "count C" @ b "C d", ROWS rows at a time (what is beyond `count` is void)."""
    code = Code(lanes)
    with code.loop(0, "%count", ROWS) as top:
        lines = lines_of(code, code.at("%a", code.mul(top, "%C")), "%C", ROWS)
        with code.loop(0, "%d", columns * lanes) as left:
            sums = ["zeroinitializer"] * (ROWS * columns)
            with code.loop(0, "%C", 1, sums) as k:
                row = code.at("%b", code.add(code.mul(k, "%d"), left))
                given = [code.load(row, str(v * lanes)) for v in range(columns)]
                for r, line in enumerate(lines):
                    factor = code.everywhere(code.new(f"load float, ptr {code.at(line, k)}, align 4"))
                    for v in range(columns):
                        sums[r * columns + v] = code.plus_product(sums[r * columns + v], factor, given[v])
            for r in range(ROWS):
                goal = code.at("%out", code.add(code.mul(code.add(top, r), "%d"), left))
                for v in range(columns):
                    code.store(sums[r * columns + v], goal, str(v * lanes))
    return code.function(
        f"multiply{columns}", "ptr noalias %a, ptr noalias %b, ptr noalias %out, i64 %count, i64 %C, i64 %d"
    )


def _expand(filters: Float64[np.ndarray, "n 3"], lanes: int) -> str:
    """G g G^T of `count` filters g, which lie STEP by STEP, tap after tap; n*n planes, `plane` numbers apart."""
    code, size = Code(lanes), len(filters)
    planes = lines_of(code, "%matrices", "%plane", size * size)
    with code.loop(0, "%count", STEP) as group, code.loop(0, STEP, lanes) as part:
        index = code.add(group, part)
        start = code.add(code.mul(group, 9), part)
        given = [code.load("%weights", code.add(start, tap * STEP)) for tap in range(9)]
        down = [_to_points(code, filters, given[j::3]) for j in range(3)]
        for u in range(size):
            for v, value in enumerate(_to_points(code, filters, [column[u] for column in down])):
                code.store(value, planes[u * size + v], index)
    return code.function("expand", "ptr noalias %weights, ptr noalias %matrices, i64 %count, i64 %plane")


def _into_tiles(to_tiles: Float64[np.ndarray, "n n"], lanes: int) -> str:
    size = len(to_tiles)
    code = Code(lanes)
    row = code.mul("%W", "%C")
    edge_row = code.mul("%C", size)
    with code.loop("%first", "%last") as tile:
        corner, y, x = _corner(code, tile, size - 2, 1)
        inside = code.all_of(
            f"sge i64 {y}, 0", f"sge i64 {x}, 0", f"sle i64 {code.add(y, size)}, %H", f"sle i64 {code.add(x, size)}, %W"
        )
        patch = code.at("%map", corner)
        with code.where(code.new(f"xor i1 {inside}, true")):
            _copy_to_edge(code, patch, y, x, size)
        start = code.new(f"select i1 {inside}, ptr {patch}, ptr %edge")
        step = code.new(f"select i1 {inside}, i64 {row}, i64 {edge_row}")
        rows = lines_of(code, start, step, size)
        goal = code.at("%tiles", _in_plane(code, tile, "%C"))
        planes = lines_of(code, goal, "%plane", size * size)
        with code.loop(0, "%C", lanes) as channel:
            across = []
            for j in range(size):
                index = code.add(channel, code.mul("%C", j))
                across.append(_to_points(code, to_tiles, [code.load(line, index) for line in rows]))
            for u in range(size):
                for v, value in enumerate(_to_points(code, to_tiles, [column[u] for column in across])):
                    code.store(value, planes[u * size + v], channel)
    return code.function(
        "into_tiles", f"ptr noalias %map, ptr noalias %tiles, ptr noalias %edge, i64 %H, i64 %W, i64 %C, {WHERE}"
    )


def _out_of_tiles(from_tiles: Float64[np.ndarray, "m n"], lanes: int) -> str:
    tile_size, size = from_tiles.shape
    code = Code(lanes)
    row = code.mul("%W", "%C")
    aside = code.new("icmp ne i64 %is_map, 0")
    low = code.floor("%relu")
    with code.loop("%first", "%last") as tile:
        corner, y, x = _corner(code, tile, tile_size, 0)
        planes = lines_of(code, code.at("%tiles", _in_plane(code, tile, "%some")), "%plane", size * size)
        with code.loop(0, "%some", lanes) as channel:
            across = [
                _from_tile(code, from_tiles, [code.load(planes[u * size + v], channel) for u in range(size)])
                for v in range(size)
            ]
            bias = code.load("%bias", channel)
            for r in range(tile_size):
                line = code.add(code.add(corner, channel), code.mul(row, r))
                for s, value in enumerate(_from_tile(code, from_tiles, [column[r] for column in across])):
                    with code.where(code.all_of(f"slt i64 {code.add(y, r)}, %H", f"slt i64 {code.add(x, s)}, %W")):
                        index = code.add(line, code.mul("%C", s))
                        beside = code.new(f"select i1 {aside}, i64 {index}, i64 {channel}")
                        total = code.plus(code.plus(value, bias), code.load("%shortcut", beside))
                        code.store(code.larger(total, low), "%out", index)
    arguments = (
        "ptr noalias %tiles, ptr noalias %bias, ptr noalias %shortcut, i64 %is_map, "
        "ptr noalias %out, i64 %relu, i64 %some"
    )
    return code.function("out_of_tiles", f"{arguments}, i64 %H, i64 %W, i64 %C, {WHERE}")


def _corner(code: Code, tile: str, step: int, margin: int) -> tuple[str, str, str]:
    """Where a tile begins: index of its first number in the map, row and column."""
    image, rest = code.divided(tile, code.mul("%rows", "%columns"))
    down, right = code.divided(rest, "%columns")
    y, x = (code.add(code.mul(count, step), -margin) for count in (down, right))
    line = code.add(code.mul(image, "%H"), y)
    return code.mul(code.add(code.mul(line, "%W"), x), "%C"), y, x


def _in_plane(code: Code, tile: str, channels: str) -> str:
    """Where the numbers of a tile begin in each of the n*n planes."""
    return code.mul(code.new(f"sub i64 {tile}, %first"), channels)


def _copy_to_edge(code: Code, patch: str, y: str, x: str, size: int) -> None:
    """A patch that reaches out of the map, with zeros there."""
    with code.loop(0, code.mul("%C", size * size), code.lanes) as index:
        code.store("zeroinitializer", "%edge", index)
    left = code.new(f"call i64 @llvm.smax.i64(i64 0, i64 {code.new(f'sub i64 0, {x}')})")
    right = code.smaller(code.new(f"sub i64 %W, {x}"), str(size))
    begin, end = code.mul(left, "%C"), code.mul(right, "%C")
    with code.loop(0, size) as i, code.where(code.new(f"icmp ult i64 {code.add(y, i)}, %H")):
        source, goal = code.mul(code.mul(i, "%W"), "%C"), code.mul(code.mul(i, "%C"), size)
        with code.loop(begin, end, code.lanes) as index:
            code.store(code.load(patch, code.add(source, index)), "%edge", code.add(goal, index))


def _to_points(code: Code, matrix: Float64[np.ndarray, "n k"], values: Sequence[str]) -> list[str]:
    """matrix @ values. Rows 1, 2 and 3, 4 ... are those of opposite points: they share their even and odd parts."""
    size = len(matrix)
    found = {0: code.weighted(matrix[0], values), size - 1: code.weighted(matrix[-1], values)}
    for k in range(1, size - 1, 2):
        even, odd = (matrix[k] + matrix[k + 1]) / 2, (matrix[k] - matrix[k + 1]) / 2
        factor = float(odd[np.flatnonzero(odd)[-1]])
        shared, other = code.weighted(even, values), code.weighted(odd / factor, values)
        found[k] = code.plus_scaled(shared, factor, other)
        found[k + 1] = code.plus_scaled(shared, -factor, other)
    return [found[k] for k in range(size)]


def _from_tile(code: Code, matrix: Float64[np.ndarray, "m n"], values: Sequence[str]) -> list[str]:
    """matrix @ values. Columns 1, 2 and 3, 4 ... are opposite points': their sum and difference do for all rows."""
    size = matrix.shape[1]
    terms, columns = [values[0]], [matrix[:, 0]]
    for k in range(1, size - 1, 2):
        terms += [code.plus(values[k], values[k + 1]), code.minus(values[k], values[k + 1])]
        columns += [(matrix[:, k] + matrix[:, k + 1]) / 2, (matrix[:, k] - matrix[:, k + 1]) / 2]
    terms.append(values[-1])
    columns.append(matrix[:, -1])
    return [code.weighted(weights, terms) for weights in np.stack(columns, 1)]
