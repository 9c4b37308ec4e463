"""The shipped networks say the same under ONNX Runtime as in torch, with any weights and any number of pictures."""

import pytest
import torch

from limner.networks.onnx import GRAPHS, MOST_AT_ONCE, OnnxNetwork, graph_path


@pytest.mark.parametrize("name", GRAPHS)
def test_both_engines_say_the_same(name):
    graph = GRAPHS[name]
    network = graph.network.load()
    pixels = torch.rand(2, 3, *graph.pixels, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        network.get_parameter(next(n for n, _ in network.named_parameters())).mul_(1.01)  # weights of one's own
        expected, got = network(pixels), OnnxNetwork(network)(pixels)
    for field in graph.outputs:
        a, b = getattr(expected, field), getattr(got, field)
        assert a.shape == b.shape and (a - b).abs().max() <= 1e-4 * (1 + a.abs().max()), field


def test_no_pictures_and_many():
    network = OnnxNetwork(GRAPHS["blaze_face"].network.load())
    pixels = torch.rand(MOST_AT_ONCE + 1, 3, 192, 192)
    with torch.no_grad():
        some = network(pixels)
        assert len(network(pixels[:0])) == 0 and network(pixels[:0]).landmarks.shape == (0, 468, 3)
        assert torch.allclose(network(pixels[-1:]).landmarks, some.landmarks[-1:], atol=1e-5)


def test_movenet_takes_any_multiple_of_32():
    movenet = GRAPHS["movenet"].network.load()
    with torch.no_grad():
        for height, width in ((32, 64), (128, 96)):
            pixels = torch.rand(1, 3, height, width)
            assert torch.allclose(OnnxNetwork(movenet)(pixels).center, movenet(pixels).center, atol=1e-4)


def test_graphs_are_small_as_weights_lie_elsewhere():
    assert all(graph_path(name).stat().st_size < 200_000 for name in GRAPHS)
