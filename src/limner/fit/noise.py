"""How wrong are somebody's keypoints? Measured from what a first fit leaves over, by body, hands and face."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.params import BodyParams
from limner.fit.points import KeypointLayer
from limner.fit.records import FitTargets
from limner.fit.stage import GROUPS, box_side, group_of_point

EXPECTED = {"body": 0.010, "left_hand": 0.006, "right_hand": 0.006, "face": 0.006}
"""Usual errors as shares of the box's longer side, before anything is known."""
WORTH = {"body": 1.0, "left_hand": 0.4, "right_hand": 0.4, "face": 0.8}
"""So many points these expectations are worth: little, or exact points would be thought half a percent wrong."""
SPENT = {"body": 15.0, "left_hand": 8.0, "right_hand": 8.0, "face": 15.0}
"""So many points a fit can always meet: what they leave over says nothing."""
LEAST, MOST = 0.002, 0.03


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
        seen = (confidence > 0) & (group == k)
        count = seen.sum(1)
        # shares of squared errors below the median of those seen
        ordered = torch.where(seen, squared, torch.inf).sort(1).values
        middle = ordered.gather(1, ((count - 1).clamp_min(0) // 2)[:, None])[:, 0]
        variance = torch.where(count > 0, middle, torch.zeros_like(middle)) / (2 * math.log(2))
        free = (count - SPENT[name]).clamp_min(0)
        # a fit swallows part of the errors: scaled up by what it could not meet
        grown = variance * count / free.clamp_min(1.0)
        total = (free * grown + WORTH[name] * EXPECTED[name] ** 2) / (free + WORTH[name])
        columns.append(total.sqrt().clamp(LEAST, MOST))
    return torch.stack(columns, 1)
