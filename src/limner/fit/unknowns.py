"""Unknowns of a stage of the fit: which numbers of a body it moves, and what a step does to the body."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
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
    def betas(self) -> range:
        """Columns of the betas."""
        first = 3 * len(self.joints)
        return range(first, first + self.num_betas)

    @property
    def expression(self) -> range:
        """Columns of the expression."""
        return range(self.betas.stop, self.betas.stop + self.num_expression)

    @property
    def translation(self) -> range:
        """Columns of the translation."""
        return range(self.count - 3, self.count)

    def turns(self, joints: Sequence[int]) -> list[int]:
        """Columns of some joints, three each; -1 for joints that do not move."""
        first = {joint: 3 * k for k, joint in enumerate(self.joints)}
        return [first[joint] + axis if joint in first else -1 for joint in joints for axis in range(3)]

    def moved(self, params: BodyParams, step: Float[Tensor, "B C"]) -> BodyParams:
        """Bodies after a step; turns are cut to MAX_TURN an axis."""
        turn, betas, expression, transl = step.split((3 * len(self.joints), self.num_betas, self.num_expression, 3), 1)
        turn = turn.unflatten(1, (-1, 3)).clamp(-MAX_TURN, MAX_TURN)
        pose, index = params.full_pose(), torch.tensor(self.joints, device=step.device)
        moved = params.with_full_pose(pose.index_copy(1, index, pose[:, index] @ rotation_from_axis_angle(turn)))
        changes = {"transl": params.transl + transl}
        if self.num_betas:
            changes["betas"] = params.betas + betas
        if self.num_expression:
            changes["expression"] = params.expression + expression
        return moved.replace(**changes)
