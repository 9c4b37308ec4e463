"""Depth flips: limbs bent towards the camera or away from it that look the same, tried limb by limb.

A bone of known length whose end lies on a known ray has two places for that end (Taylor, CVIU 2000): an arm or a leg
of two bones has four poses for one picture. A descent does not get from one to the other: between them the bone is too
long for the picture.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import JOINT, PARENTS
from limner.body.skinning import pose_joints
from limner.fit.records import FitTargets
from limner.fit.search import Hypotheses
from limner.fit.stage import Stage
from limner.fit.terms import HINGES
from limner.fit.unknowns import Unknowns
from limner.geometry.rotation import rotation_from_axis_angle
from limner.records import Rows, join, put

LIMBS = tuple(
    (JOINT[f"{side}_{root}"], JOINT[f"{side}_{middle}"], JOINT[f"{side}_{end}"])
    for root, middle, end in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
    for side in ("left", "right")
)
"""Root, middle and end of each limb."""
WAYS = ((False, False), (False, True), (True, False), (True, True))
"""Whether the middle, and the end, is at the farther of its two places."""
ARMS = (0, 1)
"""Rows of LIMBS whose end may also stay turned as it is before the camera: no descent turns a hand by half a turn."""
LEAST_TURN_RAD = 0.5
"""A way that turns no bone by more is the one that is there already."""
HOPELESS = 5.0
"""A flip that costs so much more than the body as it was, after two steps, is given up."""


@dataclass(frozen=True)
class DepthFlips(Rows):
    """N depth flips of B people: whose "N", of which limb (row of LIMBS) "N", and the bodies with the limb bent so."""

    person: Int[Tensor, "N"]
    limb: Int[Tensor, "N"]
    params: BodyParams


def depth_flips(model: BodyModel, params: BodyParams) -> DepthFlips:
    """All bends of single limbs that look the same as the given bodies, but for those that are there already."""
    rest = model.rest_joints(params)
    absolute, joints = pose_joints(params.full_pose(), rest)
    joints = joints + params.transl[:, None]
    person, limb, bodies = [], [], []
    for number, chain in enumerate(LIMBS):
        for far in WAYS:
            bones = _bones(joints, chain, far)
            pose, turn = _bent(params.full_pose(), absolute, rest, joints, chain, bones)
            rows = (turn > LEAST_TURN_RAD).nonzero()[:, 0]
            poses = [pose[rows], _end_kept(pose[rows], absolute[rows], chain)][: 2 if number in ARMS else 1]
            for changed in poses:
                person.append(rows)
                limb.append(torch.full_like(rows, number))
                bodies.append(params[rows].with_full_pose(changed))
    return DepthFlips(torch.cat(person), torch.cat(limb), join(bodies))


def with_better_flips(
    model: BodyModel, first: BodyParams, targets: FitTargets, stage: Stage, kept: int = 3
) -> Hypotheses:
    """Bodies, one a person, with those limbs bent otherwise that cost less so in a stage, and what they cost.

    The bodies descend first: else flips would seem better by what any descent in this stage brings. All flips
    turn their limb for two steps, the best few of each person that are not hopeless go on; then the better flips of
    several limbs are put together. The result is never worse than what was given.
    """
    here = stage.solve(targets, first)
    first, before = here.state, here.objective
    flips = depth_flips(model, first)
    if not len(flips):
        return Hypotheses(first, before[None])
    bent, objective = _glanced(flips, stage, targets)
    hopeful = objective < before[flips.person] + HOPELESS
    rows = (hopeful & (_rank(flips.person, objective) < kept)).nonzero()[:, 0]
    person, limb = flips.person[rows], flips.limb[rows]
    ends = stage.solve(targets[person], bent[rows])
    better = (ends.objective < before[person]).nonzero()[:, 0]
    person, limb, state, objective = person[better], limb[better], ends.state[better], ends.objective[better]
    best = (_rank(person, objective) == 0).nonzero()[:, 0]
    params, cost = put((first, before), person[best], (state[best], objective[best]))
    together, whose = _together(params, person, limb, state, objective)
    if len(whose):
        ends = stage.solve(targets[whose], together)
        better = (ends.objective < cost[whose]).nonzero()[:, 0]
        some = ends.state[better], ends.objective[better]
        params, cost = put((params, cost), whose[better], some)
    return Hypotheses(params, cost[None])


def _glanced(flips: DepthFlips, stage: Stage, targets: FitTargets) -> tuple[BodyParams, Float[Tensor, "N"]]:
    """Flips after two steps of their limb alone, and what they cost."""
    params, objective = flips.params, flips.params.transl.new_zeros(len(flips))
    for number, chain in enumerate(LIMBS):
        rows = (flips.limb == number).nonzero()[:, 0]
        if len(rows):
            joints = (PARENTS[chain[0]], *chain) if number in ARMS else chain
            glance = replace(stage, unknowns=Unknowns(joints, 0, 0), solver=replace(stage.solver, steps=2))
            rough = glance.solve(targets[flips.person[rows]], params[rows])
            params, objective = put((params, objective), rows, (rough.state, rough.objective))
    return params, objective


def _together(
    best: BodyParams,
    person: Int[Tensor, "N"],
    limb: Int[Tensor, "N"],
    state: BodyParams,
    objective: Float[Tensor, "N"],
) -> tuple[BodyParams, Int[Tensor, "n"]]:
    """Those of the best bodies whose other limbs have better flips as well, with all of these; and whose they are."""
    pose, theirs = best.full_pose().clone(), state.full_pose()
    # the best body has the best flip of its own limb already
    some = ((_rank(person * len(LIMBS) + limb, objective) == 0) & (_rank(person, objective) > 0)).nonzero()[:, 0]
    for row in some.tolist():
        moved = list(LIMBS[int(limb[row])][:2])
        pose[person[row], moved] = theirs[row, moved]
    whose = person[some].unique()
    return best[whose].with_full_pose(pose[whose]), whose


def _rank(group: Int[Tensor, "N"], value: Float[Tensor, "N"]) -> Int[Tensor, "N"]:
    """How many of the same group are less."""
    order = value.argsort(stable=True)
    order = order[group[order].argsort(stable=True)]
    first = torch.searchsorted(group[order].contiguous(), group[order].contiguous())
    return torch.empty_like(order).index_put((order,), torch.arange(len(order), device=order.device) - first)


def _bones(
    joints: Float[Tensor, "B 55 3"], chain: tuple[int, int, int], far: tuple[bool, bool]
) -> tuple[Float[Tensor, "B 3"], Float[Tensor, "B 3"]]:
    """Directions of a limb's two bones with its joints on the same rays at the nearer or farther place."""
    start, directions = joints[:, chain[0]], []
    for before, joint, farther in zip(chain, chain[1:], far, strict=False):
        length = (joints[:, joint] - joints[:, before]).norm(dim=1)
        ray = normalize(joints[:, joint], dim=1)
        nearest = (ray * start).sum(1)
        apart = (length.square() - (start - nearest[:, None] * ray).square().sum(1)).clamp_min(0).sqrt()
        place = (nearest + (apart if farther else -apart))[:, None] * ray
        directions.append(normalize(place - start, dim=1))
        start = start + directions[-1] * length[:, None]
    return directions[0], directions[1]


def _bent(
    pose: Float[Tensor, "B 55 3 3"],
    absolute: Float[Tensor, "B 55 3 3"],
    rest: Float[Tensor, "B 55 3"],
    joints: Float[Tensor, "B 55 3"],
    chain: tuple[int, int, int],
    bones: tuple[Float[Tensor, "B 3"], Float[Tensor, "B 3"]],
) -> tuple[Float[Tensor, "B 55 3 3"], Float[Tensor, "B"]]:
    """Poses with a limb's bones turned to given directions, and by how much the bone that turns most, radians.

    The upper bone is twisted so that the joint in the middle bends about the axis that it bends about now, and the
    right way: minimal turns would leave elbows bent backwards.
    """
    root, middle, end = chain
    upper = normalize(rest[:, middle] - rest[:, root], dim=1)
    straight = normalize(rest[:, end] - rest[:, middle], dim=1)
    lower = (pose[:, middle] @ straight[..., None])[..., 0]
    axis, sign = HINGES[middle]
    hinge = torch.zeros_like(straight)
    hinge[:, axis] = sign
    bent = normalize(lower + 0.3 * torch.linalg.cross(hinge, straight), dim=1)  # says which way where it is straight
    normal = torch.linalg.cross(upper, bent)
    was = (absolute[:, root] @ normalize(normal, dim=1)[..., None])[..., 0]
    now = _frame(bones[0], torch.linalg.cross(bones[0], bones[1]) + 0.05 * was)
    above = absolute[:, PARENTS[root]]
    turned = now @ _frame(upper, normal).mT  # absolute
    wanted = (turned.mT @ bones[1][..., None])[..., 0]
    changed = pose.clone()
    changed[:, root] = above.mT @ turned
    changed[:, middle] = _turn_between(lower, wanted) @ pose[:, middle]
    old = [normalize(joints[:, b] - joints[:, a], dim=1) for a, b in ((root, middle), (middle, end))]
    cosine = torch.stack([(a * b).sum(1) for a, b in zip(old, bones, strict=True)])
    return changed, torch.acos(cosine.clamp(-1, 1)).amax(0)


def _end_kept(
    pose: Float[Tensor, "B 55 3 3"], absolute: Float[Tensor, "B 55 3 3"], chain: tuple[int, int, int]
) -> Float[Tensor, "B 55 3 3"]:
    """Bent poses with the limb's end turned as it was before the camera; `absolute`: before bending."""
    root, middle, end = chain
    above = absolute[:, PARENTS[root]] @ pose[:, root] @ pose[:, middle]
    return pose.index_copy(1, torch.tensor([end], device=pose.device), (above.mT @ absolute[:, end])[:, None])


def _frame(x: Float[Tensor, "B 3"], z: Float[Tensor, "B 3"]) -> Float[Tensor, "B 3 3"]:
    """Right-handed axes as columns: the first along x, the last as near to z as that allows."""
    x = normalize(x, dim=1)
    z = normalize(z - (z * x).sum(1, keepdim=True) * x, dim=1)
    return torch.stack([x, torch.linalg.cross(z, x), z], -1)


def _turn_between(a: Float[Tensor, "B 3"], b: Float[Tensor, "B 3"]) -> Float[Tensor, "B 3 3"]:
    """The shortest rotation that takes one direction to another."""
    cross = torch.linalg.cross(a, b)
    sine = cross.norm(dim=1, keepdim=True)
    angle = torch.atan2(sine, (a * b).sum(1, keepdim=True))
    return rotation_from_axis_angle(cross / sine.clamp_min(1e-9) * angle)
