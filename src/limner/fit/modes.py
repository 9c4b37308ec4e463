"""Does another Gaussian of the pose prior explain somebody better? The next likely ones, each held on to, are tried.

The nearest Gaussian counts, and a body that has come near one stays there: the slope knows of no other one. Where the
points leave freedom (a limb's twist, a bone's depth), another may make the whole body cheaper.
"""

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from limner.body.params import BodyParams
from limner.fit.prior import MixturePrior
from limner.fit.problem import Anchor
from limner.fit.records import FitTargets
from limner.fit.stage import Stage
from limner.fit.verdict import put_params

TRIED = 2
HOPELESS = 25.0
"""A Gaussian that makes the body as it is dearer by so much is not tried."""


def with_better_gaussians(
    first: BodyParams,
    targets: FitTargets,
    stage: Stage,
    sigma: Float[Tensor, "B 4"],
    anchor: Anchor | None = None,
) -> BodyParams:
    """Bodies, one a person, near another Gaussian where they cost less in a stage so; others are as given.

    With a prior of another kind (an owner's VPoser) nothing changes.
    """
    prior = stage.priors.body
    if not isinstance(prior, MixturePrior):
        return first
    cost, which = prior.costs(first.body_pose).topk(TRIED + 1, dim=1, largest=False)
    person, rank = (cost[:, 1:] < cost[:, :1] + HOPELESS).nonzero(as_tuple=True)
    best, value = first, stage.problem(targets, sigma, anchor).objective(first)
    some = None if anchor is None else anchor[person]
    held = replace(stage, priors=replace(stage.priors, body=replace(prior, only=which[person, rank + 1])))
    ends = held.solve(targets[person], first[person], sigma[person], some).state
    costs = stage.problem(targets[person], sigma[person], some).objective(ends)
    for k in range(TRIED):
        rows = (rank == k).nonzero()[:, 0]
        rows = rows[costs[rows] < value[person[rows]]]
        best, value = put_params(best, person[rows], ends[rows]), value.index_copy(0, person[rows], costs[rows])
    return best
