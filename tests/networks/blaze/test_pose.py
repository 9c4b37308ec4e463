"""Does BlazePose fill its record as documented, whatever is asked for?"""

import pytest
import torch

from limner.networks.blaze.pose import POSE_POINTS, BlazePose


@pytest.fixture(scope="module")
def pose():
    return BlazePose.load()


def test_points_have_names():
    assert len(POSE_POINTS) == len(set(POSE_POINTS)) == 39
    assert POSE_POINTS[0] == "nose" and POSE_POINTS[11] == "left_shoulder" and POSE_POINTS[33] == "body_center"


def test_optional_outputs_come_on_request_only_and_change_nothing(pose):
    pixels = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        plain, full = pose(pixels), pose(pixels, heatmaps=True, mask=True)
    assert len(plain) == 2 and plain.heatmaps is None and plain.mask is None
    assert torch.equal(plain.landmarks, full.landmarks)
    for probability in (full.heatmaps, full.mask, full.presence, full.landmarks[..., 3:]):
        assert probability.min() >= 0 and probability.max() <= 1


def test_read_outs_are_linear_in_pooled(pose):
    with torch.inference_mode():
        features = pose(torch.rand(1, 3, 256, 256))
        world = features.pooled @ pose.world_output.weight.flatten(1).T + pose.world_output.bias
    torch.testing.assert_close(world.reshape(1, 39, 3), features.world, rtol=1e-4, atol=1e-4)


def test_empty_batch_is_empty(pose):
    with torch.inference_mode():
        assert pose(torch.zeros(0, 3, 256, 256)).landmarks.shape == (0, 39, 5)


def test_gradients_reach_the_pixels(pose):
    pixels = torch.rand(1, 3, 256, 256, requires_grad=True)
    pose(pixels).pooled.sum().backward()
    assert pixels.grad.abs().sum() > 0
