"""Errors of the experiments: none for the truth, known ones for known changes."""

import pytest
import torch

from limner.body.model import BodyModel
from limner.experiments.errors import ALIGNED, GLOBAL, LOCAL, WHOLE, errors_of, target_of
from limner.geometry.camera import Camera
from limner.geometry.rotation import rotation_from_axis_angle

CAMERA = Camera(torch.tensor([1000.0]), torch.tensor([[500.0, 500.0]]))


def test_truth_has_no_error_and_a_moved_truth_only_in_the_photo(body: BodyModel) -> None:
    params = body.rest().replace(transl=torch.tensor([[0.0, 0.0, 3.0]]))
    target = target_of(body, params, CAMERA)
    assert max(errors_of(body, params, CAMERA, target).values()) < 1e-2
    moved = errors_of(body, params.replace(transl=torch.tensor([[0.1, 0.0, 3.0]])), CAMERA, target)
    assert moved["V2V"] == pytest.approx(0, abs=1e-2)
    assert moved["2D hands, % of hand"] > 20


def test_a_turned_arm_spoils_the_hand_globally_and_not_locally(body: BodyModel) -> None:
    params = body.rest().replace(transl=torch.tensor([[0.0, 0.0, 3.0]]))
    target = target_of(body, params, CAMERA)
    bent = rotation_from_axis_angle(torch.tensor([[0.0, 0.0, 0.4]]))
    prediction = params.with_joint_pose("left_shoulder", bent)
    wrong = errors_of(body, prediction, CAMERA, target)
    assert wrong[f"hands {WHOLE}"] < 1.0
    assert wrong[f"hands {LOCAL}"] > 5.0  # the hand is turned with its arm
    assert wrong[f"hands {GLOBAL}"] > wrong[f"hands {ALIGNED}"] > wrong[f"hands {LOCAL}"]
