"""What describes one person: SMPL-X parameters as rotation matrices."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.skeleton import BODY_JOINTS, NUM_BODY, NUM_HAND, mirrored_name
from limner.geometry.rotation import mirror_rotation
from limner.records import Rows

POSE_FIELDS = (
    "global_orient", "body_pose", "jaw_pose", "leye_pose", "reye_pose", "left_hand_pose", "right_hand_pose",
)  # fmt: skip
"""In the order of the 55 joints."""


@dataclass(frozen=True)
class BodyParams(Rows):
    """SMPL-X parameters of B people; rotations are matrices relative to the parent joint.

    `global_orient` turns the y-up body into camera axes (x right, y down, z forward); `transl` is metres in the camera.
    """

    global_orient: Float[Tensor, "B 3 3"]
    body_pose: Float[Tensor, "B 21 3 3"]
    jaw_pose: Float[Tensor, "B 3 3"]
    leye_pose: Float[Tensor, "B 3 3"]
    reye_pose: Float[Tensor, "B 3 3"]
    left_hand_pose: Float[Tensor, "B 15 3 3"]
    right_hand_pose: Float[Tensor, "B 15 3 3"]
    betas: Float[Tensor, "B S"]
    expression: Float[Tensor, "B E"]
    transl: Float[Tensor, "B 3"]

    def __repr__(self) -> str:
        sizes = f"{self.betas.shape[-1]} betas, {self.expression.shape[-1]} expression coefficients"
        return f"BodyParams({len(self)} {'person' if len(self) == 1 else 'people'}, {sizes})"

    def full_pose(self) -> Float[Tensor, "B 55 3 3"]:
        """All joint rotations in SMPL-X order."""
        parts = [getattr(self, name) for name in POSE_FIELDS]
        return torch.cat([p[:, None] if p.ndim == 3 else p for p in parts], dim=1)

    def with_full_pose(self, pose: Float[Tensor, "B 55 3 3"]) -> "BodyParams":
        """A copy with all joint rotations replaced, given in SMPL-X order."""
        changes, first = {}, 0
        for name in POSE_FIELDS:
            old = getattr(self, name)
            count = old.shape[1] if old.ndim == 4 else 1
            part = pose[:, first : first + count]
            changes[name] = part if old.ndim == 4 else part[:, 0]
            first += count
        return self.replace(**changes)

    def mirrored(self, mirror_expression: Float[Tensor, "E E"] | None = None) -> "BodyParams":
        """The same person seen in a mirror (x -> -x): left and right parts swapped, rotations mirrored.

        `mirror_expression` maps expression coefficients (identity when the expression space is symmetric).
        """
        order = [BODY_JOINTS.index(mirrored_name(name)) - 1 for name in BODY_JOINTS[1:]]
        expression = self.expression if mirror_expression is None else self.expression @ mirror_expression.mT
        return BodyParams(
            global_orient=mirror_rotation(self.global_orient),
            body_pose=mirror_rotation(self.body_pose[:, order]),
            jaw_pose=mirror_rotation(self.jaw_pose),
            leye_pose=mirror_rotation(self.reye_pose),
            reye_pose=mirror_rotation(self.leye_pose),
            left_hand_pose=mirror_rotation(self.right_hand_pose),
            right_hand_pose=mirror_rotation(self.left_hand_pose),
            betas=self.betas,
            expression=expression,
            transl=self.transl * self.transl.new_tensor([-1.0, 1.0, 1.0]),
        )

    def replace(self, **changes: Tensor) -> "BodyParams":
        """A copy with some fields changed."""
        return replace(self, **changes)

    def joint_pose(self, name: str) -> Float[Tensor, "B 3 3"]:
        """Local rotation of one joint of `body_pose`, by name."""
        return self.body_pose[:, BODY_JOINTS.index(name) - 1]

    def with_joint_pose(self, name: str, rotation: Float[Tensor, "B 3 3"]) -> "BodyParams":
        """A copy in which one joint of `body_pose`, by name, has another local rotation; differentiable."""
        index = BODY_JOINTS.index(name) - 1
        before, after = self.body_pose[:, :index], self.body_pose[:, index + 1 :]
        return self.replace(body_pose=torch.cat([before, rotation[:, None], after], 1))


def rest_params(
    count: int,
    num_betas: int,
    num_expression: int,
    dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
) -> BodyParams:
    """T-pose, mean shape, neutral face, standing upright in front of the camera at its origin."""
    like = torch.zeros(0, dtype=dtype, device=device)
    eye = torch.diag(like.new_tensor([1.0, 1.0, 1.0]))
    one = eye.expand(count, 3, 3)
    return BodyParams(
        global_orient=torch.diag(like.new_tensor([1.0, -1.0, -1.0])).expand(count, 3, 3),
        body_pose=eye.expand(count, NUM_BODY, 3, 3),
        jaw_pose=one,
        leye_pose=one,
        reye_pose=one,
        left_hand_pose=eye.expand(count, NUM_HAND, 3, 3),
        right_hand_pose=eye.expand(count, NUM_HAND, 3, 3),
        betas=like.new_zeros(count, num_betas),
        expression=like.new_zeros(count, num_expression),
        transl=like.new_zeros(count, 3),
    )
