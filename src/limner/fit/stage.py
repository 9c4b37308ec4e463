"""Stages of a fit: which points count and how much (their errors are measured), what moves, and how long."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.keypoints import FACE68, hand21, indices_of
from limner.body.params import BodyParams
from limner.fit.points import KeypointLayer
from limner.fit.prior import PosePriors
from limner.fit.problem import FitProblem
from limner.fit.records import FitTargets
from limner.fit.unknowns import Unknowns
from limner.optimise.points import ObservedPoints
from limner.optimise.solver import Solution, SolverOptions, damped_least_squares

GROUPS = ("body", "left_hand", "right_hand", "face")
"""Points whose errors are alike: each person's noise is measured for each of them."""
EXPECTED = {"body": 0.010, "left_hand": 0.006, "right_hand": 0.006, "face": 0.006}
"""Usual errors as shares of the box's longer side, before anything is known."""
WORTH = {"body": 1.0, "left_hand": 0.4, "right_hand": 0.4, "face": 0.8}
"""So many points these expectations are worth: little, or exact points would be thought half a percent wrong."""
SPENT = {"body": 15.0, "left_hand": 8.0, "right_hand": 8.0, "face": 15.0}
"""So many points a fit can always meet: what they leave over says nothing."""
LEAST, MOST = 0.002, 0.03


def group_of_point() -> list[int]:
    """For each of the 144 points the row of its group in GROUPS."""
    group = [0] * 144
    for k, side in ((1, "left"), (2, "right")):
        for index in indices_of(hand21(side)[1:]):
            group[index] = k
    for index in indices_of(FACE68):
        group[index] = 3
    return group


@dataclass(frozen=True)
class Stage:
    """One stage.

    robust: so many usual errors are an outlier; sigma: usual error of a point as a share of the box's longer side where
    none was measured; penetration: whether limbs in each other cost.
    """

    layer: KeypointLayer
    priors: PosePriors
    unknowns: Unknowns
    robust: float
    sigma: float
    solver: SolverOptions
    penetration: bool = False

    def problem(self, targets: FitTargets) -> FitProblem:
        """The stage's objective for these people."""
        index = list(self.layer.keypoints)
        longer = box_side(targets)
        if targets.sigma is None:
            sigma_px = (self.sigma * longer)[:, None].expand(-1, len(index))
        else:
            groups = torch.tensor(group_of_point(), device=longer.device)[index]
            sigma_px = targets.sigma[:, groups] * longer[:, None]
        points_px, weight = targets.keypoints_px[:, index], targets.confidence[:, index]
        observed = ObservedPoints(points_px, weight, sigma_px, targets.camera, self.robust)
        return FitProblem(observed, self.layer, self.priors, self.unknowns, self.penetration, targets.near)

    def cost(self, targets: FitTargets, params: BodyParams) -> Float[Tensor, "B"]:
        """What bodies cost in this stage."""
        return self.problem(targets).cost(params)

    def solve(self, targets: FitTargets, start: BodyParams) -> Solution[BodyParams]:
        """Descend from a start."""
        return damped_least_squares(self.problem(targets), start, self.solver)


def box_side(targets: FitTargets) -> Float[Tensor, "B"]:
    """Longer side of each box, pixels."""
    return (targets.boxes[:, 2:] - targets.boxes[:, :2]).amax(1).clamp_min(1.0)


def measured_sigma(layer: KeypointLayer, targets: FitTargets, fit: BodyParams) -> Float[Tensor, "B 4"]:
    """Standard error of an axis of a point for each of GROUPS, as a share of the box.

    From the median, so that outliers do not count: the squared length of a 2D normal error has the median 2 ln 2
    sigma^2. Pulled to EXPECTED where points are few.
    """
    index = list(layer.keypoints)
    seen_px, confidence = targets.keypoints_px[:, index], targets.confidence[:, index]
    off = (targets.camera.project(layer(fit).points) - seen_px) / box_side(targets)[:, None, None]
    squared = off.square().sum(-1)
    group = torch.tensor(group_of_point(), device=squared.device)[index]
    columns = []
    for k, name in enumerate(GROUPS):
        observed = (confidence > 0) & (group == k)
        count = observed.sum(1)
        # shares of squared errors below the median of the observed ones
        ordered = torch.where(observed, squared, torch.inf).sort(1).values
        middle = ordered.gather(1, ((count - 1).clamp_min(0) // 2)[:, None])[:, 0]
        variance = torch.where(count > 0, middle, torch.zeros_like(middle)) / (2 * math.log(2))
        free = (count - SPENT[name]).clamp_min(0)
        # a fit swallows part of the errors: scaled up by what it could not meet
        grown = variance * count / free.clamp_min(1.0)
        total = (free * grown + WORTH[name] * EXPECTED[name] ** 2) / (free + WORTH[name])
        columns.append(total.sqrt().clamp(LEAST, MOST))
    return torch.stack(columns, 1)
