"""How does a 3x3 convolution do with fewer multiplications and the same result? Winograd's way.

Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016: patches of n x n pixels (n = m + 2, two
pixels of overlap) are taken to n*n numbers in which a convolution is a plain product, a matrix product over channels;
the results come back as m x m pixels. m = 4 needs a quarter of the multiplications, m = 2 four ninths. The points are
0, +-sqrt(1/2), +-sqrt(2) and infinity for m = 4: the rounding errors are smaller with them than with whole numbers.
"""

import math
import threading
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.networks.vector_code import Kernel, channels_last, shares
from limner.networks.winograd_kernels import STEP, Transform, compiled, room_numbers

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


def from_slabs(weight: Float[Tensor, "S C e 9 16"]) -> Float[Tensor, "D C 3 3"]:
    """Inverse of `slabs`."""
    return weight.permute(0, 2, 4, 1, 3).flatten(0, 2).unflatten(-1, (3, 3)).contiguous()


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


class WinogradConv(nn.Module):
    """A 3x3 convolution with a border of zeros, then the sum with a shortcut and ReLU. Float32, CPU, inference only.

    Results are channels-last; maps that are not are copied.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Float[Tensor, "D C 3 3"], bias: Float[Tensor, "D"], tile: int, room: Room):
        """Weights become `slabs` at the first call. Raises RuntimeError where this machine has no `kernel`."""
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", bias, persistent=False)
        found = kernel(tile)
        if found is None:
            raise RuntimeError("no code for Winograd's tiles on this machine: use a plain convolution")
        self.tile, self.kernel, self.room, self.relu = tile, found, room, False
        self.nothing = torch.zeros(len(bias))

    def forward(
        self, x: Float[Tensor, "B C H W"], shortcut: Float[Tensor, "B D H W"] | None = None, relu: bool = False
    ) -> Float[Tensor, "B D H W"]:
        weight, bias = self.weight, self.bias  # looked up once: a module's buffers are not plain attributes
        if weight.ndim == 4:
            weight = self.weight = slabs(weight, self.tile)
        x, beside = channels_last(x), self.nothing if shortcut is None else channels_last(shortcut)
        count, channels, height, width = x.shape
        wide, outputs = weight.shape[2] * STEP, len(bias)
        out = x.new_empty(count, height, width, outputs).permute(0, 3, 1, 2)
        rows, columns = -(-height // self.tile), -(-width // self.tile)
        tiles = count * rows * columns
        if not tiles:
            return out  # nobody in the batch; the compiled code divides by the number of tiles
        fitting = max(FEWEST_TILES, CACHE_NUMBERS // ((self.tile + 2) ** 2 * channels))
        portion = min(tiles, ONE_SLAB_TILES if wide == outputs else fitting)
        parts = _parts(len(weight), tiles)
        size = room_numbers(self.tile + 2, channels, wide, portion)
        room = self.room.take(size * len(parts)).data_ptr()
        numbers, weights, biases, besides, goal = (t.data_ptr() for t in (x, weight, bias, beside, out))
        self.kernel.run(
            [
                (
                    numbers, weights + 36 * channels * wide * slab, biases + 4 * wide * slab, besides + 4 * wide * slab,
                    int(shortcut is not None), goal + 4 * wide * slab, int(relu or self.relu), room + 4 * size * k,
                    height, width, channels, outputs, wide * (end - slab), wide, rows, columns, first, last, portion,
                )
                for k, (slab, end, first, last) in enumerate(parts)
            ]
        )  # fmt: skip
        return out


def _parts(slabs: int, tiles: int) -> list[tuple[int, int, int, int]]:
    """What each thread does: slabs from, to; tiles from, to. Slabs are shared out if they can be, else tiles."""
    threads = torch.get_num_threads()
    if slabs % threads == 0:
        return [(start, end, 0, tiles) for start, end in shares(slabs, threads)]
    return [(0, slabs, first, last) for first, last in shares(tiles, threads)]
