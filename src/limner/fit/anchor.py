"""How far may a fit leave the estimate that it started from?"""

import torch

from limner.body.params import BodyParams
from limner.body.skeleton import BODY_JOINTS, FACE_JOINTS, JOINT, JOINT_NAMES
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


def near_estimate(estimate: BodyParams, looseness: float = 1.0) -> Anchor:
    """A pull to an estimate: 1 / its usual errors, taken `looseness` times as large; face and eyes are free."""
    error = torch.full((len(JOINT_NAMES),), USUAL_FINGER_ERROR_RAD)
    for name in BODY_JOINTS:
        error[JOINT[name]] = USUAL_ERROR_RAD[name.removeprefix("left_").removeprefix("right_")]
    stiffness = (1 / (looseness * error)).to(estimate.betas)
    stiffness[[JOINT[name] for name in FACE_JOINTS]] = 0
    depth_stiffness = 1 / (looseness * USUAL_DEPTH_ERROR)
    return Anchor(estimate.full_pose(), stiffness.expand(len(estimate), -1), estimate.transl, depth_stiffness, LIMIT)
