"""SMPL-X parameters in rotation vectors, as most other programs and files want them."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.params import POSE_FIELDS, BodyParams
from limner.body.skeleton import NUM_BODY, NUM_HAND
from limner.geometry.rotation import rotation_from_axis_angle, rotation_to_axis_angle

COUNTS = dict.fromkeys(POSE_FIELDS, 1) | {
    "body_pose": NUM_BODY,
    "left_hand_pose": NUM_HAND,
    "right_hand_pose": NUM_HAND,
}
"""Joints of each part of the pose."""


def axis_angle_from_params(params: BodyParams) -> dict[str, Float[Tensor, "B N"]]:
    """Parameters by SMPL-X's names: poses as axis times angle (radians, angle in [0, pi]), three numbers a joint.

    global_orient, jaw_pose, leye_pose, reye_pose "B 3", body_pose "B 63", left_hand_pose and right_hand_pose "B 45"
    (whole rotations: `use_pca=False, flat_hand_mean=True` in other programs), betas, expression, transl.
    """
    poses = {name: rotation_to_axis_angle(getattr(params, name)).reshape(len(params), -1) for name in POSE_FIELDS}
    return poses | {name: getattr(params, name) for name in ("betas", "expression", "transl")}


def params_from_axis_angle(vectors: Mapping[str, Float[Tensor, "B N"]]) -> BodyParams:
    """Inverse of `axis_angle_from_params`; parts of the pose that are not given do not turn, `transl` is then zero.

    Raises KeyError without betas and expression, whose sizes nobody else knows.
    """
    betas = vectors["betas"]
    poses = {}
    for name, joints in COUNTS.items():
        given = vectors.get(name, betas.new_zeros(len(betas), 3 * joints))
        rotations = rotation_from_axis_angle(given.reshape(-1, joints, 3))
        poses[name] = rotations[:, 0] if joints == 1 else rotations
    transl = vectors.get("transl", betas.new_zeros(len(betas), 3))
    return BodyParams(betas=betas, expression=vectors["expression"], transl=transl, **poses)


def params_from_pose_vectors(
    pose: Float[Tensor, "B 55 3"],
    betas: Float[Tensor, "B S"],
    expression: Float[Tensor, "B E"],
    transl: Float[Tensor, "B 3"],
) -> BodyParams:
    """Parameters of axis-angle rotations (radians) in the order of the 55 joints."""
    turns = rotation_from_axis_angle(pose).split([COUNTS[name] for name in POSE_FIELDS], 1)
    poses = {name: turn[:, 0] if COUNTS[name] == 1 else turn for name, turn in zip(POSE_FIELDS, turns, strict=True)}
    return BodyParams(betas=betas, expression=expression, transl=transl, **poses)


def add_mean_hands(pose: Float[Tensor, "N 55 3"], hand_means: Float[Tensor, "2 45"]) -> Float[Tensor, "N 55 3"]:
    """Poses whose fingers are offsets from SMPL-X's mean hands (`flat_hand_mean=False`) as whole rotations.

    `hand_means`: left and right, axis-angle, from the body-model file. The offset is added to the vector, as in the
    model's definition; most systems that do not speak of it store such offsets.
    """
    return torch.cat([pose[:, :25], pose[:, 25:] + hand_means.reshape(30, 3)], 1)
