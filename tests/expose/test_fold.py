"""Folding and fusing leave the function as it is."""

import pytest
import torch
from torch import nn

from limner.expose.fold import FusedConv, can_fuse, folded, folded_regressor, fused
from limner.networks.hrnet import Exchange
from limner.networks.regressor import IterativeRegressor
from limner.networks.resnet import ResNet


def shaken(net: nn.Module) -> nn.Module:
    """Batch norms that do something, so that forgetting one of their numbers shows."""
    g = torch.Generator().manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.copy_(torch.rand(tensor.shape, generator=g) + 0.5)
            for tensor in (module.bias.data, module.running_mean):
                tensor.copy_(torch.randn(tensor.shape, generator=g) * 0.2)
    return net.eval()


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    torch.manual_seed(0)
    return shaken(ResNet(18, crop_size=64))


def test_folded_network_is_the_same_function(resnet):
    pixels = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(folded(resnet)(pixels).pooled, resnet(pixels).pooled, atol=1e-4)


def test_folding_leaves_the_original_alone_and_no_norm_behind(resnet):
    before = {name: t.clone() for name, t in resnet.state_dict().items()}
    twin = folded(resnet)
    assert not [m for m in twin.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(torch.equal(t, before[name]) for name, t in resnet.state_dict().items())


def test_folding_keeps_a_convolution_s_own_bias():
    torch.manual_seed(0)
    net = shaken(nn.Sequential(nn.Conv2d(3, 4, 3, bias=True), nn.BatchNorm2d(4), nn.ReLU()))
    x = torch.randn(1, 3, 6, 6)
    assert torch.allclose(folded(net)(x), net(x), atol=1e-5)


@pytest.mark.skipif(not can_fuse(), reason="this torch has no oneDNN")
@pytest.mark.parametrize("batch", [1, 3])
def test_fused_network_is_the_same_function(resnet, batch):
    pixels = torch.rand(batch, 3, 64, 64)
    with torch.inference_mode():
        fast = fused(folded(resnet))
        assert torch.allclose(fast(pixels).pooled, resnet(pixels).pooled, atol=1e-4)
    assert not [m for m in fast.modules() if isinstance(m, nn.Conv2d)]
    assert not next(resnet.parameters()).is_mkldnn


@pytest.mark.skipif(not can_fuse(), reason="this torch has no oneDNN")
def test_fused_network_takes_maps_of_another_size(resnet):
    with torch.inference_mode():
        fast = fused(folded(resnet))
        for size in (64, 96, 64):
            pixels = torch.rand(1, 3, size, size)
            assert torch.allclose(fast(pixels).pooled, resnet(pixels).pooled, atol=1e-4)


@pytest.mark.skipif(not can_fuse(), reason="this torch has no oneDNN")
def test_fused_sequences_keep_their_relu_where_it_was():
    torch.manual_seed(0)
    net = shaken(nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)))
    x = torch.randn(1, 4, 8, 8)
    with torch.inference_mode():
        fast = fused(folded(net))
        assert torch.allclose(fast(x), net(x), atol=1e-5)
        assert (fast(x) < 0).any()
    assert sum(isinstance(m, FusedConv) for m in fast) == 2


def test_exchange_unit_folds():
    torch.manual_seed(0)
    unit = shaken(Exchange((4, 8, 16)))
    maps = [torch.randn(1, 4, 16, 16), torch.randn(1, 8, 8, 8), torch.randn(1, 16, 4, 4)]
    with torch.no_grad():
        for a, b in zip(folded(unit)(list(maps)), unit(list(maps)), strict=True):
            assert torch.allclose(a, b, atol=1e-4)


def test_folded_regressor_is_the_same_function():
    torch.manual_seed(0)
    regressor = IterativeRegressor(20, torch.randn(9), (16, 12), "none").eval()
    torch.nn.init.normal_(regressor.output.weight, std=0.2)
    features = torch.randn(4, 20)
    for affine, plain in zip(folded_regressor(regressor)(features), regressor(features), strict=True):
        assert torch.allclose(affine, plain, atol=1e-5)
