"""Terms of the fit's objective, one short function each: residuals in standard deviations, and their slopes.

The objective is the sum of the squares (of the reprojection: of a robust function of them), as in SMPLify-X (Pavlakos
et al., CVPR 2019, eq. 5). Residuals are calibrated: one is an error that is usual, so no weights need tuning. The terms
of body pose and hands are the priors themselves (`limner.fit.prior`), the points' is `limner.optimise.points`.
"""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.body.keypoints import indices_of
from limner.body.params import BodyParams
from limner.body.skeleton import JOINT
from limner.fit.points import Posed
from limner.fit.prior import Residual, UprightPrior
from limner.geometry.rotation import rotvec_and_slope
from limner.optimise.points import geman_mcclure
from limner.records import Rows

JAW_MEAN, JAW_SIGMA = (0.07, 0.0, 0.0), (0.13, 0.03, 0.02)
"""Rotation vector of the jaw, radians: it opens about x; of the people that limner was trained on."""
UPRIGHT_LIMIT = 3.0
HYPEREXTENSION_SIGMA = 0.06
PENETRATION_SIGMA = 0.015


def upright(prior: UprightPrior, params: BodyParams) -> Residual:
    """How unusual the pelvis is turned against the photo's vertical, bounded: the tilted may lie on the floor."""
    at = prior(params.global_orient, params.body_pose)
    squared = at.residual.square().sum(-1, keepdim=True)
    cost, root = geman_mcclure(squared, UPRIGHT_LIMIT)
    # the same cost and slope with another residual: the solver squares it
    return Residual(at.residual * root, at.slope * root[..., None], (cost - root.square() * squared)[:, 0])


def jaw(params: BodyParams) -> Residual:
    """The jaw opens a little and hardly turns (SMPLify-X's E_theta_f)."""
    vector, slope = rotvec_and_slope(params.jaw_pose)
    sigma = vector.new_tensor(JAW_SIGMA)
    return Residual((vector - vector.new_tensor(JAW_MEAN)) / sigma, slope / sigma[:, None])


def coefficients(values: Float[Tensor, "B C"]) -> Residual:
    """Betas and expression are standard normal (SMPLify-X's E_beta and E_E)."""
    eye = torch.eye(values.shape[1], dtype=values.dtype, device=values.device)
    return Residual(values, eye.expand(len(values), -1, -1))


HINGES = {
    JOINT[name]: bend
    for name, bend in {
        "left_knee": (0, 1.0),
        "right_knee": (0, 1.0),
        "left_elbow": (1, -1.0),
        "right_elbow": (1, 1.0),
    }.items()
}
"""About which of its axes a joint bends, and with which sign."""


def hinges(params: BodyParams) -> Residual:
    """Joints of HINGES that bend the wrong way (SMPLify-X's E_alpha; a hinge loss, so that good bends are free)."""
    joints = tuple(HINGES)
    vector, slope = rotvec_and_slope(params.body_pose[:, [j - 1 for j in joints]])
    axis = torch.tensor([a for a, _ in HINGES.values()], device=vector.device)
    sign = vector.new_tensor([s for _, s in HINGES.values()])
    rows = torch.arange(len(joints), device=vector.device)
    bend = vector[:, rows, axis] * sign
    wrong = (bend < 0).to(vector)
    residual = -bend * wrong / HYPEREXTENSION_SIGMA
    by_turn = -slope[:, rows, axis] * (sign * wrong / HYPEREXTENSION_SIGMA)[..., None]  # B 4 3
    return Residual(residual, torch.diag_embed(by_turn.mT).permute(0, 2, 3, 1).flatten(2))


def near_rotations(
    pose: Float[Tensor, "B J 3 3"],
    reference: Float[Tensor, "B J 3 3"],
    stiffness: Float[Tensor, "B J"],
    limit: float = torch.inf,
) -> Residual:
    """Joint rotations that stay near given ones: those of an estimate, or the mean of the neighbouring frames.

    stiffness: 1 / the usual distance in radians; limit: beyond so many usual distances the cost is bounded
    (Geman-McClure), for references that are sometimes quite wrong.
    """
    vector, slope = rotvec_and_slope(reference.mT @ pose)
    residual = vector * stiffness[..., None]
    squared = residual.square().sum(-1)
    cost, root = geman_mcclure(squared, limit)
    constant = (cost - root.square() * squared).sum(1)
    root = root[..., None]
    blocks = slope * (stiffness[..., None] * root)[..., None]
    full = torch.diag_embed(blocks.permute(0, 2, 3, 1)).permute(0, 3, 1, 4, 2)  # B J 3 J 3
    return Residual((residual * root).flatten(1), full.flatten(3).flatten(1, 2), constant)


def near_depth(transl: Float[Tensor, "B 3"], reference: Float[Tensor, "B 3"], stiffness: float) -> Residual:
    """A distance from the camera that stays near a given one; stiffness: 1 / the usual share of the distance."""
    ratio = transl[:, 2].clamp_min(1e-3) / reference[:, 2].clamp_min(1e-3)
    slope = torch.zeros_like(transl)
    slope[:, 2] = stiffness / transl[:, 2].clamp_min(1e-3)
    return Residual(stiffness * ratio.log()[:, None], slope[:, None])


@dataclass(frozen=True)
class Capsules:
    """Limbs as thick lines: ends "L 2 144" mixtures of keypoints, radius_m "L" of a trunk of half a metre, pairs "Q 2"
    of limbs that must not touch."""

    ends: Float[Tensor, "L 2 144"]
    radius: Float[Tensor, "L"]
    pairs: Int[Tensor, "Q 2"]


_LIMBS: dict[str, tuple[str, str, float]] = {
    "belly": ("pelvis", "spine3", 0.095),
    "chest": ("spine3", "neck", 0.075),
    "skull": ("head", "ears", 0.085),
}
_SIDE_LIMBS: dict[str, tuple[str, str, float]] = {
    "forearm": ("elbow", "wrist", 0.035),
    "hand": ("wrist", "middle2", 0.025),
    "thigh": ("hip", "knee", 0.055),
    "shank": ("knee", "ankle", 0.042),
    "foot": ("ankle", "big_toe", 0.032),
}
_TOUCHING = ("forearm", "hand")


@cache
def capsules(device: torch.device) -> Capsules:
    """Trunk, head, arms and legs; arms against trunk, head, thighs and each other, legs against each other."""
    limbs = dict(_LIMBS)
    for side in ("left", "right"):
        limbs |= {f"{side}_{k}": (f"{side}_{a}", f"{side}_{b}", r) for k, (a, b, r) in _SIDE_LIMBS.items()}
    names = list(limbs)
    pairs = [(f"left_{k}", f"right_{k}") for k in _SIDE_LIMBS]
    pairs += [("left_forearm", "right_hand"), ("right_forearm", "left_hand")]
    pairs += [("left_foot", "right_shank"), ("right_foot", "left_shank")]
    for side in ("left", "right"):
        for part in _TOUCHING:
            pairs += [(f"{side}_{part}", other) for other in ("belly", "chest", "skull", "left_thigh", "right_thigh")]
    ends = torch.zeros(len(limbs), 2, 144, device=device)
    for row, (first, last, _) in enumerate(limbs.values()):
        for end, name in enumerate((first, last)):
            points = indices_of(("left_ear", "right_ear") if name == "ears" else (name,))
            ends[row, end, list(points)] = 1 / len(points)
    radius = torch.tensor([r for _, _, r in limbs.values()], device=device)
    return Capsules(ends, radius, torch.tensor([[names.index(a), names.index(b)] for a, b in pairs], device=device))


@dataclass(frozen=True)
class Contact(Rows):
    """How deep each pair of capsules lies in each other: depth "B Q" metres, and its slope by the ends "B Q 4 3"."""

    depth: Float[Tensor, "B Q"]
    by_ends: Float[Tensor, "B Q 4 3"]


def penetration(posed: Posed, shape: Capsules | None = None) -> Contact:
    """Depths of capsules in each other: a batched stand-in for SMPLify-X's mesh collisions (E_C), as in SMPLify.

    `posed` has all 144 keypoints; shape: which limbs, those of `capsules` if not given. Radii grow with the trunk.
    """
    shape = shape or capsules(posed.points.device)
    trunk = (posed.joints[:, JOINT["neck"]] - posed.joints[:, JOINT["pelvis"]]).norm(dim=-1)
    ends = torch.einsum("len,bnc->blec", shape.ends.to(posed.points), posed.points)
    a, b = ends[:, shape.pairs[:, 0]], ends[:, shape.pairs[:, 1]]  # B Q 2 3
    radius = shape.radius.to(a)
    reach = (radius[shape.pairs[:, 0]] + radius[shape.pairs[:, 1]]) * (trunk / 0.5)[:, None]
    s, t = _nearest_on_segments(a, b)
    apart = (
        a[:, :, 0] + s[..., None] * (a[:, :, 1] - a[:, :, 0]) - b[:, :, 0] - t[..., None] * (b[:, :, 1] - b[:, :, 0])
    )
    distance = apart.norm(dim=-1).clamp_min(1e-6)
    depth = (reach - distance).clamp_min(0)
    out = apart / distance[..., None] * (depth > 0)[..., None]
    parts = torch.stack([1 - s, s, t - 1, -t], -1)
    return Contact(depth, -parts[..., None] * out[:, :, None])


def _nearest_on_segments(
    a: Float[Tensor, "B Q 2 3"], b: Float[Tensor, "B Q 2 3"]
) -> tuple[Float[Tensor, "B Q"], Float[Tensor, "B Q"]]:
    """Where on two segments (0 to 1) they come nearest (Ericson, Real-Time Collision Detection, 5.1.9)."""
    d1, d2, r = a[:, :, 1] - a[:, :, 0], b[:, :, 1] - b[:, :, 0], a[:, :, 0] - b[:, :, 0]
    e, f = d1.square().sum(-1).clamp_min(1e-9), d2.square().sum(-1).clamp_min(1e-9)
    c, g, h = (d1 * r).sum(-1), (d1 * d2).sum(-1), (d2 * r).sum(-1)
    s = ((g * h - c * f) / (e * f - g * g).clamp_min(1e-9)).clamp(0, 1)
    t = (g * s + h) / f
    s = torch.where(t < 0, (-c / e).clamp(0, 1), torch.where(t > 1, ((g - c) / e).clamp(0, 1), s))
    return s, t.clamp(0, 1)
