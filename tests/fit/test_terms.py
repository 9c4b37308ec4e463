"""Terms: nothing to pay at the truth, known values, and slopes that finite differences confirm."""

from dataclasses import replace

import pytest
import roma
import torch

from limner.body.model import BodyModel
from limner.body.skeleton import JOINT
from limner.fit import terms
from limner.fit.points import KeypointLayer
from limner.fit.prior import MirroredPrior, shipped_priors
from limner.fit.unknowns import BODY_TURNS, HAND_TURNS, WHOLE_TURNS, Unknowns
from limner.geometry.rotation import rotation_from_axis_angle
from tests.conftest import random_people

DOUBLE = torch.float64


@pytest.fixture(scope="module")
def model():
    return BodyModel.load(dtype=DOUBLE).keypoints_only()


@pytest.fixture(scope="module")
def unknowns(model):
    return Unknowns(WHOLE_TURNS, model.num_betas, model.num_expression)


@pytest.fixture(scope="module")
def people(model):
    return random_people(3, model.num_betas, model.num_expression, seed=1, size=0.3)


def mixtures():
    priors = shipped_priors()

    def doubled(prior):
        numbers = (x.double() for x in (prior.mean, prior.whitening, prior.cost))
        return type(prior)(roma.special_procrustes(prior.reference.double()), *numbers)

    body, hand = doubled(priors.body), doubled(priors.right_hand)
    up = type(priors.upright)(body, priors.upright.up.double(), priors.upright.whitening.double())
    return body, hand, up


BODY, HAND, UP = mixtures()
NEAR = rotation_from_axis_angle(0.2 * torch.randn(3, 55, 3, dtype=DOUBLE, generator=torch.Generator().manual_seed(2)))
CASES = {
    "body pose": (lambda p: BODY(p.body_pose), lambda u: u.turns(BODY_TURNS[1:])),
    "right hand": (lambda p: HAND(p.right_hand_pose), lambda u: u.turns(HAND_TURNS["right"])),
    "left hand": (lambda p: MirroredPrior(HAND)(p.left_hand_pose), lambda u: u.turns(HAND_TURNS["left"])),
    "jaw": (terms.jaw, lambda u: u.turns((JOINT["jaw"],))),
    "betas": (lambda p: terms.coefficients(p.betas), lambda u: u.betas),
    "expression": (lambda p: terms.coefficients(p.expression), lambda u: u.expression),
    "hinges": (terms.hinges, lambda u: u.turns(tuple(terms.HINGES))),
    "rotations": (
        lambda p: terms.near_rotations(
            p.full_pose()[:, list(WHOLE_TURNS)],
            NEAR[:, list(WHOLE_TURNS)],
            torch.rand(3, len(WHOLE_TURNS), dtype=DOUBLE, generator=torch.Generator().manual_seed(3)),
        ),
        lambda u: u.turns(WHOLE_TURNS),
    ),
}
"""Each term, and the unknowns that its slope is by."""


@pytest.mark.parametrize("name", CASES)
def test_slopes_equal_finite_differences(name, people, unknowns):
    made, columns = CASES[name]
    term, columns = made(people), list(columns(unknowns))
    assert min(columns) >= 0 and len(columns) == term.slope.shape[2]
    size = 1e-6
    for k in range(0, len(columns), 5):
        step = torch.zeros(3, unknowns.count, dtype=DOUBLE)
        step[:, columns[k]] = size
        ahead, behind = (made(unknowns.moved(people, s)).residual for s in (step, -step))
        assert torch.allclose(term.slope[..., k], (ahead - behind) / (2 * size), atol=1e-4, rtol=1e-4), k


def test_depth_slope():
    at = torch.tensor([[0.0, 0.0, 3.0]], dtype=DOUBLE)
    where = torch.tensor([[0.0, 0.0, 2.0]], dtype=DOUBLE)
    term = terms.near_depth(at, where, 5.0)
    further = terms.near_depth(at + 1e-6, where, 5.0)
    assert torch.allclose(term.residual, 5 * torch.log(torch.tensor([[1.5]], dtype=DOUBLE)))
    assert torch.allclose(term.slope[..., 2], (further.residual - term.residual) / 1e-6, atol=1e-4)


def test_upright_costs_nothing_at_its_mean_and_little_upside_down(people):
    best = UP.body.likeliest(people.body_pose)
    up = torch.nn.functional.normalize(UP.up[best], dim=-1)
    # an orientation whose second row is -up: any rotation that has it
    other = torch.nn.functional.normalize(torch.linalg.cross(up, torch.ones_like(up)), dim=-1)
    orient = torch.stack([other, -up, torch.linalg.cross(other, -up)], 1)
    upright = terms.upright(UP, people.replace(global_orient=orient))
    assert (upright.cost < 0.5).all()
    flipped = orient * torch.tensor([-1.0, -1.0, 1.0], dtype=DOUBLE)[:, None]
    over = terms.upright(UP, people.replace(global_orient=flipped))
    assert (over.cost > 4).all() and (over.cost < terms.UPRIGHT_LIMIT**2 + 1e-6).all()


def test_only_wrong_bends_cost(model):
    good = model.rest(1)
    bend = rotation_from_axis_angle(torch.tensor([[0.8, 0.0, 0.0]], dtype=DOUBLE))
    pose = good.body_pose.clone()
    pose[:, JOINT["left_knee"] - 1] = bend
    assert float(terms.hinges(good.replace(body_pose=pose)).residual.abs().max()) == 0
    pose[:, JOINT["left_knee"] - 1] = bend.mT
    assert float(terms.hinges(good.replace(body_pose=pose)).residual.max()) > 5


def test_capsules_see_a_hand_in_the_belly_and_nothing_at_rest(model):
    layer = KeypointLayer(model)
    rest = model.rest(1)
    assert float(terms.penetration(layer(rest)).depth.max()) < 0.02
    posed = layer(rest)
    points = posed.points.clone()
    names = [JOINT["left_wrist"], JOINT["left_middle2"]]
    points[:, names] = posed.points[:, [JOINT["pelvis"], JOINT["spine1"]]]
    moved = replace(posed, points=points)
    assert float(terms.penetration(moved).depth.max()) > 0.08


def test_contact_slopes_equal_finite_differences():
    g = torch.Generator().manual_seed(4)
    ends = torch.zeros(2, 2, 144)
    for k in range(4):
        ends[k // 2, k % 2, 60 + k] = 1
    shape = terms.Capsules(ends, torch.tensor([0.4, 0.3]), torch.tensor([[0, 1]]))
    rest = BodyModel.load(dtype=DOUBLE).keypoints_only()
    posed = KeypointLayer(rest)(rest.rest(1))
    points = posed.points.clone()
    points[:, 60:64] = 0.3 * torch.randn(1, 4, 3, dtype=DOUBLE, generator=g)

    def depth(at):
        return terms.penetration(replace(posed, points=at), shape)

    contact = depth(points)
    assert float(contact.depth) > 0
    for end in range(4):
        for axis in range(3):
            step = torch.zeros_like(points)
            step[:, 60 + end, axis] = 1e-6
            slope = (depth(points + step).depth - depth(points - step).depth) / 2e-6
            assert torch.allclose(contact.by_ends[0, 0, end, axis], slope[0, 0], atol=1e-5)


def test_pinned_joints_have_no_columns():
    assert set(Unknowns(BODY_TURNS, 0, 0).turns(HAND_TURNS["right"])) == {-1}
