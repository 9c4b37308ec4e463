"""What is one stage of a fit: which points count and how much, what moves, and how long?"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.keypoints import FACE68, hand21, indices_of
from limner.body.params import BodyParams
from limner.fit.points import KeypointLayer
from limner.fit.prior import PosePriors
from limner.fit.problem import Anchor, FitProblem, Seen, Weights
from limner.fit.records import FitTargets
from limner.fit.solver import Solution, SolverOptions, damped_least_squares
from limner.fit.unknowns import Unknowns

GROUPS = ("body", "left_hand", "right_hand", "face")
"""Points whose errors are alike: each person's noise is measured for each of them."""


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
    """One stage. sigma: usual error of a point as a share of the box's longer side, one number or "B 4" by GROUPS;
    anchor: what the bodies stay near, row by row those of the targets it is solved for."""

    layer: KeypointLayer
    priors: PosePriors
    unknowns: Unknowns
    weights: Weights
    solver: SolverOptions
    sigma: float

    def problem(
        self, targets: FitTargets, sigma: Float[Tensor, "B 4"] | None = None, anchor: Anchor | None = None
    ) -> FitProblem:
        """The stage's objective for these people."""
        index = list(self.layer.keypoints)
        longer = box_side(targets)
        if sigma is None:
            sigma_px = (self.sigma * longer)[:, None].expand(-1, len(index))
        else:
            groups = torch.tensor(group_of_point(), device=longer.device)[index]
            sigma_px = sigma[:, groups] * longer[:, None]
        seen = Seen(targets.keypoints_px[:, index], targets.confidence[:, index], sigma_px, targets.camera)
        return FitProblem(self.layer, seen, self.priors, self.unknowns, self.weights, anchor)

    def objective(self, targets: FitTargets, params: BodyParams) -> Float[Tensor, "B"]:
        """What bodies cost in this stage."""
        return self.problem(targets).objective(params)

    def solve(
        self,
        targets: FitTargets,
        start: BodyParams,
        sigma: Float[Tensor, "B 4"] | None = None,
        anchor: Anchor | None = None,
    ) -> Solution[BodyParams]:
        """Descend from a start."""
        return damped_least_squares(self.problem(targets, sigma, anchor), start, self.solver)


def box_side(targets: FitTargets) -> Float[Tensor, "B"]:
    """Longer side of each box, pixels."""
    return (targets.boxes[:, 2:] - targets.boxes[:, :2]).amax(1).clamp_min(1.0)
