"""3x3 convolutions with fewer multiplications and the same result: Winograd's way.

Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016: patches of n x n pixels (n = m + 2, two
pixels of overlap) are taken to n*n numbers in which a convolution is a plain product, a matrix product over channels;
the results come back as m x m pixels. m = 4 needs a quarter of the multiplications, m = 2 four ninths. The points are
0, +-sqrt(1/2), +-sqrt(2) and infinity for m = 4: the rounding errors are smaller with them than with whole numbers.
"""

import math
import threading
from functools import cache, lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.expose.vector_code import PLANS, Jobs, Kernel, channels_last, shares
from limner.expose.winograd_kernels import STEP, Transform, compiled, room_numbers
from limner.networks.layers import FastConv

POINTS = {2: (0.0, 1.0, -1.0), 4: (0.0, math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2), -math.sqrt(2))}
"""Tile size m: where the polynomials are evaluated, besides infinity."""
WIDE = 2**21
"""Layers with more weights than this (512 to 512 channels) look at few pixels and wait for their weights: m = 2."""
CACHE_NUMBERS = 900_000
"""So many numbers of tiles at a time, 3.6 MB: more would only cost memory."""
SLAB_NUMBERS = 300_000
"""So many numbers of matrices at a time, 1.2 MB: written and read again while they are in the cache."""
FEW_OUTPUTS = 64
"""No more outputs than this are one slab in any case."""
ONE_SLAB_TILES = 64
"""So many tiles at a time where one slab is all: everything in work is in the cache."""
FEWEST_TILES = 64
"""Fewer tiles at a time would make a thin product."""
TILES_OF_THEIR_OWN = 4
"""With more tiles than a fourth of the outputs, threads share out the tiles: what one writes it reads itself later.

Else the slabs, where there are some for all: then each weight is read by one thread only.
"""


@cache
def transform(tile: int) -> Transform:
    """F(tile x tile, 3x3)."""
    points, size = POINTS[tile], tile + 2
    to_tiles, filters, from_tiles = np.zeros((size, size)), np.zeros((size, 3)), np.zeros((tile, size))
    for k, x in enumerate(points):
        others = [y for y in points if y != x]
        to_tiles[k, : size - 1] = np.poly(others)[::-1]
        filters[k] = np.array([1, x, x * x]) / np.prod([x - y for y in others])
        from_tiles[:, k] = [x**i for i in range(tile)]
    to_tiles[-1], filters[-1, 2], from_tiles[-1, -1] = np.poly(points)[::-1], 1, 1
    return Transform(np.where(abs(to_tiles) < 1e-12, 0, to_tiles), filters, from_tiles)


@cache
def kernel(tile: int) -> Kernel | None:
    """The compiled convolution of a tile size; None where there is none for this machine."""
    return compiled(transform(tile))


def slabs(weight: Float[Tensor, "D C 3 3"], tile: int) -> Float[Tensor, "S C e 9 16"]:
    """Weights as `WinogradConv` reads them, in one sweep: S slabs of 16 e outputs, whose matrices fit the cache."""
    outputs, inputs = weight.shape[:2]
    most = max(SLAB_NUMBERS // ((tile + 2) ** 2 * inputs), 2 * STEP)
    most = outputs if outputs <= FEW_OUTPUTS else most
    wide = max(d for d in range(STEP, most + 1, STEP) if outputs % d == 0)
    return weight.reshape(outputs // wide, wide // STEP, STEP, inputs, 9).permute(0, 3, 1, 4, 2).contiguous()


def tile_for(conv: nn.Module) -> int | None:
    """The tile size that suits a layer; None where Winograd's way is of no use."""
    if not isinstance(conv, nn.Conv2d) or conv.groups != 1:
        return None
    if (conv.kernel_size, conv.stride, conv.padding, conv.dilation) != ((3, 3), (1, 1), (1, 1), (1, 1)):
        return None
    if conv.in_channels % STEP or conv.out_channels % STEP:
        return None
    return 2 if conv.weight.numel() > WIDE else 4


class Room(threading.local):
    """Memory for tiles, a piece for each thread, used by all layers of a network in turn."""

    def __init__(self) -> None:
        self.numbers = torch.zeros(0)

    def take(self, count: int) -> Tensor:
        """At least so many numbers, whatever they are."""
        if count > len(self.numbers):
            self.numbers = torch.zeros(count)
        return self.numbers


class WinogradConv(FastConv):
    """A 3x3 convolution with a border of zeros, then the sum with a shortcut and ReLU.

    Results are channels-last; maps that are not are copied.
    """

    def __init__(self, weight: Float[Tensor, "D C 3 3"], bias: Float[Tensor, "D"], tile: int, room: Room):
        """Weights become `slabs` at the first call. Raises RuntimeError where this machine has no `kernel`."""
        super().__init__(weight, bias)
        found = kernel(tile)
        if found is None:
            raise RuntimeError("no code for Winograd's tiles on this machine: use a plain convolution")
        self.tile, self.kernel, self.room = tile, found, room
        self.nothing = torch.zeros(len(bias))

    def forward(
        self, x: Float[Tensor, "B C H W"], shortcut: Float[Tensor, "B D H W"] | None = None, relu: bool = False
    ) -> Float[Tensor, "B D H W"]:
        weight = self.weight  # looked up once: a module's buffers are not plain attributes
        if weight.ndim == 4:
            weight = self.weight = slabs(weight, self.tile)
        x, beside = channels_last(x), self.nothing if shortcut is None else channels_last(shortcut)
        count, _, height, width = x.shape
        out = x.new_empty(count, height, width, len(self.nothing)).permute(0, 3, 1, 2)
        if not out.numel():
            return out  # nobody in the batch; the compiled code divides by the number of tiles
        is_map, relu = shortcut is not None, relu or self.relu
        jobs, room = plan(x.shape, self.tile, len(self.nothing), len(weight), is_map, relu, torch.get_num_threads())
        given = (x, self.room.take(room), weight, self.bias, beside, out)
        self.kernel.run(jobs, [tensor.data_ptr() for tensor in given])
        return out


@lru_cache(PLANS)
def plan(
    shape: torch.Size, tile: int, outputs: int, slab_count: int, is_map: bool, relu: bool, threads: int
) -> tuple[Jobs, int]:
    """What each thread does with maps of this shape, and how many numbers of `room` all of them need."""
    count, channels, height, width = shape
    size, wide = tile + 2, outputs // slab_count
    rows, columns = -(-height // tile), -(-width // tile)
    tiles = count * rows * columns
    fitting = max(FEWEST_TILES, CACHE_NUMBERS // (size * size * channels))
    portion = min(tiles, ONE_SLAB_TILES if slab_count == 1 else fitting)
    if slab_count % threads or TILES_OF_THEIR_OWN * tiles >= outputs:
        parts = [(0, slab_count, first, last) for first, last in shares(tiles, threads)]
    else:
        parts = [(first, last, 0, tiles) for first, last in shares(slab_count, threads)]
    each = room_numbers(size, channels, wide, portion)
    jobs = [
        (
            0, 4 * each * k, 36 * channels * wide * slab, *[4 * wide * slab] * 3, int(is_map), int(relu), height,
            width, channels, outputs, wide * (end - slab), wide, rows, columns, first, last, portion,
        )
        for k, (slab, end, first, last) in enumerate(parts)
    ]  # fmt: skip
    return Jobs(jobs, 6), each * len(parts)
