"""How far may a fit leave the estimate that it started from?"""

import torch

from limner.body.params import BodyParams
from limner.body.skeleton import FACE_JOINTS, JOINT, JOINT_NAMES
from limner.fit.problem import Anchor

USUAL_ERROR_RAD = 0.35
"""Of an estimated joint's rotation; keypoints and the pose prior say the rest."""
USUAL_FINGER_ERROR_RAD = 0.5
USUAL_DEPTH_ERROR = 0.15
"""Of the estimated distance from the camera, as a share."""


def near_estimate(estimate: BodyParams, looseness: float = 1.0) -> Anchor:
    """A pull to an estimate: 1 / its usual errors, taken `looseness` times as large; face and eyes are free."""
    error = torch.full((len(JOINT_NAMES),), USUAL_ERROR_RAD)
    error[JOINT["left_index1"] :] = USUAL_FINGER_ERROR_RAD
    stiffness = (1 / (looseness * error)).to(estimate.betas)
    stiffness[[JOINT[name] for name in FACE_JOINTS]] = 0
    return Anchor(
        estimate.full_pose(), stiffness.expand(len(estimate), -1), estimate.transl, 1 / (looseness * USUAL_DEPTH_ERROR)
    )
