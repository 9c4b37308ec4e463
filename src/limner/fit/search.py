"""Which of many rough starts lead to a good fit? From all views and typical poses to the few best ones, per person."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.fit.prior import PosePriors
from limner.fit.records import FitTargets
from limner.fit.stage import Stage
from limner.fit.start import mean_starts, placed, upright_roll
from limner.fit.unknowns import BODY_TURNS
from limner.fit.verdict import put_params

SAME_RAD = 0.4
"""Two bodies none of whose joints differs by more are one."""


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
    params = join_params(candidates)
    rows = torch.arange(len(targets), device=roll.device).repeat(len(candidates))
    every = Hypotheses(params, stage.objective(targets[rows], params).view(len(candidates), -1))
    by_view = every.objective.view(views, -1, len(targets))
    first = by_view.argmin(1) + (torch.arange(views, device=roll.device) * by_view.shape[1])[:, None]
    rest = every.objective.scatter(0, first, torch.inf)
    others = rest.topk(min(extra, len(rest) - views), dim=0, largest=False).indices
    return every.picked(torch.cat([first, others]))


def descended(
    hypotheses: Hypotheses, targets: FitTargets, stage: Stage, sigma: Float[Tensor, "B 4"] | None = None
) -> Hypotheses:
    """All hypotheses after a stage of the fit; `sigma`: each person's measured errors instead of the stage's."""
    rows = hypotheses.rows
    solution = stage.solve(targets[rows], hypotheses.params, None if sigma is None else sigma[rows])
    return Hypotheses(solution.state, solution.objective.view(hypotheses.objective.shape))


def some_descended(
    hypotheses: Hypotheses, rows: Int[Tensor, "N"], targets: FitTargets, stage: Stage, sigma: Float[Tensor, "B 4"]
) -> Hypotheses:
    """The same with some rows of `params` descended; the others cost infinitely much, they are out."""
    who = hypotheses.rows[rows]
    ends = stage.solve(targets[who], hypotheses.params[rows], sigma[who])
    objective = torch.full_like(hypotheses.objective, torch.inf).flatten().index_copy(0, rows, ends.objective)
    return Hypotheses(put_params(hypotheses.params, rows, ends.state), objective.view(hypotheses.objective.shape))


def judged(
    hypotheses: Hypotheses, targets: FitTargets, stage: Stage, sigma: Float[Tensor, "B 4"] | None = None
) -> Hypotheses:
    """The same bodies by another stage's objective."""
    rows = hypotheses.rows
    problem = stage.problem(targets[rows], None if sigma is None else sigma[rows])
    objective = problem.objective(hypotheses.params)
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


def join_params(parts: Sequence[BodyParams]) -> BodyParams:
    """Several batches of people as one."""
    return BodyParams(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(BodyParams)})


def _placed(stage: Stage, params: BodyParams, targets: FitTargets) -> BodyParams:
    index = list(stage.layer.keypoints)
    return placed(stage.layer, params, targets.keypoints_px[:, index], targets.confidence[:, index], targets.camera)
