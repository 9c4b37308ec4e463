"""The default pose of what nobody can see: it hangs and stands, instead of following wild guesses."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import BODY_JOINTS, JOINT
from limner.geometry.box import inside
from limner.geometry.rotation import rotation_from_axis_angle
from limner.networks.blaze.pose import POSE_POINTS
from limner.networks.part_net import Observations
from limner.pipeline.parts import select

MIN_VISIBILITY = 0.15
DEFAULT_DEG = {
    "left_shoulder": (0.0, 0.0, -68.0),
    "right_shoulder": (0.0, 0.0, 68.0),
    "left_elbow": (0.0, -20.0, 0.0),
    "right_elbow": (0.0, 20.0, 0.0),
}
"""Rotation vectors from the T-pose, degrees: arms hang with a slight bend; all other joints are straight."""
HIPS_AT_EDGE = 0.92
LIMBS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("knee", "ankle"), ("hip", "knee", "ankle")),
    (("elbow", "wrist"), ("shoulder", "elbow", "wrist")),
    (("wrist",), ("elbow", "wrist")),
)
"""(points, joints): when none of the points is visible, the joints take the default pose. For each side."""

LIMB_NAMES = ("left_arm", "right_arm", "left_leg", "right_leg")


def default_pose(like: Tensor) -> Float[Tensor, "21 3 3"]:
    """Body pose of somebody who stands at ease, of the kind and on the device of `like`."""
    vectors = like.new_tensor([DEFAULT_DEG.get(name, (0.0, 0.0, 0.0)) for name in BODY_JOINTS[1:]])
    return rotation_from_axis_angle(torch.deg2rad(vectors))


def visible_points(seen: Observations) -> Bool[Tensor, "P 39"] | None:
    """Which of BlazePose's points are inside the frame and not hidden; None for backbones without these points."""
    keypoints, points_px = seen.features.keypoints, seen.points_px
    if keypoints is None or points_px is None or keypoints.shape[1] != len(POSE_POINTS):
        return None
    return inside(points_px, seen.size_px) & (keypoints[..., 2] > MIN_VISIBILITY)


def unseen_limbs(seen: Observations) -> Bool[Tensor, "P 4"] | None:
    """Which limbs (LIMB_NAMES) the frame does not show, so that all or their ends have the default pose; or None."""
    visible = visible_points(seen)
    if visible is None:
        return None
    ends = {"arm": ("wrist",), "leg": ("knee", "ankle")}
    limbs = [name.split("_") for name in LIMB_NAMES]
    return torch.stack([~_any(visible, side, ends[limb]) for side, limb in limbs], -1)


def with_default_pose(model: BodyModel, params: BodyParams, seen: Observations) -> BodyParams:
    """Limbs that the frame does not show in the default pose; somebody cut off above the hips stands upright.

    `params` are in the frame's camera axes. The head stays where it was.
    """
    visible = visible_points(seen)
    if visible is None:
        return params
    ease = params.replace(body_pose=default_pose(params.body_pose).expand_as(params.body_pose))
    eased = params
    for side in ("left", "right"):
        for points, joints in LIMBS:
            hidden = ~_any(visible, side, points)
            for name in (f"{side}_{joint}" for joint in joints):
                eased = eased.with_joint_pose(name, select(hidden, ease.joint_pose(name), eased.joint_pose(name)))
    cut = _cut_above_legs(visible, seen)
    upright = select(cut, _upright(eased.global_orient), eased.global_orient)
    return _keeping_head(model, params, eased.replace(global_orient=upright))


def _cut_above_legs(visible: Bool[Tensor, "P 39"], seen: Observations) -> Bool[Tensor, "P"]:
    """No leg is seen, and the hips lie at the frame's lower edge or below: nothing tells how the trunk leans."""
    legs = _any(visible, "left", ("knee", "ankle")) | _any(visible, "right", ("knee", "ankle"))
    assert seen.points_px is not None
    hips_y = seen.points_px[:, [POSE_POINTS.index("left_hip"), POSE_POINTS.index("right_hip")], 1].mean(1)
    return ~legs & (hips_y > HIPS_AT_EDGE * seen.size_px[:, 1])


def _any(visible: Tensor, side: str, points: tuple[str, ...]) -> Bool[Tensor, "P"]:
    return visible[:, [POSE_POINTS.index(f"{side}_{name}") for name in points]].any(1)


def _upright(global_orient: Float[Tensor, "P 3 3"]) -> Float[Tensor, "P 3 3"]:
    """The smallest turn that takes away the lean towards or from the camera; the lean to the side is visible."""
    up = global_orient[..., 1]
    level = torch.nn.functional.normalize(up * up.new_tensor([1.0, 1.0, 0.0]), dim=-1, eps=1e-6)
    axis = torch.linalg.cross(up, level)
    angle = torch.atan2(axis.norm(dim=-1), (up * level).sum(-1))
    turn = torch.nn.functional.normalize(axis, dim=-1, eps=1e-9) * angle[..., None]
    return rotation_from_axis_angle(turn) @ global_orient


def _keeping_head(model: BodyModel, before: BodyParams, after: BodyParams) -> BodyParams:
    head = JOINT["head"]
    shift = model.joints(before)[:, head] - model.joints(after)[:, head]
    return after.replace(transl=after.transl + shift)
