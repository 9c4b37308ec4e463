"""The slope of the rotation vector, against finite differences, also near zero and near a half turn."""

import pytest
import torch

from limner.fit.rotvec import rotvec_and_slope
from limner.geometry.rotation import rotation_from_axis_angle, rotation_to_axis_angle


@pytest.mark.parametrize("angle", [0.0, 1e-4, 0.5, 2.0, 3.0])
def test_slope_equals_finite_differences(angle):
    axis = torch.tensor([[0.6, 0.0, -0.8], [0.0, 1.0, 0.0]], dtype=torch.float64)
    rotation = rotation_from_axis_angle(axis * angle)
    vector, slope = rotvec_and_slope(rotation)
    assert torch.allclose(vector, axis * angle, atol=1e-7)
    for k in range(3):
        turn = torch.zeros(3, dtype=torch.float64)
        turn[k] = 1e-5
        ahead, behind = (rotation_to_axis_angle(rotation @ rotation_from_axis_angle(t)) for t in (turn, -turn))
        assert torch.allclose(slope[..., k], (ahead - behind) / 2e-5, atol=1e-5)
