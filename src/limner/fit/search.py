"""Search for good starts: typical poses from all sides, the few best of them, and other Gaussians of the pose prior."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.body.keypoints import indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.fit.points import KeypointLayer
from limner.fit.prior import MixturePrior, PosePriors
from limner.fit.records import FitTargets
from limner.fit.stage import Stage
from limner.fit.unknowns import BODY_TURNS
from limner.geometry.camera import Camera
from limner.geometry.rotation import rotation_about_z, rotation_from_axis_angle
from limner.optimise.solver import damped_least_squares
from limner.records import join, put

SAME_RAD = 0.4
"""Two bodies none of whose joints differs by more are one."""
SHOULDERS = indices_of(("left_shoulder", "right_shoulder", "neck"))
HIPS = indices_of(("left_hip", "right_hip", "pelvis"))
TRIED = 2
"""So many other Gaussians of the pose prior are tried."""
HOPELESS = 25.0
"""A Gaussian that makes the body as it is dearer by so much is not tried."""


@dataclass(frozen=True)
class Hypotheses:
    """H rough bodies for each of B people: params has H * B rows, hypothesis by hypothesis; objective "H B"."""

    params: BodyParams
    objective: Float[Tensor, "H B"]

    def __len__(self) -> int:
        return len(self.objective)

    @property
    def rows(self) -> Int[Tensor, "N"]:
        """Whose hypothesis each row of `params` is."""
        count, people = self.objective.shape
        return torch.arange(people, device=self.objective.device).repeat(count)

    def picked(self, which: Int[Tensor, "K B"]) -> "Hypotheses":
        """Some hypotheses of each person."""
        people = self.objective.shape[1]
        flat = (which * people + torch.arange(people, device=which.device)).flatten()
        return Hypotheses(self.params[flat], self.objective.gather(0, which))

    def best(self, count: int) -> "Hypotheses":
        """The best few of each person, best first."""
        return self.picked(self.objective.topk(min(count, len(self)), dim=0, largest=False).indices)


def placed(
    layer: KeypointLayer,
    params: BodyParams,
    points_px: Float[Tensor, "B N 2"],
    weight: Float[Tensor, "B N"],
    camera: Camera,
) -> BodyParams:
    """Bodies moved to where their points are as large as the observed ones and have the same centre.

    SMPLify-X's camera initialisation (similar triangles), with all confident points instead of the trunk's; exact for
    points in one plane of depth.
    """
    points = layer(params.replace(transl=torch.zeros_like(params.transl))).points
    share = (weight / weight.sum(1, keepdim=True).clamp_min(1e-9))[..., None]
    here, there = (points * share).sum(1), (points_px * share).sum(1)
    metres = ((points[..., :2] - here[:, None, :2]).square() * share).sum((1, 2)).sqrt()
    pixels = ((points_px - there[:, None]).square() * share).sum((1, 2)).sqrt()
    depth = camera.focal_px * metres / pixels.clamp_min(1e-3)
    # never nearer than arm's length of the nearest point
    nearest = points[..., 2].amin(1) - here[:, 2]
    depth = torch.maximum(depth, 0.2 - nearest)
    xy = (there - camera.center_px) * (depth / camera.focal_px)[:, None]
    return params.replace(transl=torch.cat([xy, depth[:, None]], 1) - here)


def upright_roll(targets: FitTargets) -> Float[Tensor, "B"]:
    """How far trunks are turned clockwise in the photo, radians; 0 where hips or shoulders are not seen."""

    def middle(index: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        weight = targets.confidence[:, list(index)]
        total = weight.sum(1)
        points = (targets.keypoints_px[:, list(index)] * weight[..., None]).sum(1) / total.clamp_min(1e-9)[:, None]
        return points, total > 0

    top, has_top = middle(SHOULDERS)
    bottom, has_bottom = middle(HIPS)
    up = top - bottom
    longer = (targets.boxes[:, 2:] - targets.boxes[:, :2]).amax(1)
    # a trunk seen from above or below has no direction to speak of
    clear = has_top & has_bottom & (up.norm(dim=1) > 0.08 * longer)
    return torch.where(clear, torch.atan2(up[:, 0], -up[:, 1]), torch.zeros_like(longer))


def facing(roll_rad: Float[Tensor, "B"], yaw_rad: float) -> Float[Tensor, "B 3 3"]:
    """Orientations of people turned in the image plane, and about their own vertical (0: facing the camera)."""
    flip = torch.diag(roll_rad.new_tensor([1.0, -1.0, -1.0]))
    turn = rotation_from_axis_angle(roll_rad.new_tensor([0.0, yaw_rad, 0.0]))
    return rotation_about_z(roll_rad) @ flip @ turn


def mean_starts(
    model: BodyModel,
    roll_rad: Float[Tensor, "B"],
    body_pose: Float[Tensor, "21 3 3"],
    hand_pose: Float[Tensor, "15 3 3"],
    yaw_rad: float,
) -> BodyParams:
    """B people of mean shape in one pose, seen from one side; `hand_pose` is a right hand."""
    count = len(roll_rad)
    rest = model.rest(count).to(roll_rad.device, roll_rad.dtype)
    right = hand_pose.to(roll_rad).expand(count, -1, -1, -1)
    people = rest.replace(right_hand_pose=right, left_hand_pose=right)
    left = people.mirrored().left_hand_pose
    return people.replace(
        left_hand_pose=left,
        body_pose=body_pose.to(roll_rad).expand(count, -1, -1, -1),
        global_orient=facing(roll_rad, yaw_rad),
    )


def mean_hypotheses(
    model: BodyModel, targets: FitTargets, stage: Stage, priors: PosePriors, views: int, extra: int
) -> Hypotheses:
    """Typical poses seen from `views` sides: for each side the pose that looks most like the points, and the best
    `extra` others."""
    roll = upright_roll(targets)
    candidates = []
    for view in range(views):
        for pose in priors.typical_body:
            start = mean_starts(model, roll, pose, priors.typical_hand, 2 * math.pi * view / views)
            candidates.append(_placed(stage, start, targets))
    params = join(candidates)
    rows = torch.arange(len(targets), device=roll.device).repeat(len(candidates))
    every = Hypotheses(params, stage.cost(targets[rows], params).view(len(candidates), -1))
    by_view = every.objective.view(views, -1, len(targets))
    first = by_view.argmin(1) + (torch.arange(views, device=roll.device) * by_view.shape[1])[:, None]
    rest = every.objective.scatter(0, first, torch.inf)
    others = rest.topk(min(extra, len(rest) - views), dim=0, largest=False).indices
    return every.picked(torch.cat([first, others]))


def descended(hypotheses: Hypotheses, targets: FitTargets, stage: Stage) -> Hypotheses:
    """All hypotheses after a stage of the fit."""
    solution = stage.solve(targets[hypotheses.rows], hypotheses.params)
    return Hypotheses(solution.state, solution.objective.view(hypotheses.objective.shape))


def some_descended(hypotheses: Hypotheses, rows: Int[Tensor, "N"], targets: FitTargets, stage: Stage) -> Hypotheses:
    """The same with some rows of `params` descended; the others cost infinitely much, they are out."""
    ends = stage.solve(targets[hypotheses.rows[rows]], hypotheses.params[rows])
    objective = torch.full_like(hypotheses.objective, torch.inf).flatten().index_copy(0, rows, ends.objective)
    return Hypotheses(put(hypotheses.params, rows, ends.state), objective.view(hypotheses.objective.shape))


def judged(hypotheses: Hypotheses, targets: FitTargets, stage: Stage) -> Hypotheses:
    """The same bodies by another stage's objective."""
    objective = stage.cost(targets[hypotheses.rows], hypotheses.params)
    return Hypotheses(hypotheses.params, objective.view(hypotheses.objective.shape))


def distinct(hypotheses: Hypotheses, count: int, margin: float) -> Int[Tensor, "N"]:
    """Rows of `params` of each person's best few bodies that are not the same, people in order and the best first.

    Many starts end in the same minimum: bodies no joint of whose trunk and limbs is turned by SAME_RAD are one. None
    costs more than the person's best and `margin`.
    """
    pose = hypotheses.params.full_pose()[:, BODY_TURNS].unflatten(0, (len(hypotheses), -1))
    order = hypotheses.objective.argsort(0)
    people = hypotheses.objective.shape[1]
    rows = []
    for person in range(people):
        cost, kept = hypotheses.objective[:, person], list[int]()
        for k in order[:, person].tolist():
            if len(kept) == count or (kept and float(cost[k] - cost[kept[0]]) > margin):
                break
            chord = (pose[k, person] - pose[kept, person]).square().sum((2, 3)).sqrt()
            if bool((chord.amax(1) > SAME_RAD * math.sqrt(2)).all()):  # |A - B| is about sqrt(2) times the angle
                kept.append(k)
        rows += [k * people + person for k in kept]
    return torch.tensor(rows, dtype=torch.int64, device=order.device)


def _placed(stage: Stage, params: BodyParams, targets: FitTargets) -> BodyParams:
    index = list(stage.layer.keypoints)
    return placed(stage.layer, params, targets.keypoints_px[:, index], targets.confidence[:, index], targets.camera)


def with_better_gaussians(first: BodyParams, targets: FitTargets, stage: Stage) -> BodyParams:
    """Bodies, one a person, near another Gaussian where they cost less in a stage so; others are as given.

    The nearest Gaussian counts, and a body that has come near one stays there: the slope knows of no other one. Where
    the points leave freedom (a limb's twist, a bone's depth), another may make the whole body cheaper: the next likely
    ones are each held on to for a descent. With a prior of another kind (an owner's VPoser) nothing changes.
    """
    prior = stage.priors.body
    if not isinstance(prior, MixturePrior):
        return first
    cost, which = prior.costs(first.body_pose).topk(TRIED + 1, dim=1, largest=False)
    person, rank = (cost[:, 1:] < cost[:, :1] + HOPELESS).nonzero(as_tuple=True)
    problem = stage.problem(targets)
    best, value, some = first, problem.cost(first), problem[person]
    held = replace(some, held=which[person, rank + 1])
    ends = damped_least_squares(held, first[person], stage.solver).state
    costs = some.cost(ends)
    for k in range(TRIED):
        rows = (rank == k).nonzero()[:, 0]
        rows = rows[costs[rows] < value[person[rows]]]
        best, value = put((best, value), person[rows], (ends[rows], costs[rows]))
    return best
