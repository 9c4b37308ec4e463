"""1x1 convolutions by limner's own product give what torch's give, enlarged and summed too."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate

from limner.expose.pointwise import ARGUMENTS, PointwiseConv, columns_for, kernel, panels, program, suits
from limner.expose.vector_code import whole_program

needs_kernel = pytest.mark.skipif(kernel(1) is None, reason="no code for this machine")


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@needs_kernel
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("count", "inputs", "outputs", "height", "width", "zoom"),
    [(1, 16, 16, 8, 8, 1), (2, 48, 96, 13, 9, 1), (3, 32, 64, 5, 1, 4), (1, 512, 576, 8, 8, 1), (2, 96, 48, 6, 7, 2)],
)
def test_convolution_shortcut_relu_and_zoom(
    count: int, inputs: int, outputs: int, height: int, width: int, zoom: int, threads: int, monkeypatch
):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    x, weight = numbers(count, inputs, height, width), numbers(outputs, inputs, 1, 1, seed=1) / inputs**0.5
    bias, shortcut = numbers(outputs, seed=2), numbers(count, outputs, zoom * height, zoom * width, seed=3)
    layer = PointwiseConv(weight, bias)
    plain = interpolate(conv2d(x.double(), weight.double(), bias.double()), scale_factor=zoom, mode="nearest")
    with torch.inference_mode():
        assert torch.allclose(layer(x, zoom=zoom).double(), plain, atol=1e-5)
        summed = layer(x, shortcut, relu=True, zoom=zoom)
    assert torch.allclose(summed.double(), torch.relu(plain + shortcut), atol=1e-5)
    assert summed.is_contiguous(memory_format=torch.channels_last)


@needs_kernel
def test_nobody_in_the_batch():
    assert PointwiseConv(numbers(16, 32, 1, 1), torch.zeros(16))(torch.zeros(0, 32, 8, 8)).shape == (0, 16, 8, 8)


def test_panels_hold_every_weight_once():
    weight = numbers(96, 32, 1, 1)
    assert torch.equal(panels(weight, 48).mT.flatten(0, 1)[:, :, None, None], weight)
    assert [columns_for(outputs, 16) for outputs in (48, 64, 80)] == [3, 2, 1]


def test_only_plain_1x1_layers_suit():
    assert suits(nn.Conv2d(48, 96, 1))
    others = (nn.Conv2d(48, 96, 1, 2), nn.Conv2d(48, 96, 3, padding=1), nn.Conv2d(40, 96, 1), nn.Conv2d(48, 40, 1),
              nn.Conv2d(48, 96, 1, groups=3), nn.ReLU())  # fmt: skip
    assert not [layer for layer in others if suits(layer)]


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_code_for_other_processors_is_valid(lanes: int):
    llvm = pytest.importorskip("llvmlite.binding")
    text = whole_program(lambda n: program(2, n), "pointwise", ARGUMENTS, lanes, threads=False)
    llvm.parse_assembly(text).verify()
