"""Predicting: from what was observed to parameters of bodies, hands and faces in their frames' cameras."""

from dataclasses import dataclass
from typing import Generic

from jaxtyping import Bool, Float
from torch import Tensor

from limner.body.params import BodyParams
from limner.geometry.camera import Camera, camera_from_crop
from limner.geometry.rotation import mirror_rotation
from limner.networks.part_net import BodyEstimate, Estimate, FaceEstimate, HandEstimate, Observations, PartNet
from limner.pipeline.observe import MIN_PRESENCE
from limner.pipeline.parts import SIDES, face_start, hand_start, inside_share, select
from limner.records import Rows

MIN_INSIDE = 0.5


@dataclass(frozen=True)
class Coarse(Rows):
    """What is known of people before hands and faces are observed.

    seen      what the body network's backbone saw
    estimate  its prediction in crop axes
    body      the same in the frame's camera, unseen limbs in the default pose
    refined   moved onto the 2D points that were seen
    """

    seen: Observations
    estimate: BodyEstimate
    camera: Camera
    body: BodyParams
    refined: BodyParams


@dataclass(frozen=True)
class PartPrediction(Rows, Generic[Estimate]):
    """Hands of one side, or faces, as their network predicts them; left hands mirrored, as right ones.

    estimate  in crop axes
    rotation  "P 3 3" absolute, of the wrist or head, in the axes of the frame's camera (mirrored for left hands)
    trusted   "P" seen surely enough to overrule the body network
    """

    seen: Observations
    estimate: Estimate
    rotation: Float[Tensor, "P 3 3"]
    trusted: Bool[Tensor, "P"]


@dataclass(frozen=True)
class Parts(Rows):
    """Hands and face of each person."""

    right_hand: PartPrediction[HandEstimate]
    left_hand: PartPrediction[HandEstimate]
    face: PartPrediction[FaceEstimate]

    @property
    def hands(self) -> dict[str, PartPrediction[HandEstimate]]:
        """By side, right ones first."""
        return {side: getattr(self, f"{side}_hand") for side in SIDES}


def predict_hands(
    net: PartNet[HandEstimate], seen: Observations, coarse: BodyParams, camera: Camera
) -> PartPrediction[HandEstimate]:
    """Hands, each started from the body in its row of `coarse`; mirrored crops show left ones."""
    photo_from_crop = camera_from_crop(seen.squares, camera)
    starts = {s: hand_start(net.layout, net.regressor.mean, coarse, s, photo_from_crop.mT) for s in SIDES}
    estimate = net.predict(seen.features, select(seen.mirrored, starts["left"], starts["right"]))
    to_photo = select(seen.mirrored, mirror_rotation(photo_from_crop), photo_from_crop)
    return PartPrediction(seen, estimate, to_photo @ estimate.wrist, _trusted(seen))


def predict_faces(
    net: PartNet[FaceEstimate], seen: Observations, coarse: BodyParams, camera: Camera
) -> PartPrediction[FaceEstimate]:
    """Faces, started from their bodies. A face turned away has no presence and keeps the body's estimate."""
    photo_from_crop = camera_from_crop(seen.squares, camera)
    start = face_start(net.layout, net.regressor.mean, coarse, photo_from_crop.mT)
    estimate = net.predict(seen.features, start)
    return PartPrediction(seen, estimate, photo_from_crop @ estimate.head, _trusted(seen))


def _trusted(seen: Observations) -> Bool[Tensor, "P"]:
    return (seen.presence > MIN_PRESENCE) & (inside_share(seen.squares, seen.size_px) > MIN_INSIDE)
