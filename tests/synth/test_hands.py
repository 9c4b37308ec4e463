"""Hands stay within the limits of their joints and take the shapes they are named after."""

import torch

from limner.body.skeleton import FINGERS
from limner.geometry.rotation import rotation_to_axis_angle
from limner.synth.hands import SHAPE_NAMES, joint_limits, rotations_from_angles, sample_angles, shape_angles


def test_all_hands_are_within_the_joint_limits():
    angles = sample_angles(2000, torch.Generator().manual_seed(0), random_share=0.3)
    low, high = joint_limits()
    assert (angles >= low).all() and (angles <= high).all()
    # and they use the range: fists as well as straight fingers
    index = angles[:, FINGERS.index("index"), 1]
    assert index.min() < 2 and index.max() > 95


def test_random_hands_keep_the_last_joint_behind_the_middle_one():
    angles = sample_angles(500, torch.Generator().manual_seed(0), random_share=1.0)
    fingers = angles[:, [FINGERS.index(f) for f in ("index", "middle", "ring", "pinky")]]
    assert torch.corrcoef(torch.stack([fingers[..., 1].flatten(), fingers[..., 2].flatten()]))[0, 1] > 0.8
    assert (fingers[..., 2] < fingers[..., 1] + 5).all()


def test_a_pointing_hand_points():
    _, angles = shape_angles()
    hand = angles[SHAPE_NAMES.index("point")]
    assert hand[FINGERS.index("index"), :3].max() < 5
    assert hand[FINGERS.index("ring"), 1] > 90


def test_flexion_turns_about_the_given_axis_by_the_given_angle():
    axis = torch.tensor([[0.0, 0.0, -1.0]]).repeat(15, 1)
    spread = torch.tensor([[0.0, 1.0, 0.0]]).repeat(15, 1)
    angles = torch.zeros(1, 5, 4)
    angles[0, 1, 1] = 40.0
    vectors = torch.rad2deg(rotation_to_axis_angle(rotations_from_angles(angles, axis, spread)))
    expected = torch.zeros(1, 15, 3)
    expected[0, 4, 2] = -40.0
    assert torch.allclose(vectors, expected, atol=1e-3)
