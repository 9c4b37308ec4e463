"""Sampled people are repeatable, plausible and varied."""

from pathlib import Path

import torch

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import JOINT
from limner.geometry.rotation import rotation_from_axis_angle
from limner.synth.poses import without_heading
from limner.synth.sampler import PersonSampler, mirrored_bodies


def draw(sampler: PersonSampler, count: int, seed: int) -> BodyParams:
    return sampler.sample(count, torch.Generator().manual_seed(seed))


def test_same_seed_same_people_and_no_state_between_calls(sampler: PersonSampler):
    first = draw(sampler, 8, 5)
    draw(sampler, 3, 6)
    again = draw(sampler, 8, 5)
    assert torch.allclose(first.full_pose(), again.full_pose(), atol=1e-5) and torch.allclose(first.betas, again.betas)
    assert not torch.allclose(first.full_pose(), draw(sampler, 8, 7).full_pose(), atol=1e-2)


def test_all_rotations_are_rotations_and_finite(sampler: PersonSampler):
    pose = draw(sampler, 64, 0).full_pose()
    assert torch.isfinite(pose).all()
    assert torch.allclose(pose @ pose.mT, torch.eye(3).expand_as(pose), atol=1e-4)
    assert (torch.linalg.det(pose) > 0).all()


def test_most_people_stand_upright_and_half_of_them_face_the_camera(sampler: PersonSampler):
    orient = draw(sampler, 400, 1).global_orient
    up, forward = orient[:, :, 1], orient[:, :, 2]
    assert (up[:, 1] < -0.7).float().mean() > 0.7  # camera y points down
    assert 0.45 < (forward[:, 2] < -0.5).float().mean() < 0.85
    assert (forward[:, 2] > 0.5).any() and (up[:, 1] > 0).any()


def test_hands_are_not_inside_the_trunk(sampler: PersonSampler, body_model: BodyModel):
    params = draw(sampler, 300, 2)
    joints = body_model.joints(params)
    trunk = (joints[:, JOINT["spine1"]] + joints[:, JOINT["spine2"]]) / 2
    for wrist in ("left_wrist", "right_wrist"):
        near = (joints[:, JOINT[wrist]] - trunk).norm(dim=-1) < 0.07
        assert near.float().mean() < 0.02


def test_sampling_works_without_a_pose_library(body_model: BodyModel):
    params = draw(PersonSampler(body_model), 16, 0)
    knees = params.body_pose[:, [3, 4]]
    assert (knees[..., 2, 1] > -0.2).all()  # knees bend backwards only


def test_reading_removes_the_heading(poses_path: Path, sampler: PersonSampler):
    assert sampler.library is not None
    forward = sampler.library.upright[:, :, 2]
    level = forward[:, [0, 2]].norm(dim=-1) > 0.5
    heading = torch.atan2(forward[level, 0], forward[level, 2])
    assert heading.abs().max() < 1e-3


def test_heading_is_removed_about_the_vertical_only():
    lean = rotation_from_axis_angle(torch.tensor([[0.3, 0.0, 0.1]]))
    turn = rotation_from_axis_angle(torch.tensor([[0.0, 2.0, 0.0]]))
    assert torch.allclose(without_heading(turn @ lean), without_heading(lean), atol=1e-5)


def test_mirrored_bodies_put_the_left_joints_where_the_right_ones_were(sampler: PersonSampler, body_model: BodyModel):
    params = draw(sampler, 6, 4)
    pose, orient = mirrored_bodies(params.body_pose, params.global_orient)
    rest = body_model.rest(6)
    joints = body_model.joints(rest.replace(body_pose=params.body_pose, global_orient=params.global_orient))
    mirrored = body_model.joints(rest.replace(body_pose=pose, global_orient=orient))
    sign = torch.tensor([-1.0, 1.0, 1.0])
    for left, right in (("left_wrist", "right_wrist"), ("right_knee", "left_knee"), ("head", "head")):
        assert torch.allclose(mirrored[:, JOINT[left]], joints[:, JOINT[right]] * sign, atol=5e-3)
