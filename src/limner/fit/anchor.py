"""How far may a fit leave the estimate that it started from?"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.params import BodyParams
from limner.body.skeleton import BODY_JOINTS, FACE_JOINTS, HAND_JOINTS, JOINT, JOINT_NAMES
from limner.fit.problem import Anchor

USUAL_ERROR_RAD = {
    "pelvis": 0.30, "hip": 0.23, "knee": 0.21, "ankle": 0.17, "foot": 0.05, "spine1": 0.10, "spine2": 0.10,
    "spine3": 0.10, "neck": 0.15, "head": 0.20, "collar": 0.12, "shoulder": 0.45, "elbow": 0.37, "wrist": 0.35,
}  # fmt: skip
"""Of an axis of a joint's rotation: limner's estimates of harvested people that it was not trained on."""
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


def near_estimate(estimate: BodyParams) -> Anchor:
    """A pull to an estimate: 1 / its usual errors; face and eyes are free."""
    error = torch.full((len(JOINT_NAMES),), USUAL_FINGER_ERROR_RAD)
    for name in BODY_JOINTS:
        error[JOINT[name]] = USUAL_ERROR_RAD[name.removeprefix("left_").removeprefix("right_")]
    stiffness = (1 / error).to(estimate.betas)
    stiffness[[JOINT[name] for name in FACE_JOINTS]] = 0
    return Anchor(
        estimate.full_pose(), stiffness.expand(len(estimate), -1), estimate.transl, 1 / USUAL_DEPTH_ERROR, LIMIT
    )


def loosened(anchor: Anchor, sigma: Float[Tensor, "B"]) -> Anchor:
    """The same with less pull, for the end of a fit; sigma: the errors of each person's points, share of the box.

    What the estimate says of trunk and limbs counts the less the better the points are.
    """
    share = (sigma / POOR_POINTS).clamp(1 / LOOSE, 1.0)[:, None].expand_as(anchor.stiffness).clone()
    share[:, FINGERS] = 1 / LOOSE
    return replace(anchor, stiffness=anchor.stiffness * share, depth_stiffness=anchor.depth_stiffness / LOOSE)
