"""Errors of one person, as a whole and part by part: millimetres, each part aligned in four ways."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limner.body.keypoints import FACE68, KEYPOINT_NAMES, hand21, indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import JOINT
from limner.evaluate.metrics import mpjpe, pa_mpjpe
from limner.evaluate.synthetic import Posed, pose, zones
from limner.geometry.align import procrustes
from limner.geometry.box import bounds_of
from limner.geometry.camera import Camera

SIDES = ("left", "right")
BODY_JOINTS = 22
"""Pelvis to wrists: SMPL-X's joints without jaw, eyes and fingers."""
PA_MPJPE, MPJPE = "PA-MPJPE body", "MPJPE body"
BODY_POINTS = list(range(KEYPOINT_NAMES.index("jaw")))
FACE_POINTS = list(indices_of(FACE68[17:]))
WHOLE, LOCAL, ALIGNED, GLOBAL = "PA-V2V", "from its joint", "in the aligned body", "from the pelvis"
"""Ways to align a part: on itself; at wrist or head joint; by Procrustes of the whole person; at the pelvis."""


@dataclass(frozen=True)
class Target:
    """A person as they are, and how they look in their photo."""

    posed: Posed
    keypoints_px: Float[Tensor, "1 144 2"]


def target_of(model: BodyModel, params: BodyParams, camera: Camera) -> Target:
    """The target of one person."""
    posed = pose(model, params)
    return Target(posed, camera.project(posed.keypoints))


@torch.no_grad()
def errors_of(model: BodyModel, params: BodyParams, camera: Camera, target: Target) -> dict[str, float]:
    """All errors of one person's variant. Points in the photo are in per cent of the target's box, hand or face."""
    prediction, true = pose(model, params), target.posed
    where = zones(model)
    mine, theirs = prediction.mesh.vertices, true.mesh.vertices
    aligned = procrustes(mine, theirs)
    pelvis_mine, pelvis_true = prediction.mesh.joints[:, :1], true.mesh.joints[:, :1]
    joints, true_joints = (posed.mesh.joints[:, :BODY_JOINTS] for posed in (prediction, true))
    result = {
        PA_MPJPE: 1000 * float(pa_mpjpe(joints, true_joints)),
        MPJPE: 1000 * float(mpjpe(joints, true_joints)),
        "V2V": _mm(mine - pelvis_mine, theirs - pelvis_true),
        "PA-V2V all": _mm(aligned, theirs),
        "PA-V2V body": 1000 * float(pa_mpjpe(mine[:, where.body], theirs[:, where.body])),
    }

    def part(zone: Bool[Tensor, "V"], joint: str) -> dict[str, float]:
        at = JOINT[joint]
        root_mine, root_true = prediction.mesh.joints[:, at, None], true.mesh.joints[:, at, None]
        return {
            WHOLE: 1000 * float(pa_mpjpe(mine[:, zone], theirs[:, zone])),
            LOCAL: _mm(mine[:, zone] - root_mine, theirs[:, zone] - root_true),
            ALIGNED: _mm(aligned[:, zone], theirs[:, zone]),
            GLOBAL: _mm(mine[:, zone] - pelvis_mine, theirs[:, zone] - pelvis_true),
        }

    hands = [part(getattr(where, f"{side}_hand"), f"{side}_wrist") for side in SIDES]
    for way in (WHOLE, LOCAL, ALIGNED, GLOBAL):
        result[f"hands {way}"] = sum(hand[way] for hand in hands) / len(hands)
    result |= {f"face {way}": value for way, value in part(where.face, "head").items()}
    return result | _in_photo(camera.project(prediction.keypoints), target.keypoints_px)


def _mm(mine: Float[Tensor, "1 N 3"], theirs: Float[Tensor, "1 N 3"]) -> float:
    return 1000 * float((mine - theirs).norm(dim=-1).mean())


def _in_photo(mine: Float[Tensor, "1 144 2"], theirs: Float[Tensor, "1 144 2"]) -> dict[str, float]:
    """Mean distance in the photo as a share of the longer side of the tight box about the true points."""

    def share(index: list[int], box: list[int]) -> float:
        bounds = bounds_of(theirs[:, box])
        side = float((bounds[:, 2:] - bounds[:, :2]).amax())
        return 100 * float((mine[:, index] - theirs[:, index]).norm(dim=-1).mean()) / side

    everything = list(range(len(KEYPOINT_NAMES)))
    hands = [list(indices_of(hand21(side))) for side in SIDES]
    return {
        "2D body, % of box": share(BODY_POINTS, everything),
        "2D hands, % of hand": sum(share(index, index) for index in hands) / 2,
        "2D face, % of face": share(FACE_POINTS, FACE_POINTS),
    }
