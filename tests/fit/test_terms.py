"""Terms: nothing to pay at the truth, known values, and slopes that finite differences confirm."""

import pytest
import roma
import torch

from limner.body.model import BodyModel
from limner.body.skeleton import JOINT
from limner.fit import terms
from limner.fit.points import KeypointLayer
from limner.fit.prior import MirroredPrior, shipped_priors
from limner.fit.unknowns import BODY_TURNS, WHOLE_TURNS, Unknowns
from limner.geometry.camera import Camera
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
    "body pose": lambda p, u: terms.body_pose(BODY, p, u),
    "right hand": lambda p, u: terms.hand_pose(HAND, p, "right", u),
    "left hand": lambda p, u: terms.hand_pose(MirroredPrior(HAND), p, "left", u),
    "jaw": terms.jaw,
    "betas": lambda p, u: terms.coefficients(p.betas, u.betas),
    "expression": lambda p, u: terms.coefficients(p.expression, u.expression),
    "hinges": terms.hinges,
    "rotations": lambda p, u: terms.near_rotations(
        p.full_pose()[:, list(u.joints)],
        NEAR[:, list(u.joints)],
        torch.rand(3, len(u.joints), dtype=DOUBLE, generator=torch.Generator().manual_seed(3)),
        u.turns(u.joints),
    ),
    "depth": lambda p, u: terms.near_depth(
        p.transl.abs() + 1, torch.full((3, 3), 2.0, dtype=DOUBLE), 5.0, u.translation
    ),
}


@pytest.mark.parametrize("name", [n for n in CASES if n != "depth"])
def test_slopes_equal_finite_differences(name, people, unknowns):
    term = CASES[name](people, unknowns)
    assert (term.columns >= 0).all()
    size = 1e-6
    for k in range(0, len(term.columns), 5):
        step = torch.zeros(3, unknowns.count, dtype=DOUBLE)
        step[:, term.columns[k]] = size
        ahead, behind = (CASES[name](unknowns.moved(people, s), unknowns).residual for s in (step, -step))
        assert torch.allclose(term.slope[..., k], (ahead - behind) / (2 * size), atol=1e-4, rtol=1e-4), k


def test_depth_slope(unknowns):
    at = torch.tensor([[0.0, 0.0, 3.0]], dtype=DOUBLE)
    where = torch.tensor([[0.0, 0.0, 2.0]], dtype=DOUBLE)
    term = terms.near_depth(at, where, 5.0, unknowns.translation)
    further = terms.near_depth(at + 1e-6, where, 5.0, unknowns.translation)
    assert torch.allclose(term.residual, 5 * torch.log(torch.tensor([[1.5]], dtype=DOUBLE)))
    assert torch.allclose(term.slope[..., 2], (further.residual - term.residual) / 1e-6, atol=1e-4)


def test_upright_costs_nothing_at_its_mean_and_little_upside_down(people, unknowns):
    best = UP.body.likeliest(people.body_pose)
    up = torch.nn.functional.normalize(UP.up[best], dim=-1)
    # an orientation whose second row is -up: any rotation that has it
    other = torch.nn.functional.normalize(torch.linalg.cross(up, torch.ones_like(up)), dim=-1)
    orient = torch.stack([other, -up, torch.linalg.cross(other, -up)], 1)
    upright = terms.upright(UP, people.replace(global_orient=orient), unknowns)
    assert (upright.residual.square().sum(1) + upright.constant < 0.5).all()
    flipped = orient * torch.tensor([-1.0, -1.0, 1.0], dtype=DOUBLE)[:, None]
    over = terms.upright(UP, people.replace(global_orient=flipped), unknowns)
    cost = over.residual.square().sum(1) + over.constant
    assert (cost > 4).all() and (cost < terms.UPRIGHT_LIMIT**2 + 1e-6).all()


def test_reprojection_is_zero_at_the_truth_and_its_slope_is_true():
    g = torch.Generator().manual_seed(0)
    points = torch.rand(2, 5, 3, dtype=DOUBLE, generator=g) + torch.tensor([0.0, 0.0, 2.0])
    camera = Camera(torch.full((2,), 900.0, dtype=DOUBLE), torch.full((2, 2), 400.0, dtype=DOUBLE))
    sigma = torch.full((2, 5), 3.0, dtype=DOUBLE)
    seen = camera.project(points)
    assert torch.equal(terms.reprojection(points, camera, seen, sigma), torch.zeros(2, 5, 2, dtype=DOUBLE))
    axes = terms.reprojection_axes(points, camera, sigma)
    for k in range(3):
        step = torch.zeros(3, dtype=DOUBLE)
        step[k] = 1e-6
        moved = terms.reprojection(points + step, camera, seen, sigma) / 1e-6
        assert torch.allclose(axes[..., k], moved, atol=1e-2)


def test_geman_mcclure_is_quadratic_near_zero_bounded_far_and_its_weight_is_its_slope():
    squared = torch.tensor([1e-4, 1.0, 1e6], dtype=DOUBLE, requires_grad=True)
    cost, weight = terms.geman_mcclure(squared, 3.0)
    assert abs(float(cost.detach()[0]) - 1e-4) < 1e-8 and float(cost.detach()[2]) < 9.0
    (slope,) = torch.autograd.grad(cost.sum(), squared)
    assert torch.allclose(slope, weight)


def test_only_wrong_bends_cost(model, unknowns):
    good = model.rest(1)
    bend = rotation_from_axis_angle(torch.tensor([[0.8, 0.0, 0.0]], dtype=DOUBLE))
    pose = good.body_pose.clone()
    pose[:, JOINT["left_knee"] - 1] = bend
    assert float(terms.hinges(good.replace(body_pose=pose), unknowns).residual.abs().max()) == 0
    pose[:, JOINT["left_knee"] - 1] = bend.mT
    assert float(terms.hinges(good.replace(body_pose=pose), unknowns).residual.max()) > 5


def test_capsules_see_a_hand_in_the_belly_and_nothing_at_rest(model):
    layer = KeypointLayer(model)
    rest = model.rest(1)
    assert float(terms.penetration(layer(rest), terms.capsules()).depth.max()) < 0.02
    posed = layer(rest)
    points = posed.points.clone()
    names = [JOINT["left_wrist"], JOINT["left_middle2"]]
    points[:, names] = posed.points[:, [JOINT["pelvis"], JOINT["spine1"]]]
    moved = type(posed)(points, posed.joints, posed.absolute, posed.carried, posed.joint, posed.share, posed.directions)
    assert float(terms.penetration(moved, terms.capsules()).depth.max()) > 0.08


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
        record = type(posed)(
            at, posed.joints, posed.absolute, posed.carried, posed.joint, posed.share, posed.directions
        )
        return terms.penetration(record, shape)

    contact = depth(points)
    assert float(contact.depth) > 0
    for end in range(4):
        for axis in range(3):
            step = torch.zeros_like(points)
            step[:, 60 + end, axis] = 1e-6
            slope = (depth(points + step).depth - depth(points - step).depth) / 2e-6
            assert torch.allclose(contact.by_ends[0, 0, end, axis], slope[0, 0], atol=1e-5)


def test_pinned_joints_have_no_columns(people):
    pinned = Unknowns(BODY_TURNS, 0, 0)
    assert (terms.hand_pose(HAND, people, "right", pinned).columns == -1).all()
