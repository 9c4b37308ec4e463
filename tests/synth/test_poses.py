"""Arms bent by inverse kinematics bring the wrist where it should be."""

import pytest
import torch

from limner.synth.poses import reach


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_the_wrist_arrives_and_the_elbow_looks_along_the_pole(side: float):
    generator = torch.Generator().manual_seed(0)
    shoulder = torch.randn(50, 3, generator=generator) * 0.1
    direction = torch.nn.functional.normalize(torch.randn(50, 3, generator=generator), dim=-1)
    target = shoulder + direction * (0.26 + 0.2 * torch.rand(50, 1, generator=generator))
    pole = torch.randn(50, 3, generator=generator)
    upper, lower = torch.full((50,), 0.28), torch.full((50,), 0.24)
    turn, bend = reach(shoulder, target, pole, upper, lower, side)
    bone = torch.tensor([side, 0.0, 0.0])
    elbow = shoulder + (turn @ bone) * upper[:, None]
    wrist = elbow + (turn @ bend @ bone) * lower[:, None]
    assert (wrist - target).norm(dim=-1).max() < 1e-3
    middle = shoulder + direction * ((elbow - shoulder) * direction).sum(-1, keepdim=True)
    assert (((elbow - middle) * pole).sum(-1) > 0).all()
    identity = torch.eye(3).expand(50, 3, 3)
    assert torch.allclose(turn @ turn.mT, identity, atol=1e-5) and (torch.linalg.det(turn) > 0.99).all()


def test_targets_out_of_reach_are_approached_by_a_nearly_straight_arm():
    shoulder, target = torch.zeros(1, 3), torch.tensor([[5.0, 0.0, 0.0]])
    pole, length = torch.tensor([[0.0, -1.0, 0.0]]), torch.tensor([0.3])
    turn, bend = reach(shoulder, target, pole, length, length, 1.0)
    bone = torch.tensor([1.0, 0.0, 0.0])
    wrist = (turn @ bone) * 0.3 + (turn @ bend @ bone) * 0.3
    assert 0.59 < wrist[0, 0] < 0.6
