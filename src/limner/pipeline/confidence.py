"""The confidence of each of the 144 keypoints."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.keypoints import FACE68, KEYPOINT_NAMES, hand21, indices_of
from limner.networks.blaze.pose import POSE_POINTS
from limner.networks.part_net import Observations
from limner.pipeline.predict import PartPrediction, Parts

# Body keypoints that BlazePose does not name, and the points between which they lie
BETWEEN = {
    **dict.fromkeys(("pelvis", "spine1", "spine2"), ("left_hip", "right_hip")),
    **dict.fromkeys(("spine3", "neck", "left_collar", "right_collar"), ("left_shoulder", "right_shoulder")),
    **dict.fromkeys(("head", "jaw", "left_eye_smplx", "right_eye_smplx"), ("nose",)),
    **{f"{s}_{toe}": (f"{s}_foot_index",) for s in ("left", "right") for toe in ("foot", "big_toe", "small_toe")},
}
UNTRUSTED = 0.5
"""A part that its network did not see is the body network's guess: half as sure as its carrier."""


def keypoint_confidence(body: Observations, parts: Parts) -> Float[Tensor, "P 144"]:
    """Probability-like confidences in [0, 1]: visibility of body points, presence of hands and face.

    A backbone without keypoints gives ones for the body.
    """
    keypoints = body.features.keypoints
    confidence = torch.ones(len(body), len(KEYPOINT_NAMES), device=body.size_px.device)
    if keypoints is not None and keypoints.shape[1] == len(POSE_POINTS):
        for i, name in enumerate(KEYPOINT_NAMES):
            sources = BETWEEN.get(name, (name,))
            if set(sources) <= set(POSE_POINTS):
                confidence[:, i] = keypoints[:, [POSE_POINTS.index(s) for s in sources], 2].amin(1)
    riders: list[tuple[PartPrediction[Any], str, tuple[str, ...]]] = [(parts.face, "nose", FACE68)]
    riders += [(hand, f"{side}_wrist", hand21(side)[1:]) for side, hand in parts.hands.items()]
    for part, carrier, names in riders:
        guessed = UNTRUSTED * confidence[:, KEYPOINT_NAMES.index(carrier)]
        confidence[:, list(indices_of(names))] = torch.where(part.trusted, part.seen.presence, guessed)[:, None]
    return confidence
