"""Rotation matrices to rotation vectors and back."""

from dataclasses import fields

import pytest
import torch

from limner.body.axis_angle import add_mean_hands, axis_angle_from_params, params_from_axis_angle
from limner.body.params import BodyParams, rest_params
from tests.conftest import random_people


def test_there_and_back():
    people = random_people(3, 10, 5, size=1.0)
    vectors = axis_angle_from_params(people)
    assert {name: tuple(x.shape) for name, x in vectors.items()} == {
        "global_orient": (3, 3), "body_pose": (3, 63), "left_hand_pose": (3, 45), "right_hand_pose": (3, 45),
        "jaw_pose": (3, 3), "leye_pose": (3, 3), "reye_pose": (3, 3),
        "betas": (3, 10), "expression": (3, 5), "transl": (3, 3),
    }  # fmt: skip
    again = params_from_axis_angle(vectors)
    for f in fields(BodyParams):
        assert (getattr(again, f.name) - getattr(people, f.name)).abs().max() < 1e-9, f.name


def test_half_turns_survive():
    """Upright before the camera is a half turn about x: the angle where axis-angle has two names for one rotation."""
    people = rest_params(1, 10, 10)
    vectors = axis_angle_from_params(people)
    assert vectors["global_orient"].abs()[0].tolist() == pytest.approx([torch.pi, 0, 0], abs=1e-5)
    again = params_from_axis_angle(vectors)
    assert (again.global_orient - people.global_orient).abs().max() < 1e-5


def test_what_is_not_given_is_at_rest():
    params = params_from_axis_angle({"betas": torch.ones(2, 10), "expression": torch.zeros(2, 4)})
    rest = rest_params(2, 10, 4)
    assert torch.equal(params.left_hand_pose, rest.left_hand_pose) and torch.equal(params.transl, rest.transl)
    assert torch.equal(params.global_orient, torch.eye(3).expand(2, 3, 3))


def test_mean_hands_are_added_to_fingers_only():
    means = torch.arange(90.0).reshape(2, 45)
    added = add_mean_hands(torch.zeros(1, 55, 3), means)
    assert added[0, :25].abs().sum() == 0
    assert torch.equal(added[0, 25:40].flatten(), means[0]) and torch.equal(added[0, 40:].flatten(), means[1])
