"""1x1 convolutions at the speed of the CPU: a matrix product that asks for its weights ahead.

Where maps are small (8 x 8 pixels, 2048 channels) the weights come from memory, and the product waits for them. Here
they lie in the order in which they are read, a panel of outputs after the other, and while one panel is multiplied the
next is fetched. Bias, the sum with a shortcut and ReLU are done while the results are still in registers, and so is the
enlargement (each pixel becomes a square) that HRNet has after some of them.
"""

from functools import cache, lru_cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.expose import vector_code
from limner.expose.vector_code import PLANS, Code, Jobs, Kernel, channels_last, shares
from limner.networks.layers import FastConv

STEP = 16
"""Channels come in multiples of this."""
ROWS, COLUMNS = 8, (3, 2, 1)
"""The product works on so many pixels, and on panels of so many vectors of outputs, the first that fits."""
SMALL, FEW = 2**18, 64
"""Where there are no more weights than this, all outputs are made of so many pixels before others are looked at."""
ARGUMENTS = (
    "ptr noalias %map, ptr noalias %weights, ptr noalias %bias, ptr noalias %shortcut, ptr noalias %out, "
    "i64 %is_map, i64 %relu, i64 %H, i64 %W, i64 %C, i64 %D, i64 %some, i64 %zoom, i64 %ahead"
)
"""Of the kernel: out = enlarged(map @ weights + bias) + shortcut, then ReLU if `relu` is not 0.

Maps are H W C in memory (a batch of images has more lines); out and the shortcut, where `is_map` is 1 (else it is D
numbers), have `zoom` times as many lines and columns, and D channels, of which `some` are made here. While a panel is
multiplied, each round of the innermost loop asks for the next `ahead` bytes of the panel after it.
"""


@cache
def kernel(columns: int) -> Kernel | None:
    """The compiled product with panels of so many vectors; None where there is none for this machine."""
    return vector_code.compiled(lambda lanes: program(columns, lanes), "pointwise", ARGUMENTS)


def columns_for(outputs: int, lanes: int) -> int:
    """How wide the panels are, in vectors."""
    return next(columns for columns in COLUMNS if outputs % (columns * lanes) == 0)


def program(columns: int, lanes: int) -> str:
    """LLVM assembly of the product (see ARGUMENTS)."""
    code = Code(lanes)
    wide = columns * lanes
    low, aside = code.floor("%relu"), code.new("icmp ne i64 %is_map, 0")
    last, row = code.add("%W", -1), code.mul(code.mul("%W", "%zoom"), "%D")
    with code.loop(0, "%H") as y, code.loop(0, "%some", wide) as channel:
        panel = code.at("%weights", code.mul(channel, "%C"))
        following = code.at(panel, code.mul("%C", wide))
        bias = [code.load("%bias", code.add(channel, v * lanes)) for v in range(columns)]
        line = code.at("%map", code.mul(code.mul(y, "%W"), "%C"))
        with code.loop(0, "%W", ROWS) as x:
            # beyond the end of a line the last pixel is done again
            pixels = [code.smaller(code.add(x, r), last) for r in range(ROWS)]
            given = [code.at(line, code.mul(pixel, "%C")) for pixel in pixels]
            block = code.new(f"udiv i64 {x}, {ROWS}")
            sums = ["zeroinitializer"] * (ROWS * columns)
            with code.loop(0, "%C", 1, sums) as k:
                weights = [code.load(panel, code.add(code.mul(k, wide), v * lanes)) for v in range(columns)]
                code.fetch(following, code.mul(code.add(code.mul(block, "%C"), k), "%ahead"))
                for r, numbers in enumerate(given):
                    factor = code.everywhere(code.new(f"load float, ptr {code.at(numbers, k)}, align 4"))
                    for v in range(columns):
                        sums[r * columns + v] = code.plus_product(sums[r * columns + v], factor, weights[v])
            for r, pixel in enumerate(pixels):
                corner = code.add(code.mul(code.mul(y, "%zoom"), row), code.mul(code.mul(pixel, "%zoom"), "%D"))
                values = [code.plus(sums[r * columns + v], bias[v]) for v in range(columns)]
                with code.loop(0, "%zoom") as down, code.loop(0, "%zoom") as right:
                    place = code.add(code.add(corner, code.mul(down, row)), code.mul(right, "%D"))
                    for v, value in enumerate(values):
                        own = code.add(channel, v * lanes)
                        index = code.add(place, own)
                        beside = code.load("%shortcut", code.new(f"select i1 {aside}, i64 {index}, i64 {own}"))
                        code.store(code.larger(code.plus(value, beside), low), "%out", index)
    return code.function("pointwise", ARGUMENTS)


def suits(conv: nn.Module) -> bool:
    """Whether a layer can be a `PointwiseConv`."""
    if not isinstance(conv, nn.Conv2d) or conv.groups != 1 or conv.in_channels % STEP or conv.out_channels % STEP:
        return False
    return (conv.kernel_size, conv.stride, conv.padding) == ((1, 1), (1, 1), (0, 0))


class PointwiseConv(FastConv):
    """A 1x1 convolution, enlarged `zoom` times, then the sum with a shortcut and ReLU.

    Results are channels-last; maps that are not are copied.
    """

    enlarges = True

    def __init__(self, weight: Float[Tensor, "D C 1 1"], bias: Float[Tensor, "D"]):
        """Weights become panels at the first call. Raises RuntimeError where this machine has no `kernel`."""
        super().__init__(weight, bias)
        found = kernel(COLUMNS[-1])
        kind = found and kernel(columns_for(len(bias), found.lanes))
        if found is None or kind is None:
            raise RuntimeError("no code for products on this machine: use a plain convolution")
        self.kernel, self.wide = kind, columns_for(len(bias), found.lanes) * found.lanes
        self.nothing = torch.zeros(len(bias))

    def forward(
        self,
        x: Float[Tensor, "B C H W"],
        shortcut: Float[Tensor, "B D _ _"] | None = None,
        relu: bool = False,
        zoom: int = 1,
    ) -> Float[Tensor, "B D _ _"]:
        weight = self.weight
        if weight.ndim == 4:
            weight = self.weight = panels(weight, self.wide)
        x, outputs = channels_last(x), len(self.nothing)
        beside = self.nothing if shortcut is None else channels_last(shortcut)
        count, _, height, width = x.shape
        out = x.new_empty(count, height * zoom, width * zoom, outputs).permute(0, 3, 1, 2)
        if not out.numel():
            return out  # nobody in the batch
        is_map, relu = shortcut is not None, relu or self.relu
        jobs = plan(x.shape, outputs, self.wide, is_map, relu, zoom, torch.get_num_threads())
        self.kernel.run(jobs, [tensor.data_ptr() for tensor in (x, weight, self.bias, beside, out)])
        return out


@lru_cache(PLANS)
def plan(shape: torch.Size, outputs: int, wide: int, is_map: bool, relu: bool, zoom: int, threads: int) -> Jobs:
    """What each thread does with maps of this shape, in panels of `wide` outputs."""
    count, channels, height, width = shape
    pixels, columns = count * height * width, width
    small = channels * outputs < SMALL
    if zoom == 1:  # all pixels are alike: large weights are read once, small ones stay in the cache
        columns = FEW if small and pixels % FEW == 0 else pixels
    lines, ahead = pixels // columns, 4 * wide // -(-columns // ROWS)
    # small weights: each thread has its own pixels; large ones: its own outputs, so that they are read by one only
    apart = small and lines >= threads
    rows = shares(lines, threads) if apart else [(0, lines)]
    parts = shares(outputs // wide, 1 if apart else threads)
    given, made = 4 * columns * channels, 4 * columns * zoom * zoom * outputs
    return Jobs(
        [
            (
                given * top, 4 * channels * start, 4 * start, is_map * made * top + 4 * start,
                made * top + 4 * start, int(is_map), int(relu), below - top, columns, channels, outputs,
                end - start, zoom, ahead,
            )
            for top, below in rows
            for start, end in ((wide * first, wide * last) for first, last in parts)
        ],
        5,
    )  # fmt: skip


def panels(weight: Float[Tensor, "D C 1 1"], wide: int) -> Float[Tensor, "P C w"]:
    """Weights as `PointwiseConv` reads them, in one sweep: panels of `wide` outputs."""
    return weight.flatten(1).unflatten(0, (-1, wide)).mT.contiguous()
