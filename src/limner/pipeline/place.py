"""From crop to photo: where does a coarse body stand in the photo's camera, and which 2D points hold it there?"""

import torch
from torch import Tensor

from limner.body.keypoints import FACE68, hand21, indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import JOINT
from limner.body.skinning import pose_joints
from limner.geometry.box import inside
from limner.geometry.camera import Camera, camera_from_crop, translation_from_weak
from limner.networks.body_net import BodyNet
from limner.pipeline.attention import BodyLook, FaceLook, HandLook
from limner.pipeline.refine import Targets

HAND_SIGMA = FACE_SIGMA = 0.02
"""Usual error of a part network's points as a share of its crop's side."""
BODY_SIGMA_SHARE = 0.5
"""Of the usual error measured on synthetic people, whose joints are often covered: what clear points deserve."""
HAND_WEIGHT, FACE_WEIGHT = 0.35, 0.12
"""A hand's 21 and a face's 51 points are not independent: together they count like a few body points."""
MIN_VISIBILITY = 0.1
"""Body points that the backbone itself doubts more than this are guesses and hold nothing."""
INNER_FACE = tuple(range(17, 68))
"""The jaw contour slides over the surface with the view, so it cannot be a fixed point."""


def place(look: BodyLook, camera: Camera) -> BodyParams:
    """The coarse estimate in the photo's camera: `global_orient` in its axes, `transl` where the weak camera saw it."""
    squares, estimate = look.crops.squares, look.estimate
    return estimate.params.replace(
        global_orient=camera_from_crop(squares, camera) @ estimate.params.global_orient,
        transl=translation_from_weak(estimate.camera, squares, camera),
    )


def body_targets(net: BodyNet, look: BodyLook, width: int, height: int) -> Targets | None:
    """The backbone's body points inside the photo as targets for refinement; None when it gives no points."""
    attachment, seen = net.attachment, look.estimate.features.keypoints
    count = len(attachment.joint)
    if seen is None or not bool(attachment.used.any()):
        return None
    people = len(look.crops)
    size = look.crops.squares.size_px[:, None]
    point_px = look.crops.photo_from_unit(seen[:, :count, :2])
    sure = (seen[:, :count, 2] - MIN_VISIBILITY).clamp_min(0) / (1 - MIN_VISIBILITY)
    return Targets(
        joint=attachment.joint,
        offset=attachment.offset.expand(people, count, 3),
        point_px=point_px,
        weight=sure * inside(point_px, width, height) * attachment.used,
        sigma_px=BODY_SIGMA_SHARE * attachment.sigma * size,
    )


def part_targets(model: BodyModel, params: BodyParams, hands: dict[str, HandLook], face: FaceLook) -> list[Targets]:
    """Trusted hands' and faces' points as targets: fingers ride rigidly on the wrist, the face on the head."""
    mesh = model(params)
    keypoints = model.keypoints144(mesh, params)
    absolute, _ = pose_joints(params.full_pose(), model.rest_joints(params))
    targets = []
    for side, hand in hands.items():
        if hand.points_px is not None:
            riders = keypoints[:, list(indices_of(hand21(side)))]
            targets.append(
                _riding(f"{side}_wrist", riders, mesh.joints, absolute, hand, hand.points_px, HAND_WEIGHT, HAND_SIGMA)
            )
    if face.points_px is not None:
        riders = keypoints[:, list(indices_of(FACE68[17:]))]
        points_px = face.points_px[:, list(INNER_FACE)]
        targets.append(_riding("head", riders, mesh.joints, absolute, face, points_px, FACE_WEIGHT, FACE_SIGMA))
    return targets


def _riding(
    joint: str,
    riders: Tensor,
    joints: Tensor,
    absolute: Tensor,
    look: HandLook | FaceLook,
    points_px: Tensor,
    weight: float,
    sigma: float,
) -> Targets:
    index = JOINT[joint]
    offset = (riders - joints[:, index, None]) @ absolute[:, index]  # row vectors: R^T from the left
    count = riders.shape[1]
    sure = (look.presence * look.trusted)[:, None].expand(-1, count)
    return Targets(
        joint=torch.full((count,), index),
        offset=offset,
        point_px=points_px,
        weight=sure * weight,
        sigma_px=(sigma * look.crops.squares.size_px)[:, None].expand(-1, count),
    )


def join_targets(parts: list[Targets]) -> Targets:
    """Several sets of targets as one."""
    return Targets(
        torch.cat([t.joint for t in parts]),
        *(torch.cat([getattr(t, f) for t in parts], 1) for f in ("offset", "point_px", "weight", "sigma_px")),
    )
