"""Does BlazePose fill its record as documented, whatever is asked for?"""

import pytest
import torch

from limner.networks.blaze.backbones import BlazePoseBackbone
from limner.networks.blaze.pose import MIRRORED_POINT, POSE_POINTS, BlazePose, refined_landmarks


@pytest.fixture(scope="module")
def pose():
    return BlazePose.load()


def test_points_have_names():
    assert len(POSE_POINTS) == len(set(POSE_POINTS)) == 39
    assert POSE_POINTS[0] == "nose" and POSE_POINTS[11] == "left_shoulder" and POSE_POINTS[33] == "body_center"


def test_the_mask_comes_on_request_only_and_changes_nothing(pose):
    pixels = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        plain, full = pose(pixels), pose(pixels, mask=True)
    assert len(plain) == 2 and plain.mask is None
    assert torch.allclose(plain.landmarks, full.landmarks, atol=1e-5)
    for probability in (full.heatmaps, full.mask, full.presence, full.landmarks[..., 3:]):
        assert probability.min() >= 0 and probability.max() <= 1


def test_empty_batch_is_empty(pose):
    with torch.inference_mode():
        assert pose(torch.zeros(0, 3, 256, 256)).landmarks.shape == (0, 39, 5)


def test_gradients_reach_the_pixels(pose):
    pixels = torch.rand(1, 3, 256, 256, requires_grad=True)
    pose(pixels).world.sum().backward()
    assert pixels.grad.abs().sum() > 0


def plain_refined(landmarks, heatmaps):
    """The same, one point at a time, as one would write it first."""
    result = landmarks.clone()
    for b in range(len(landmarks)):
        for k in range(39):
            column, row = (int(torch.floor(v * 64)) for v in landmarks[b, k, :2])
            if not (0 <= column < 64 and 0 <= row < 64):
                continue
            rows = range(max(0, row - 3), min(64, row + 4))
            columns = range(max(0, column - 3), min(64, column + 4))
            cells = [(heatmaps[b, k, r, c], r, c) for r in rows for c in columns]
            if max(w for w, _, _ in cells) < 0.5:
                continue
            total = sum(w for w, _, _ in cells)
            result[b, k, 0] = sum(w * c for w, _, c in cells) / total / 64
            result[b, k, 1] = sum(w * r for w, r, _ in cells) / total / 64
    return result


def test_refinement_equals_its_plain_twin():
    generator = torch.Generator().manual_seed(0)
    landmarks = torch.rand(2, 39, 5, generator=generator) * 1.2 - 0.1  # some outside the crop
    heatmaps = torch.rand(2, 39, 64, 64, generator=generator) ** 8
    heatmaps[:, ::3] *= 0.4  # some too dim to move their point
    refined = refined_landmarks(landmarks, heatmaps)
    torch.testing.assert_close(refined, plain_refined(landmarks, heatmaps))
    still = (refined == landmarks).all(-1)
    assert still[:, ::3].all() and not still.all()


def test_both_ways_gives_mirrored_answers_to_mirrored_crops(pose):
    """The mean over a crop and its mirror image does not know left from right."""
    backbone = BlazePoseBackbone(pose, both_ways=True).eval()
    pixels = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    pixels = torch.nn.functional.avg_pool2d(pixels, 9, 1, 4)
    with torch.no_grad():
        one, other = backbone(pixels), backbone(pixels.flip(-1))
    assert one.points3d is not None and other.points3d is not None
    mirrored = other.points3d[:, MIRRORED_POINT[:33]] * torch.tensor([-1.0, 1.0, 1.0])
    assert torch.allclose(one.points3d, mirrored, atol=1e-4)
