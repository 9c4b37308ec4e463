"""HRNet-W48 with ExPose's tail: sizes, names, shapes."""

import pytest
import torch

from limner.networks.hrnet import Exchange, HRNet


@pytest.fixture(scope="module")
def hollow() -> HRNet:
    """The network without numbers."""
    with torch.device("meta"):
        return HRNet()


def test_convolution_weights_count(hollow):
    convolutions = sum(m.weight.numel() for m in hollow.modules() if isinstance(m, torch.nn.Conv2d))
    biases = sum(m.bias.numel() for m in hollow.modules() if isinstance(m, torch.nn.Conv2d) and m.bias is not None)
    assert convolutions + biases == 105_969_280 - 45_849_600  # the official backbone less its stage 4


def test_names_are_the_public_ones(hollow):
    names = set(hollow.state_dict())
    assert {
        "layer1.0.downsample.1.running_var",
        "transition1.0.0.weight",
        "transition1.1.0.1.bias",
        "stage2.0.branches.1.3.conv2.weight",
        "stage3.3.fuse_layers.0.2.0.weight",
        "stage3.3.fuse_layers.2.0.1.1.running_mean",
        "transition3.3.0.0.weight",
        "subsample_3.3.bias",
        "subsample_2.0.bias",
        "conv_layers.4.downsample.weight",
    } <= names
    assert not [name for name in names if name.startswith("stage4")]


def test_every_official_name_and_shape(hollow, shared):
    prefix = "smplx.backbone."
    rows = (line.split("\t") for line in (shared / "parity" / "state_dict_keys.txt").read_text().splitlines())
    official = {row[0].removeprefix(prefix): row[1] for row in rows if row[0].startswith(prefix)}
    official = {name: shape for name, shape in official.items() if not name.startswith("stage4.")}
    ours = {name: str(tuple(t.shape)) for name, t in hollow.state_dict().items() if "num_batches_tracked" not in name}
    assert ours == official


def test_maps_and_features(hollow):
    features = hollow(torch.empty(2, 3, 256, 256, device="meta"))
    assert features.pooled.shape == (2, 2048)
    assert [tuple(m.shape[1:]) for m in features.maps] == [(2048, 8, 8), (192, 16, 16), (96, 32, 32), (48, 64, 64)]


def test_exchange_sums_all_branches_into_each():
    torch.manual_seed(0)
    exchange = Exchange((4, 8, 16)).eval()
    maps = [torch.randn(1, 4, 16, 16), torch.randn(1, 8, 8, 8), torch.randn(1, 16, 4, 4)]
    inner = [branch(x) for branch, x in zip(exchange.branches, maps, strict=True)]
    out = exchange(list(maps))
    up = [torch.nn.Upsample(scale_factor=s)(exchange.fuse_layers[0][j](inner[j])) for j, s in ((1, 2), (2, 4))]
    assert torch.allclose(out[0], torch.relu(inner[0] + up[0] + up[1]), atol=1e-5)
    down = [exchange.fuse_layers[2][j](inner[j]) for j in (0, 1)]
    assert torch.allclose(out[2], torch.relu(inner[2] + down[0] + down[1]), atol=1e-5)
    assert [tuple(x.shape) for x in out] == [tuple(x.shape) for x in maps]
