"""Which numbers of a body does a stage of the fit move, and how does a step change a body?"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.body.params import BodyParams
from limner.body.skeleton import BODY_JOINTS, HAND_JOINTS, JOINT
from limner.geometry.rotation import rotation_from_axis_angle

BODY_TURNS = tuple(JOINT[name] for name in BODY_JOINTS)
HAND_TURNS = {side: tuple(JOINT[name] for name in HAND_JOINTS[side]) for side in ("left", "right")}
WHOLE_TURNS = (*BODY_TURNS, JOINT["jaw"], *HAND_TURNS["left"], *HAND_TURNS["right"])
"""All joints but the eyes, which no keypoint shows."""
MAX_TURN = 0.7
"""Longest step of a joint, radians: beyond it the linearisation means nothing."""


@dataclass(frozen=True)
class Unknowns:
    """The columns of a stage, in this order.

    joints       three columns each: a rotation vector about the joint's own axes, on top of its rotation so far
    num_betas, num_expression: one column each coefficient (0: pinned)
    translation  three columns, metres; always there
    """

    joints: tuple[int, ...]
    num_betas: int
    num_expression: int

    @property
    def count(self) -> int:
        """How many columns there are."""
        return 3 * len(self.joints) + self.num_betas + self.num_expression + 3

    @property
    def betas(self) -> slice:
        """Columns of the betas."""
        first = 3 * len(self.joints)
        return slice(first, first + self.num_betas)

    @property
    def expression(self) -> slice:
        """Columns of the expression."""
        return slice(self.betas.stop, self.betas.stop + self.num_expression)

    @property
    def translation(self) -> slice:
        """Columns of the translation."""
        return slice(self.count - 3, self.count)

    def turns(self, joints: tuple[int, ...]) -> Int[Tensor, "C"]:
        """Columns of some joints, three each; -1 for joints that do not move."""
        where = {joint: 3 * k for k, joint in enumerate(self.joints)}
        first = torch.tensor([where.get(joint, -3) for joint in joints])
        columns = first[:, None] + torch.arange(3)
        return torch.where(first[:, None] < 0, -1, columns).flatten()

    def moved(self, params: BodyParams, step: Float[Tensor, "B C"]) -> BodyParams:
        """Bodies after a step; turns are cut to MAX_TURN an axis."""
        turn = step[:, : 3 * len(self.joints)].unflatten(1, (-1, 3)).clamp(-MAX_TURN, MAX_TURN)
        pose = params.full_pose()
        index = torch.tensor(self.joints, device=pose.device)
        pose = pose.index_copy(1, index, pose[:, index] @ rotation_from_axis_angle(turn))
        moved = params.with_full_pose(pose)
        changes = {"transl": params.transl + step[:, self.translation]}
        if self.num_betas:
            changes["betas"] = params.betas + step[:, self.betas]
        if self.num_expression:
            changes["expression"] = params.expression + step[:, self.expression]
        return moved.replace(**changes)
