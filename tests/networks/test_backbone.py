"""The backbone socket, and limner's own small backbone."""

import pytest
import torch

from limner.networks.backbone import (
    IMAGENET_MEAN,
    CompactBackbone,
    DenseBlock,
    Normalise,
    keypoints_from_heatmaps,
)


@pytest.fixture(scope="module")
def small() -> CompactBackbone:
    torch.manual_seed(0)
    return CompactBackbone(5, crop_size=64, widths=(8, 12, 16, 24), neck=8).eval()


def test_normalise_maps_the_mean_colour_to_zero():
    pixels = torch.tensor(IMAGENET_MEAN)[None, :, None, None].expand(2, 3, 4, 4)
    assert torch.equal(Normalise()(pixels), torch.zeros(2, 3, 4, 4))
    assert not Normalise().state_dict()


def test_dense_block_starts_as_the_identity_on_positive_input():
    x = torch.rand(2, 6, 8, 8)
    assert torch.allclose(DenseBlock(6, 6).eval()(x), x)


def test_compact_backbone_shapes(small):
    features = small(torch.rand(3, 3, 64, 64))
    assert len(features) == 3 and features.pooled.shape == (3, small.num_features)
    assert [tuple(m.shape[-2:]) for m in features.maps] == [(2, 2), (4, 4), (8, 8), (16, 16)]
    assert features.keypoints.shape == (3, 5, 3) and features.heatmaps.shape == (3, 5, 16, 16)
    assert features.points3d is None and features.presence is None


def test_compact_backbone_feeds_the_keypoints_to_the_regressor(small):
    features = small(torch.rand(2, 3, 64, 64))
    assert torch.equal(features.pooled[:, -15:], features.keypoints.flatten(1))


def test_compact_backbone_default_size_is_for_cpus():
    count = sum(p.numel() for p in CompactBackbone(25).parameters())
    assert 3e6 < count < 5e6
    assert all(m.groups == 1 for m in CompactBackbone(25).modules() if isinstance(m, torch.nn.Conv2d))


def test_heatmap_keypoints_are_where_the_peak_is():
    logits = torch.full((1, 2, 8, 16), -20.0)
    logits[0, 0, 2, 5] = 30.0
    logits[0, 1, 7, 15] = -5.0
    keypoints = keypoints_from_heatmaps(logits)
    assert torch.allclose(keypoints[0, 0], torch.tensor([5.5 / 8 - 1, 2.5 / 4 - 1, 1.0]), atol=1e-5)
    assert torch.allclose(keypoints[0, 1, :2], torch.tensor([15.5 / 8 - 1, 7.5 / 4 - 1]), atol=1e-3)
    assert keypoints[0, 1, 2] < 0.01


def test_heatmap_position_ignores_the_level_of_the_logits():
    logits = torch.randn(2, 3, 8, 8)
    a, b = keypoints_from_heatmaps(logits), keypoints_from_heatmaps(logits + 3)
    assert torch.allclose(a[..., :2], b[..., :2], atol=1e-5)
    assert (b[..., 2] > a[..., 2]).all()


def test_compact_backbone_trains(small):
    net = CompactBackbone(2, crop_size=64, widths=(8, 12, 16, 24), neck=8)
    features = net(torch.rand(2, 3, 64, 64))
    (features.pooled.square().mean() + features.keypoints.square().mean()).backward()
    missing = [name for name, p in net.named_parameters() if p.grad is None]
    assert not missing
