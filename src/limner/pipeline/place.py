"""Placing: coarse bodies in the camera of their frame, and the 2D points that hold them there."""

from typing import Any

import torch

from limner.body.keypoints import FACE68, hand21, indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import JOINT
from limner.body.skinning import pose_joints
from limner.geometry.box import inside
from limner.geometry.camera import Camera, camera_from_crop, translation_from_weak
from limner.networks.part_net import BodyEstimate, Observations, PartNet
from limner.pipeline.predict import PartPrediction, Parts
from limner.pipeline.refine import Targets

PART_SIGMA = 0.02
"""Usual error of a part network's points as a share of its crop's side."""
BODY_SIGMA_SHARE = 0.5
"""Of the usual error measured on synthetic people, whose joints are often covered: what clear points deserve."""
HAND_WEIGHT, FACE_WEIGHT = 0.35, 0.12
"""A hand's 21 and a face's 51 points are not independent: together they count like a few body points."""
MIN_VISIBILITY = 0.1
"""Body points that the backbone itself doubts more than this are guesses and hold nothing."""
INNER = 17
"""Of the 68 the first that is fixed to the head: the jaw's contour slides over the surface with the view."""


def place(seen: Observations, estimate: BodyEstimate, camera: Camera) -> BodyParams:
    """The coarse estimate in the frame's camera: `global_orient` in its axes, `transl` where the weak camera saw it."""
    return estimate.params.replace(
        global_orient=camera_from_crop(seen.squares, camera) @ estimate.params.global_orient,
        transl=translation_from_weak(estimate.camera, seen.squares, camera),
    )


def body_targets(net: PartNet[BodyEstimate], seen: Observations) -> Targets | None:
    """The backbone's body points inside the frame as targets for refinement; None when it gives no points."""
    attachment, keypoints, points_px = net.attachment, seen.features.keypoints, seen.points_px
    if attachment is None or keypoints is None or points_px is None or not bool(attachment.used.any()):
        return None
    people, count = len(seen), len(attachment.joint)
    point_px = points_px[:, :count]
    sure = (keypoints[:, :count, 2] - MIN_VISIBILITY).clamp_min(0) / (1 - MIN_VISIBILITY)
    return Targets(
        joint=attachment.joint,
        offset=attachment.offset.expand(people, count, 3),
        point_px=point_px,
        weight=sure * inside(point_px, seen.size_px) * attachment.used,
        sigma_px=BODY_SIGMA_SHARE * attachment.sigma * seen.squares.size_px[:, None],
    )


def part_targets(model: BodyModel, params: BodyParams, parts: Parts) -> list[Targets]:
    """Trusted hands' and faces' points as targets: fingers ride rigidly on the wrist, the face on the head."""
    mesh = model(params)
    keypoints = model.keypoints144(mesh, params)
    absolute, _ = pose_joints(params.full_pose(), model.rest_joints(params))
    riders: list[tuple[str, tuple[str, ...], PartPrediction[Any], int, float]] = [
        (f"{side}_wrist", hand21(side), hand, 0, HAND_WEIGHT) for side, hand in parts.hands.items()
    ]
    targets = []
    for joint, names, part, first, weight in (*riders, ("head", FACE68[INNER:], parts.face, INNER, FACE_WEIGHT)):
        points_px, index = part.seen.points_px, JOINT[joint]
        if points_px is None:
            continue
        from_joint = keypoints[:, list(indices_of(names))] - mesh.joints[:, index, None]
        sure = (part.seen.presence * part.trusted)[:, None].expand(-1, len(names))
        targets.append(
            Targets(
                joint=torch.full((len(names),), index, device=points_px.device),
                offset=from_joint @ absolute[:, index],  # row vectors: R^T from the left
                point_px=points_px[:, first:],
                weight=sure * weight,
                sigma_px=(PART_SIGMA * part.seen.squares.size_px)[:, None].expand(-1, len(names)),
            )
        )
    return targets


def join_targets(parts: list[Targets]) -> Targets:
    """Several sets of targets as one."""
    return Targets(
        torch.cat([t.joint for t in parts]),
        *(torch.cat([getattr(t, f) for t in parts], 1) for f in ("offset", "point_px", "weight", "sigma_px")),
    )
