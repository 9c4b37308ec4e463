"""Where part crops go, and what the part networks start from."""

import torch

from limner.body.keypoints import hand21, indices_of
from limner.body.skeleton import JOINT, chain_to_root
from limner.body.skinning import absolute_rotation, pose_joints
from limner.geometry.box import Squares
from limner.geometry.camera import camera_from_crop, photo_camera
from limner.geometry.rotation import mirror_rotation, rotation_about_z
from limner.networks.regressor import hand_layout
from limner.pipeline.merge import merge_face, merge_hand
from limner.pipeline.parts import (
    body_squares,
    face_squares,
    forearm_rotation,
    hand_squares,
    hand_start,
    inside_share,
    part_points,
)
from tests.conftest import random_people


def people(count=3):
    return random_people(count, 10, 10).to(torch.float32)


def upright_hand():
    """21 points of a hand with the fingers up: wrist at the bottom."""
    x = torch.tensor([0.0, *[-2.0] * 4, *[-1.0] * 4, *[0.0] * 4, *[1.0] * 4, *[2.0] * 4])
    y = torch.tensor([4.0, *[2.0, 1, 0, -1] * 5])
    return torch.stack([x, y], -1)[None] * 10 + 100


def test_hand_square_turns_with_the_hand():
    points = upright_hand()
    upright = hand_squares(points)
    assert abs(float(upright.angle_rad)) < 1e-5
    turned = (points - 100) @ rotation_about_z(torch.tensor(0.7))[:2, :2].mT + 100
    square = hand_squares(turned)
    assert torch.allclose(square.angle_rad, torch.tensor([0.7]), atol=1e-4)
    assert torch.allclose(square.size_px, upright.size_px, rtol=1e-4)
    unit = square.unit_from_photo(turned)
    assert (unit.abs() < 1).all() and unit[0, 12, 1] < unit[0, 0, 1]  # the middle finger's tip is above the wrist


def test_body_square_has_the_head_up():
    hips, top = torch.tensor([[50.0, 50.0]]), torch.tensor([[90.0, 50.0]])  # a person lying with the head to the right
    square = body_squares(hips, top)
    assert torch.allclose(square.unit_from_photo(top[:, None])[0, 0], torch.tensor([0.0, -0.8]), atol=1e-5)


def test_face_square_has_the_eyes_level(body):
    rest = body.rest()
    keypoints = body.keypoints144(body(rest), rest)[..., :2] * 500 + 300
    square = face_squares(part_points(keypoints, "face"))
    assert abs(float(square.angle_rad)) < 0.02
    assert (square.unit_from_photo(part_points(keypoints, "face")).abs() < 0.9).all()


def test_inside_share():
    squares = Squares(torch.tensor([[50.0, 50], [-500, 50], [0, 50]]), torch.tensor([20.0, 20, 20]), torch.zeros(3))
    assert inside_share(squares, torch.tensor([[100.0, 100.0]])).tolist()[:2] == [1.0, 0.0]
    assert 0.4 < inside_share(squares, torch.tensor([[100.0, 100.0]]))[2] < 0.7


def test_hand_start_and_merge_undo_each_other():
    """What the body hands over, merged back unchanged, leaves the body as it was: for both sides, any crop angle."""
    params, layout = people(), hand_layout()
    mean = layout.mean(0.9)
    squares = Squares(torch.tensor([[10.0, 20.0]] * 3), torch.tensor([50.0] * 3), torch.tensor([0.3, -1.0, 2.0]))
    to_photo = camera_from_crop(squares, photo_camera(100, 100, 90.0, 3))
    for side in ("left", "right"):
        start = hand_start(layout, mean, params, side, to_photo.mT)
        axes = mirror_rotation(to_photo) if side == "left" else to_photo
        wrist = axes @ layout.rotations(start, "wrist_pose")[:, 0]
        fingers = layout.rotations(start, "hand_pose")
        merged = merge_hand(params, side, wrist, fingers, torch.ones(3, dtype=torch.bool))
        assert torch.allclose(merged.full_pose(), params.full_pose(), atol=1e-4)


def test_merging_sets_the_absolute_wrist_and_keeps_untrusted_hands():
    params = people()
    wrist = people().global_orient.flip(0)
    trusted = torch.tensor([True, False, True])
    merged = merge_hand(params, "right", wrist, params.left_hand_pose, trusted)
    absolute = absolute_rotation(merged.full_pose(), chain_to_root("right_wrist"))
    assert torch.allclose(absolute[trusted], wrist[trusted], atol=1e-5)
    assert torch.equal(merged.full_pose()[1], params.full_pose()[1])
    assert torch.allclose(forearm_rotation(merged, "right"), forearm_rotation(params, "right"), atol=1e-5)


def test_mirrored_people_have_mirrored_hands():
    """The left hand of a person is the right hand of the mirror image: one network serves both."""
    params, layout = people(), hand_layout()
    mean, eye = layout.mean(0.9), torch.eye(3).expand(3, 3, 3)
    left = hand_start(layout, mean, params, "left", eye)
    right = hand_start(layout, mean, params.mirrored(), "right", eye)
    assert torch.allclose(left, right, atol=1e-5)


def test_merging_a_face():
    params = people()
    head = people().global_orient.flip(0)
    expression = torch.randn(3, 10)
    betas = torch.randn(3, 40)
    merged = merge_face(params, head, head, expression, betas, torch.tensor([True, True, False]))
    absolute, _ = pose_joints(merged.full_pose(), torch.zeros(3, 55, 3))
    assert torch.allclose(absolute[:2, JOINT["head"]], head[:2], atol=1e-5)
    assert torch.equal(merged.expression[0], expression[0]) and torch.equal(merged.expression[2], params.expression[2])
    assert torch.equal(merged.jaw_pose[2], params.jaw_pose[2])
    own = params.betas.shape[1]
    assert torch.equal(merged.betas[:, :own], params.betas) and not merged.betas[2, own:].any()
    assert torch.equal(merged.betas[:2, 16:], betas[:2, 16:]), "the head's shape is the face's"


def test_part_points_are_the_parts_points(body):
    rest = body.rest()
    keypoints = body.keypoints144(body(rest), rest)
    left = part_points(keypoints, "left_hand")
    assert torch.equal(left[:, 0], keypoints[:, indices_of(hand21("left"))[0]])
    assert (left[..., 0] > 0.4).all()  # T-pose: the left hand is far at +x
