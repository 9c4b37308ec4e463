"""Laws of rotations."""

import numpy as np
import pytest
import roma
import torch

from limner.geometry.rotation import (
    angle_between,
    mirror_rotation,
    nearest_rotation,
    rotation_about_z,
    rotation_from_6d,
    rotation_from_axis_angle,
    rotation_to_6d,
    rotation_to_axis_angle,
    rotation_to_quaternion,
    rotvec_and_slope,
)

VECTORS = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_6d_round_trip_and_layout():
    rotation = rotation_from_axis_angle(VECTORS)
    code = rotation_to_6d(rotation)
    assert torch.allclose(code[:, :2], rotation[:, 0, :2])
    assert torch.allclose(rotation_from_6d(code), rotation)


def test_any_6d_code_is_a_rotation():
    rotation = rotation_from_6d(torch.randn(30, 6, dtype=torch.float64))
    assert torch.allclose(rotation @ rotation.mT, torch.eye(3, dtype=torch.float64).expand_as(rotation))
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(30, dtype=torch.float64))


def test_matches_the_original_codec(shared):
    golden = np.load(shared / "parity/golden_units.npz")
    decoded = rotation_from_6d(torch.as_tensor(golden["rot6d.in"]).unflatten(-1, (21, 6)))
    assert torch.allclose(decoded, torch.as_tensor(golden["rot6d.decoded"]), atol=1e-5)
    assert torch.allclose(mirror_rotation(torch.as_tensor(golden["rot.R"])), torch.as_tensor(golden["rot.flip"]))


def test_mirror_is_conjugation():
    rotation = rotation_from_axis_angle(VECTORS)
    flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64))
    assert torch.allclose(mirror_rotation(rotation), flip @ rotation @ flip)


def test_angle_between():
    rotation = rotation_from_axis_angle(VECTORS)
    angle = torch.linspace(0.01, 3.1, 50, dtype=torch.float64)
    assert torch.allclose(angle_between(rotation, rotation @ rotation_about_z(angle)), angle, atol=1e-3)
    near = rotation_about_z(torch.zeros(1, requires_grad=True))
    angle_between(near, torch.eye(3)[None]).sum().backward()


def test_axis_angle_round_trip():
    vector = VECTORS / VECTORS.norm(dim=-1, keepdim=True) * 3.0
    assert torch.allclose(rotation_to_axis_angle(rotation_from_axis_angle(vector)), vector)


def test_matrices_to_vectors_and_quaternions_as_roma_has_them():
    turns = roma.random_rotmat(200, dtype=torch.float64)
    half_turns = roma.rotvec_to_rotmat(torch.pi * torch.eye(3, dtype=torch.float64))
    tiny = roma.rotvec_to_rotmat(1e-7 * torch.randn(20, 3, dtype=torch.float64))
    for rotation in (turns, half_turns, tiny):
        assert torch.allclose(rotation_from_axis_angle(rotation_to_axis_angle(rotation)), rotation, atol=1e-9)
        ours, theirs = rotation_to_quaternion(rotation), roma.rotmat_to_unitquat(rotation)
        assert torch.allclose((ours * theirs).sum(-1).abs(), torch.ones(len(rotation), dtype=torch.float64))
    assert torch.allclose(rotation_to_axis_angle(turns), roma.rotmat_to_rotvec(turns), atol=1e-6)
    assert rotation_to_axis_angle(turns).norm(dim=-1).max() <= torch.pi + 1e-6
    still = torch.eye(3).expand(1, 3, 3).clone().requires_grad_()
    rotation_to_axis_angle(still).sum().backward()
    assert still.grad is not None and torch.isfinite(still.grad).all() and still.grad.abs().max() > 0


def test_nearest_rotation_as_roma_has_it():
    matrix = torch.randn(50, 3, 3, dtype=torch.float64)
    assert torch.allclose(nearest_rotation(matrix), roma.special_procrustes(matrix), atol=1e-9)


def test_rodrigues_equals_roma_and_has_gradients_at_zero():
    assert torch.allclose(rotation_from_axis_angle(VECTORS), roma.rotvec_to_rotmat(VECTORS), atol=1e-12)
    zero = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    jacobian = torch.autograd.functional.jacobian(rotation_from_axis_angle, zero)
    assert torch.allclose(jacobian[0, 2, 1, 0], torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))


@pytest.mark.parametrize("angle", [0.0, 1e-4, 0.5, 2.0, 3.0])
def test_slope_of_the_rotation_vector_equals_finite_differences(angle):
    axis = torch.tensor([[0.6, 0.0, -0.8], [0.0, 1.0, 0.0]], dtype=torch.float64)
    rotation = rotation_from_axis_angle(axis * angle)
    vector, slope = rotvec_and_slope(rotation)
    assert torch.allclose(vector, axis * angle, atol=1e-7)
    for k in range(3):
        turn = torch.zeros(3, dtype=torch.float64)
        turn[k] = 1e-5
        ahead, behind = (rotation_to_axis_angle(rotation @ rotation_from_axis_angle(t)) for t in (turn, -turn))
        assert torch.allclose(slope[..., k], (ahead - behind) / 2e-5, atol=1e-5)
