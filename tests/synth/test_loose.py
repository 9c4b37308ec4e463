"""Skirts, hair, glasses and held things are where the body carries them, and only on those who have them."""

from dataclasses import replace

import torch

from limner.body.skeleton import JOINT
from limner.geometry.rotation import rotation_from_axis_angle
from limner.synth.loose import LOOSE, loose_vertices, sample_loose
from limner.synth.people import SyntheticPeople


def test_loose_pieces_follow_the_body_and_absent_ones_lie_behind_the_camera(people: SyntheticPeople):
    model = people.body_model
    rest = model.rest(2).replace(transl=torch.tensor([[0.0, 0.0, 3.0]]).repeat(2, 1))
    choice = sample_loose(rest, torch.Generator().manual_seed(0))
    choice = replace(choice, on=torch.tensor([[1.0] * 4, [0.0] * 4]))
    vertices = loose_vertices(people.kit, choice, model, rest)
    assert (vertices[1] == -1).all() and (vertices[0, :, 2] > 2).all()
    joints = model.joints(rest)[0]
    piece = {name: vertices[0, people.kit.piece == index] for index, name in enumerate(LOOSE)}
    eyes = joints[[JOINT["left_eye_smplx"], JOINT["right_eye_smplx"]]].mean(0)
    glasses = piece["glasses"]
    assert (glasses.mean(0) - eyes).norm() < 0.06 and glasses[:, 2].min() < eyes[2] - 0.02
    # camera y points down: the skirt begins above the hips and ends below them; hair hangs from the head
    hip, head = joints[JOINT["left_hip"], 1], joints[JOINT["head"], 1]
    assert piece["skirt"][:, 1].min() < hip < piece["skirt"][:, 1].max()
    assert piece["hair"][:, 1].min() < head
    hands = joints[[JOINT["left_middle1"], JOINT["right_middle1"]]]
    assert (piece["held"].mean(0) - hands).norm(dim=-1).min() < 0.08


def test_glasses_turn_with_the_head_rigidly(people: SyntheticPeople):
    model = people.body_model
    rest = model.rest(1)
    choice = replace(sample_loose(rest, torch.Generator().manual_seed(0)), on=torch.ones(1, 4))
    turned = rest.body_pose.clone()
    turned[:, JOINT["head"] - 1] = rotation_from_axis_angle(torch.tensor([0.2, 0.7, 0.1]))
    own = people.kit.piece == LOOSE.index("glasses")
    before = loose_vertices(people.kit, choice, model, rest)[0, own]
    after = loose_vertices(people.kit, choice, model, rest.replace(body_pose=turned))[0, own]
    assert torch.allclose(torch.cdist(before, before), torch.cdist(after, after), atol=1e-3)
    assert (before - after).norm(dim=-1).mean() > 0.02
