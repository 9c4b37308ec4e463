"""Points in a picture as residuals: zero where they were seen, bounded far off, and slopes that are the true ones."""

import torch
from torch import Tensor

from limner.geometry.camera import Camera
from limner.geometry.rotation import rotation_from_axis_angle
from limner.optimise.points import NEAREST_M, ObservedPoints, geman_mcclure, turn_slopes

DOUBLE = torch.float64


def test_slopes_are_those_of_the_picture_of_a_turning_point():
    g = torch.Generator().manual_seed(0)
    points, joints = torch.rand(2, 4, 3, generator=g).double() + torch.tensor([0, 0, 2.0]), torch.rand(2, 3, 3).double()
    absolute = rotation_from_axis_angle(torch.rand(2, 3, 3, generator=g).double())
    camera, sigma = (
        Camera(torch.full((2,), 500.0).double(), torch.zeros(2, 2).double()),
        torch.full((2, 4), 3.0).double(),
    )

    def picture(turn: Tensor) -> Tensor:
        """All points hang on joint 1."""
        around = absolute[:, 1] @ rotation_from_axis_angle(turn) @ absolute[:, 1].mT
        moved = (around[:, None] @ (points - joints[:, 1:2])[..., None])[..., 0] + joints[:, 1:2]
        return (camera.project(moved) / sigma[..., None]).flatten(1)

    numeric = torch.autograd.functional.jacobian(picture, torch.zeros(2, 3).double())
    seen = ObservedPoints(torch.zeros(2, 4, 2), torch.ones(2, 4).double(), sigma, camera, torch.inf)
    ours = turn_slopes(points, seen.linearised(seen.at(points))[1], absolute, joints)[:, :, 3:6]
    for i in range(2):
        assert torch.allclose(ours[i], numeric[i, :, i], atol=1e-5)


def test_reprojection_is_zero_at_the_truth_and_its_slope_is_true():
    g = torch.Generator().manual_seed(0)
    points = torch.rand(2, 5, 3, dtype=DOUBLE, generator=g) + torch.tensor([0.0, 0.0, 2.0])
    camera = Camera(torch.full((2,), 900.0, dtype=DOUBLE), torch.full((2, 2), 400.0, dtype=DOUBLE))
    sigma, weight = torch.full((2, 5), 3.0, dtype=DOUBLE), torch.full((2, 5), 4.0, dtype=DOUBLE)
    seen = ObservedPoints(camera.project(points), weight, sigma, camera, 6.0)
    here = seen.at(points)
    residual, slopes = seen.linearised(here)
    assert not residual.any() and not seen.cost(here).any()
    for k in range(3):
        step = torch.zeros(3, dtype=DOUBLE)
        step[k] = 1e-6
        moved = seen.linearised(seen.at(points + step))[0].unflatten(1, (-1, 2)) / 1e-6
        assert torch.allclose(slopes[..., k], moved, atol=1e-2)
    off = seen.at(points + 0.1)
    assert torch.allclose(seen.cost(off), (4 * geman_mcclure(off.residual.square().sum(-1), 6.0)[0]).sum(1))
    behind = points.clone()
    behind[1, 3, 2] = NEAREST_M / 2
    assert torch.isinf(seen.cost(seen.at(behind))).tolist() == [False, True]


def test_geman_mcclure_is_quadratic_near_zero_bounded_far_and_its_root_is_that_of_its_slope():
    squared = torch.tensor([1e-4, 1.0, 1e6], dtype=DOUBLE, requires_grad=True)
    cost, root = geman_mcclure(squared, 3.0)
    assert abs(float(cost.detach()[0]) - 1e-4) < 1e-8 and float(cost.detach()[2]) < 9.0
    (slope,) = torch.autograd.grad(cost.sum(), squared)
    assert torch.allclose(slope, root.square())
