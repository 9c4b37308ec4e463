"""Winograd's way gives what a convolution gives, at every size of map and for every layer it is used for."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from limner.expose.vector_code import vector_lanes, whole_program
from limner.expose.winograd import Room, WinogradConv, kernel, slabs, tile_for, transform
from limner.expose.winograd_kernels import ARGUMENTS, program

needs_kernel = pytest.mark.skipif(kernel(4) is None, reason="no code for this machine")


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_kernels_exist_where_llvmlite_is():
    pytest.importorskip("llvmlite")
    assert kernel(2) is not None and kernel(4) is not None


@pytest.mark.parametrize("tile", [2, 4])
def test_matrices_convolve(tile: int):
    matrices, rng = transform(tile), np.random.default_rng(0)
    pixels, taps = rng.standard_normal(tile + 2), rng.standard_normal(3)
    found = matrices.from_tiles @ ((matrices.filters @ taps) * (matrices.to_tiles @ pixels))
    assert np.allclose(found, np.correlate(pixels, taps), atol=1e-12)


@needs_kernel
@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize(
    ("count", "inputs", "outputs", "height", "width"),
    [(1, 16, 16, 8, 8), (2, 48, 48, 13, 9), (3, 32, 112, 5, 1), (1, 16, 96, 1, 30), (2, 512, 32, 7, 7)],
)
def test_convolution_shortcut_and_relu(tile: int, count: int, inputs: int, outputs: int, height: int, width: int):
    x, weight = numbers(count, inputs, height, width), numbers(outputs, inputs, 3, 3, seed=1) / (9 * inputs) ** 0.5
    bias, shortcut = numbers(outputs, seed=2), numbers(count, outputs, height, width, seed=3)
    layer = WinogradConv(weight, bias, tile, Room())
    plain = conv2d(x.double(), weight.double(), bias.double(), padding=1)
    with torch.inference_mode():
        assert torch.allclose(layer(x).double(), plain, atol=3e-5)
        summed = layer(x, shortcut, relu=True)
        layer.relu = True
        assert torch.allclose(layer(x), layer(x, torch.zeros_like(shortcut), relu=True), atol=1e-5)
    assert torch.allclose(summed.double(), torch.relu(plain + shortcut), atol=3e-5)
    assert summed.is_contiguous(memory_format=torch.channels_last)


@needs_kernel
@pytest.mark.parametrize(("outputs", "tile"), [(48, 4), (192, 4)])
def test_threads_share_the_tiles_or_the_slabs(outputs: int, tile: int, monkeypatch):
    x, weight = numbers(2, 192, 9, 9), numbers(outputs, 192, 3, 3, seed=1) / 40
    layer, shortcut = WinogradConv(weight, numbers(outputs), tile, Room()), numbers(2, outputs, 9, 9, seed=2)
    with torch.inference_mode():
        alone = layer(x, shortcut, relu=True)
        for threads in (2, 3):
            monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
            assert torch.allclose(layer(x, shortcut, relu=True), alone, atol=1e-5)


@needs_kernel
def test_many_maps_go_in_several_portions(monkeypatch):
    monkeypatch.setattr("limner.expose.winograd.ONE_SLAB_TILES", 64)
    x, weight = numbers(5, 16, 20, 20), numbers(16, 16, 3, 3, seed=1) / 12
    with torch.inference_mode():
        found = WinogradConv(weight, torch.zeros(16), 4, Room())(x)
    assert torch.allclose(found, conv2d(x, weight, padding=1), atol=3e-5)


@pytest.mark.parametrize("shape", [(16, 16), (512, 512), (192, 96), (80, 256)])
def test_slabs_keep_every_weight(shape: tuple[int, int]):
    weight = numbers(*shape, 3, 3)
    again = slabs(weight, 4).permute(0, 2, 4, 1, 3).flatten(0, 2).unflatten(-1, (3, 3))
    assert torch.equal(again, weight)


def test_only_layers_that_gain_go_winograd_s_way():
    assert tile_for(nn.Conv2d(48, 48, 3, padding=1)) == 4 and tile_for(nn.Conv2d(512, 512, 3, padding=1)) == 2
    others = (nn.Conv2d(48, 48, 3, 2, 1), nn.Conv2d(48, 48, 3), nn.Conv2d(48, 48, 1), nn.Conv2d(3, 64, 3, padding=1),
              nn.Conv2d(48, 48, 3, padding=1, groups=3), nn.Conv2d(48, 48, 3, 1, 2, 2), nn.ReLU())  # fmt: skip
    assert not [layer for layer in others if tile_for(layer)]


@pytest.mark.parametrize(("features", "lanes"), [({"avx512f": True, "avx": True}, 16), ({"avx": True}, 8), ({}, 4)])
def test_code_for_other_processors_is_valid(features: dict[str, bool], lanes: int):
    llvm = pytest.importorskip("llvmlite.binding")
    assert vector_lanes(features) == lanes
    llvm.parse_assembly(whole_program(lambda n: program(transform(4), n), "convolve", ARGUMENTS, lanes, True)).verify()


def test_without_llvmlite_there_is_no_kernel(monkeypatch):
    import sys

    from limner.expose.winograd_kernels import compiled

    monkeypatch.setitem(sys.modules, "llvmlite", None)
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    assert compiled(transform(2)) is None
