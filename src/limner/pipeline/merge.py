"""How do the part networks' answers become one person? Parts overrule the body where they are trusted."""

from jaxtyping import Bool, Float
from torch import Tensor

from limner.body.params import BodyParams
from limner.body.skeleton import BODY_JOINTS, chain_to_root
from limner.body.skinning import absolute_rotation
from limner.geometry.rotation import mirror_rotation
from limner.pipeline.parts import forearm_rotation, select

WRIST_IN_BODY_POSE = {side: BODY_JOINTS.index(f"{side}_wrist") - 1 for side in ("left", "right")}
HEAD_IN_BODY_POSE = BODY_JOINTS.index("head") - 1


def _with_joint(body_pose: Tensor, index: int, rotation: Tensor) -> Tensor:
    changed = body_pose.clone()
    changed[:, index] = rotation
    return changed


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
    index = WRIST_IN_BODY_POSE[side]
    relative = forearm_rotation(params, side).mT @ wrist
    kept = select(trusted, relative, params.body_pose[:, index])
    field = f"{side}_hand_pose"
    return params.replace(
        body_pose=_with_joint(params.body_pose, index, kept),
        **{field: select(trusted, hand_pose, getattr(params, field))},
    )


def merge_face(
    params: BodyParams,
    head: Float[Tensor, "B 3 3"],
    jaw_pose: Float[Tensor, "B 3 3"],
    expression: Float[Tensor, "B E"],
    trusted: Bool[Tensor, "B"],
) -> BodyParams:
    """Take over head rotation (absolute, in the axes of `params`), jaw and expression where trusted.

    ExPose throws the face network's head rotation away (facts, section 16); it sees the head four times larger than the
    body network does, so limner keeps it, relative to the body's neck.
    """
    neck = absolute_rotation(params.full_pose(), chain_to_root("neck"))
    relative = select(trusted, neck.mT @ head, params.body_pose[:, HEAD_IN_BODY_POSE])
    size = params.expression.shape[-1]
    return params.replace(
        body_pose=_with_joint(params.body_pose, HEAD_IN_BODY_POSE, relative),
        jaw_pose=select(trusted, jaw_pose, params.jaw_pose),
        expression=select(trusted, expression[:, :size], params.expression),
    )
