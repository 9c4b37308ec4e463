"""Procrustes undoes what it should and no more."""

import torch

from limner.geometry.align import procrustes, similarity
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


def test_similarity_carries_other_points_along():
    g = torch.Generator().manual_seed(3)
    source, other = torch.randn(2, 9, 3, generator=g), torch.randn(2, 4, 3, generator=g)
    turn = rotation_from_axis_angle(torch.tensor([[0.1, 0.7, -0.4], [0.0, 0.2, 1.0]]))
    shift, size = torch.tensor([[[1.0, 2, 3]], [[0.0, 5, -1]]]), torch.tensor([2.0, 0.5])

    def move(points: torch.Tensor) -> torch.Tensor:
        return size[:, None, None] * points @ turn.mT + shift

    scale, rotation, translation = similarity(source, move(source))
    found = scale[:, None, None] * other @ rotation.mT + translation[:, None]
    assert torch.allclose(found, move(other), atol=1e-5)
