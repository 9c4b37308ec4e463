"""Merging: what the part networks predict overrules the body where it is trusted."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from limner.body.model import PERSON_BETAS
from limner.body.params import BodyParams
from limner.body.skeleton import chain_to_root
from limner.body.skinning import absolute_rotation
from limner.geometry.rotation import mirror_rotation
from limner.pipeline.parts import forearm_rotation, select
from limner.pipeline.predict import Parts


def merge(params: BodyParams, parts: Parts) -> BodyParams:
    """Hands and face in the place of the body's own, where they are trusted."""
    face, said = parts.face, parts.face.estimate
    merged = merge_face(params, face.rotation, said.jaw_pose, said.expression, said.betas, face.trusted)
    for side, hand in parts.hands.items():
        merged = merge_hand(merged, side, hand.rotation, hand.estimate.hand_pose, hand.trusted)
    return merged


def merge_hand(
    params: BodyParams,
    side: str,
    wrist: Float[Tensor, "B 3 3"],
    hand_pose: Float[Tensor, "B 15 3 3"],
    trusted: Bool[Tensor, "B"],
) -> BodyParams:
    """Take over a right-hand estimate (mirrored back for the left) where trusted.

    `wrist` is absolute, in the axes of `params` (mirrored for the left hand); it becomes relative to the body's forearm
    (ExPose, section 3.3), so that the arm stays the body's.
    """
    if side == "left":
        wrist, hand_pose = mirror_rotation(wrist), mirror_rotation(hand_pose)
    joint, field = f"{side}_wrist", f"{side}_hand_pose"
    relative = forearm_rotation(params, side).mT @ wrist
    posed = params.with_joint_pose(joint, select(trusted, relative, params.joint_pose(joint)))
    return posed.replace(**{field: select(trusted, hand_pose, getattr(params, field))})


def merge_face(
    params: BodyParams,
    head: Float[Tensor, "B 3 3"],
    jaw_pose: Float[Tensor, "B 3 3"],
    expression: Float[Tensor, "B E"],
    betas: Float[Tensor, "B S"],
    trusted: Bool[Tensor, "B"],
) -> BodyParams:
    """Take over head rotation (absolute, in the axes of `params`), jaw and expression where trusted.

    Of the shape numbers those of the whole person stay; those that shape the head alone come from the face.
    ExPose throws the face network's head rotation away (facts, section 16); it sees the head four times larger than the
    body network does, so limner keeps it, relative to the body's neck.
    """
    neck = absolute_rotation(params.full_pose(), chain_to_root("neck"))
    relative = select(trusted, neck.mT @ head, params.joint_pose("head"))
    person = pad(params.betas[:, :PERSON_BETAS], (0, max(0, PERSON_BETAS - params.betas.shape[-1])))
    head_shape = betas[:, PERSON_BETAS:] * trusted[:, None]
    return params.with_joint_pose("head", relative).replace(
        jaw_pose=select(trusted, jaw_pose, params.jaw_pose),
        expression=select(trusted, expression[:, : params.expression.shape[-1]], params.expression),
        betas=torch.cat([person, head_shape], 1),
    )
