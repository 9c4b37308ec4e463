"""Proximity prior: how far a fit may leave the estimate, or the neighbouring frames, that it goes out from."""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.params import BodyParams
from limner.body.skeleton import BODY_JOINTS, FACE_JOINTS, HAND_JOINTS, JOINT, JOINT_NAMES
from limner.records import Rows

USUAL_ERROR_RAD = {
    "pelvis": 0.30, "hip": 0.23, "knee": 0.21, "ankle": 0.17, "foot": 0.05, "spine1": 0.10, "spine2": 0.10,
    "spine3": 0.10, "neck": 0.15, "head": 0.20, "collar": 0.12, "shoulder": 0.45, "elbow": 0.37, "wrist": 0.35,
}  # fmt: skip
"""Of an axis of a joint's rotation: limner's estimates of rendered people that it was not trained on."""
USUAL_FINGER_ERROR_RAD = 0.3
USUAL_DEPTH_ERROR = 0.15
"""Of the estimated distance from the camera, as a share."""
LIMIT = 3.0
"""Estimates are sometimes quite wrong: beyond so many usual errors they pull no harder."""
FINGERS = tuple(JOINT[name] for side in ("left", "right") for name in HAND_JOINTS[side])
LOOSE = 4.0
"""At the end an estimate of fingers and distance holds less: much of what it knows, prior and points know too."""
POOR_POINTS = 0.02
"""Usual error of points, as a share of the box, that are no better than an estimate: it then holds fully."""


@dataclass(frozen=True)
class ProximityPrior(Rows):
    """What fits stay near: rotations "B 55 3 3" with stiffness "B 55" (1 / radian) up to a limit (in usual distances),
    and the depth of transl "B 3"."""

    pose: Float[Tensor, "B 55 3 3"]
    stiffness: Float[Tensor, "B 55"]
    transl: Float[Tensor, "B 3"]
    depth_stiffness: float = field(metadata={"shared": True})
    limit: float = field(default=torch.inf, metadata={"shared": True})


def near_estimate(estimate: BodyParams) -> ProximityPrior:
    """A pull to an estimate: 1 / its usual errors; face and eyes are free."""
    error = estimate.betas.new_full((len(JOINT_NAMES),), USUAL_FINGER_ERROR_RAD)
    for name in BODY_JOINTS:
        error[JOINT[name]] = USUAL_ERROR_RAD[name.removeprefix("left_").removeprefix("right_")]
    stiffness = 1 / error
    stiffness[[JOINT[name] for name in FACE_JOINTS]] = 0
    return ProximityPrior(
        estimate.full_pose(), stiffness.expand(len(estimate), -1), estimate.transl, 1 / USUAL_DEPTH_ERROR, LIMIT
    )


def loosened(near: ProximityPrior, sigma: Float[Tensor, "B"]) -> ProximityPrior:
    """The same with less pull, for the end of a fit; sigma: the errors of each person's points, share of the box.

    What the estimate says of trunk and limbs counts the less the better the points are.
    """
    share = (sigma / POOR_POINTS).clamp(1 / LOOSE, 1.0)[:, None].expand_as(near.stiffness).clone()
    share[:, FINGERS] = 1 / LOOSE
    return replace(near, stiffness=near.stiffness * share, depth_stiffness=near.depth_stiffness / LOOSE)
