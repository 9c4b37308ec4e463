"""Priors: shipped ones load and are sane, mirrors agree, broken files are named."""

import pytest
import torch
from safetensors.torch import save_file

from limner.errors import WeightsError
from limner.fit.prior import load_priors, shipped_priors
from limner.geometry.rotation import angle_between, mirror_rotation, rotation_from_axis_angle


def test_typical_poses_are_typical_and_wild_ones_are_not():
    priors = shipped_priors()
    typical = priors.body(priors.typical_body)
    assert (typical.residual.square().sum(1) + typical.constant < 40).all()
    wild = rotation_from_axis_angle(torch.randn(8, 21, 3, generator=torch.Generator().manual_seed(0)))
    assert (priors.body(wild).residual.square().sum(1) > 500).all()
    assert float(priors.body.cost.min()) == 0


def test_left_hands_cost_what_their_mirror_images_cost():
    priors = shipped_priors()
    pose = rotation_from_axis_angle(0.3 * torch.randn(5, 15, 3, generator=torch.Generator().manual_seed(1)))
    left, right = priors.left_hand(mirror_rotation(pose)), priors.right_hand(pose)
    assert torch.allclose(left.residual, right.residual, atol=1e-4)


def test_the_nearest_gaussian_is_charged():
    body = shipped_priors().body
    poses = body.poses()
    best = body.likeliest(poses)
    cost = body(poses)
    assert torch.allclose(cost.constant, body.cost[best])
    assert (best == torch.arange(len(poses))).float().mean() > 0.5


def test_references_are_rotations():
    priors = shipped_priors()
    eye = torch.eye(3).expand_as(priors.body.reference)
    assert float(angle_between(priors.body.reference @ priors.body.reference.mT, eye).max()) < 1e-3


def test_other_files_are_named(tmp_path):
    save_file({"x": torch.zeros(2)}, tmp_path / "x.safetensors")
    for file in (tmp_path / "x.safetensors", tmp_path / "missing.safetensors"):
        with pytest.raises(WeightsError, match="no pose prior that limner can read"):
            load_priors(file)
