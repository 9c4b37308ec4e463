"""Procrustes undoes what it should and no more."""

import torch

from limner.geometry.align import procrustes
from limner.geometry.rotation import rotation_from_axis_angle


def test_undoes_a_similarity():
    points = torch.randn(3, 20, 3, dtype=torch.float64)
    turned = 1.7 * points @ rotation_from_axis_angle(torch.randn(3, 3, dtype=torch.float64)).mT + 5
    assert torch.allclose(procrustes(turned, points), points)
    assert not torch.allclose(procrustes(turned, points, with_scale=False), points, atol=0.1)


def test_does_not_mirror():
    points = torch.randn(1, 20, 3, dtype=torch.float64)
    mirrored = points * torch.tensor([-1.0, 1.0, 1.0])
    assert (procrustes(mirrored, points) - points).norm(dim=-1).mean() > 0.3
