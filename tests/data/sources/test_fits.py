"""One record for every published fit."""

from pathlib import Path

import pytest
import torch

from limner.data.sources.fits import Fits, add_mean_hands, box_of_points
from limner.geometry.rotation import rotation_from_axis_angle


def test_rotations_go_where_their_joints_are():
    pose = torch.randn(2, 55, 3, generator=torch.Generator().manual_seed(0))
    blank = torch.zeros(2, 10)
    fits = Fits(("a", "b"), (Path("a"), Path("b")), pose, blank, blank, torch.zeros(2, 3), torch.zeros(2, 0, 3), ())
    assert [fit.name for fit in fits] == ["a", "b"]
    assert torch.allclose(fits[-1].params.full_pose()[0], rotation_from_axis_angle(pose[1]))
    with pytest.raises(IndexError):
        fits[2]


def test_mean_hands_are_added_to_fingers_only():
    means = torch.arange(90.0).reshape(2, 45)
    added = add_mean_hands(torch.zeros(1, 55, 3), means)
    assert added[0, :25].abs().sum() == 0
    assert torch.equal(added[0, 25:40].flatten(), means[0]) and torch.equal(added[0, 40:].flatten(), means[1])


def test_a_box_is_about_the_seen_points():
    points = torch.tensor([[0.0, 0], [10, 20], [500, 500]])
    seen = torch.tensor([1.0, 0.5, 0.0])
    assert box_of_points(points, seen).tolist() == pytest.approx([-1, -2, 11, 22])
    assert bool(box_of_points(points, torch.zeros(3)).isnan().all())
