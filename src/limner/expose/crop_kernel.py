"""A photo sampled on a separable grid without touching every pixel a dozen times: line by line, compiled.

Two lines of the photo become one (the vertical interpolation, along the line in memory), from which the pixels of the
crop are picked (the horizontal one) while it is in the cache.
"""

from functools import cache

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from limner.expose import vector_code
from limner.expose.vector_code import Code, Jobs, Kernel, shares

ARGUMENTS = (
    "ptr noalias %photo, ptr noalias %columns, ptr noalias %across, ptr noalias %rows, ptr noalias %down, "
    "ptr noalias %color, ptr noalias %out, ptr noalias %line, i64 %S, i64 %some, i64 %width, i64 %plane"
)
"""Of the kernel: `some` lines of a crop "3 S S" from a photo "3 H W" of bytes, `plane` = H W.

rows "2 S": where the two lines begin, down "3 S": their weights and the sum of these; columns, across: the same
for the two pixels of a line that has `width` numbers. `line` is memory for it.
"""


@cache
def kernel() -> Kernel | None:
    """The compiled sampling; None where there is none for this machine."""
    return vector_code.compiled(program, "sample", ARGUMENTS)


def program(lanes: int) -> str:
    """LLVM assembly of the sampling (see ARGUMENTS)."""
    code, numbers, addresses = Code(lanes), f"<{lanes} x i64>", f"<{lanes} x ptr>"
    gather = f"@llvm.masked.gather.v{lanes}f32.v{lanes}p0"

    def picked(columns: str) -> str:
        index = code.new(f"load {numbers}, ptr {code.new(f'getelementptr i64, ptr %columns, i64 {columns}')}, align 8")
        places = code.new(f"getelementptr float, ptr %line, {numbers} {index}")
        yes = f"<{', '.join(['i1 true'] * lanes)}>"
        return code.new(
            f"call {code.vector} {gather}({addresses} {places}, i32 4, <{lanes} x i1> {yes}, {code.vector} poison)"
        )

    def of_bytes(address: str, index: str) -> str:
        place = code.new(f"getelementptr i8, ptr {address}, i64 {index}")
        values = code.new(f"load <{lanes} x i8>, ptr {place}, align 1")
        return code.new(f"uitofp <{lanes} x i8> {values} to {code.vector}")

    def weight_of_row(k: int, y: str) -> str:
        place = code.at("%down", code.add(code.mul("%S", k), y))
        return code.everywhere(code.new(f"load float, ptr {place}, align 4"))

    def begin_of_row(k: int, y: str, channel: str) -> str:
        place = code.new(f"getelementptr i64, ptr %rows, i64 {code.add(code.mul('%S', k), y)}")
        begin = code.add(code.new(f"load i64, ptr {place}, align 8"), code.mul(channel, "%plane"))
        return code.new(f"getelementptr i8, ptr %photo, i64 {begin}")

    last = code.add("%width", -lanes)
    with code.loop(0, 3) as channel, code.loop(0, "%some") as y:
        upper, lower = (begin_of_row(k, y, channel) for k in (0, 1))
        first, second, rest = (weight_of_row(k, y) for k in (0, 1, 2))
        color = code.everywhere(code.new(f"load float, ptr {code.at('%color', channel)}, align 4"))
        with code.loop(0, "%width", lanes) as start:
            index = code.smaller(start, last)
            total = code.new(f"fmul {code.vector} {of_bytes(upper, index)}, {first}")
            code.store(code.plus_product(total, of_bytes(lower, index), second), "%line", index)
        goal = code.at("%out", code.mul(code.add(code.mul(channel, "%S"), y), "%S"))
        with code.loop(0, "%S", lanes) as x:
            weights = [code.load("%across", code.add(code.mul("%S", k), x)) for k in (0, 1, 2)]
            beside = code.minus(code.splat(1.0), code.new(f"fmul {code.vector} {rest}, {weights[2]}"))
            total = code.new(f"fmul {code.vector} {color}, {beside}")
            for k in (0, 1):
                total = code.plus_product(total, picked(code.add(code.mul("%S", k), x)), weights[k])
            code.store(total, goal, x)
    declared = f"declare {code.vector} {gather}({addresses}, i32, <{lanes} x i1>, {code.vector})\n"
    return declared + code.function("sample", ARGUMENTS)


def suits(photo: UInt8[Tensor, "3 H W"], size: int) -> bool:
    """Whether `sample` can cut a crop of this size here."""
    found = kernel()
    return found is not None and size % found.lanes == 0 and photo.shape[2] >= found.lanes and photo.shape[1] > 0


def sample(
    photo: UInt8[Tensor, "3 H W"],
    columns: Int[Tensor, "2 S"],
    x_weight: Float[Tensor, "S"],
    rows: Int[Tensor, "2 S"],
    y_weight: Float[Tensor, "S"],
    outside: tuple[float, float, float],
) -> Float[Tensor, "3 S S"]:
    """Bilinear sampling: pixel (y, x) lies between rows[:, y] and columns[:, x]; weights are those of the second.

    Pixels outside the photo have the colour `outside`. Only where it `suits`.
    """
    found = kernel()
    assert found is not None
    photo, size = photo.contiguous(), len(x_weight)
    height, width = photo.shape[-2:]
    down, right = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    first = min(int(right.min()), width - found.lanes)
    wide = max(int(right.max()) - first + 1, found.lanes)
    begins, places = (down * width + first).contiguous(), (right - first).contiguous()
    vertical, across = _weights(rows == down, y_weight), _weights(columns == right, x_weight)
    vertical[:2] /= 255
    out, color = torch.empty(3, size, size), torch.tensor(outside)
    parts = shares(size, torch.get_num_threads())
    line = torch.empty(len(parts), wide)
    jobs = Jobs(
        [
            (0, 0, 0, 8 * start, 4 * start, 0, 4 * size * start, 4 * wide * k, size, end - start, wide, height * width)
            for k, (start, end) in enumerate(parts)
        ],
        8,
    )
    given = (photo, places, across, begins, vertical, color, out, line)
    found.run(jobs, [tensor.data_ptr() for tensor in given])
    return out


def _weights(inside: Tensor, second: Float[Tensor, "S"]) -> Float[Tensor, "3 S"]:
    """Weights of both taps, none for those outside, and their sum."""
    weights = torch.stack([1 - second, second]) * inside
    return torch.cat([weights, weights.sum(0, keepdim=True)])
