"""How sure are the networks of each of the 144 keypoints?"""

import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.keypoints import FACE68, KEYPOINT_NAMES, hand21, indices_of
from limner.networks.blaze.pose import POSE_POINTS
from limner.pipeline.attention import BodyLook, FaceLook, HandLook

# Body keypoints that BlazePose does not name, and the points between which they lie
BETWEEN = {
    **dict.fromkeys(("pelvis", "spine1", "spine2"), ("left_hip", "right_hip")),
    **dict.fromkeys(("spine3", "neck", "left_collar", "right_collar"), ("left_shoulder", "right_shoulder")),
    **dict.fromkeys(("head", "jaw", "left_eye_smplx", "right_eye_smplx"), ("nose",)),
    **{f"{s}_{toe}": (f"{s}_foot_index",) for s in ("left", "right") for toe in ("foot", "big_toe", "small_toe")},
}
UNTRUSTED = 0.5
"""A part that its network did not see is the body network's guess: half as sure as its carrier."""


def keypoint_confidence(body: BodyLook, hands: dict[str, HandLook], face: FaceLook) -> Float[Tensor, "P 144"]:
    """Probability-like confidences in [0, 1]: visibility of body points, presence of hands and face.

    A backbone without keypoints gives ones for the body.
    """
    seen = body.estimate.features.keypoints
    confidence = torch.ones(len(body.estimate), len(KEYPOINT_NAMES))
    if seen is not None and seen.shape[1] == len(POSE_POINTS):
        for i, name in enumerate(KEYPOINT_NAMES):
            sources = BETWEEN.get(name, (name,))
            if set(sources) <= set(POSE_POINTS):
                confidence[:, i] = seen[:, [POSE_POINTS.index(s) for s in sources], 2].amin(1)
    nose = confidence[:, KEYPOINT_NAMES.index("nose")]
    confidence[:, list(indices_of(FACE68))] = _of_part(face, nose)[:, None]
    for side, hand in hands.items():
        wrist = confidence[:, KEYPOINT_NAMES.index(f"{side}_wrist")]
        confidence[:, list(indices_of(hand21(side)[1:]))] = _of_part(hand, wrist)[:, None]
    return confidence


def _of_part(look: HandLook | FaceLook, carrier: Tensor) -> Float[Tensor, "P"]:
    return torch.where(look.trusted, look.presence, UNTRUSTED * carrier)
