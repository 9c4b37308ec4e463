"""ResNet-18 and -50: sizes, names, the residual rule."""

import pytest
import torch

from limner.networks.resnet import BasicBlock, Bottleneck, ResNet


@pytest.mark.parametrize(
    ("depth", "parameters", "features", "last"),
    [(18, 11_176_512, 512, "layer4.1.bn2.bias"), (50, 23_508_032, 2048, "layer4.2.bn3.bias")],
)
def test_sizes_and_names_are_torchvision_s(depth, parameters, features, last):
    with torch.device("meta"):
        net = ResNet(depth)
    assert sum(p.numel() for p in net.parameters()) == parameters and net.num_features == features
    names = dict(net.named_parameters())
    assert {"conv1.weight", "bn1.weight", "layer2.0.downsample.0.weight", "layer2.0.downsample.1.bias", last} <= set(
        names
    )
    assert names["conv1.weight"].shape == (64, 3, 7, 7)


def test_maps_run_from_coarse_to_fine_and_pool_to_features():
    torch.manual_seed(0)
    net = ResNet(18, crop_size=64).eval()
    with torch.no_grad():
        features = net(torch.rand(2, 3, 64, 64))
    assert [tuple(m.shape[1:]) for m in features.maps] == [(512, 2, 2), (256, 4, 4), (128, 8, 8), (64, 16, 16)]
    assert torch.allclose(features.pooled, features.maps[0].mean((2, 3)))


def test_blocks_add_their_shortcut():
    torch.manual_seed(0)
    x = torch.rand(1, 64, 4, 4)
    for block in (BasicBlock(64, 64).eval(), Bottleneck(64, 16).eval()):
        last = block.bn2 if isinstance(block, BasicBlock) else block.bn3
        torch.nn.init.zeros_(last.weight)
        assert torch.allclose(block(x), x)  # nothing is left but the shortcut, which is positive


def test_crops_are_normalised_inside():
    torch.manual_seed(0)
    net = ResNet(18, crop_size=32).eval()
    mean = torch.tensor([0.485, 0.456, 0.406])[None, :, None, None].expand(1, 3, 32, 32)
    seen = []
    net.conv1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    net(mean)
    assert not seen[0].any()
