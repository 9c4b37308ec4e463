"""The regressor: image features to parameters. Iterative regression from a mean, and what its numbers mean."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from limner.body.params import BodyParams
from limner.body.skeleton import NUM_BODY, NUM_HAND
from limner.geometry.camera import WeakCamera
from limner.geometry.rotation import rotation_from_6d

IDENTITY_6D = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
FACING_6D = (1.0, 0.0, 0.0, -1.0, 0.0, 0.0)
"""Half a turn about x: the y-up body upright in camera axes (y down), facing the camera."""
BODY_CAMERA_SCALE = 0.9
HAND_CAMERA_SCALE = HEAD_CAMERA_SCALE = 8.0


@dataclass(frozen=True)
class Block:
    """A run of numbers in a parameter vector: rotations (6 numbers each), plain numbers, or the camera (3)."""

    name: str
    size: int
    kind: Literal["rotation", "number", "camera"]


def _rotations(name: str, count: int) -> Block:
    return Block(name, 6 * count, "rotation")


def _camera() -> Block:
    return Block("camera", 3, "camera")


@dataclass(frozen=True)
class ParamLayout:
    """What the numbers of a regressor's vector mean, by name (ExPose's order, facts section 4)."""

    blocks: tuple[Block, ...]

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each block sits in the vector."""
        where, start = {}, 0
        for block in self.blocks:
            where[block.name] = slice(start, start + block.size)
            start += block.size
        return where

    @property
    def size(self) -> int:
        """Length of the vector."""
        return sum(block.size for block in self.blocks)

    def part(self, vector: Float[Tensor, "B P"], name: str) -> Float[Tensor, "B n"]:
        """The raw numbers of one block. Raises KeyError for a name that the layout does not have."""
        return vector[:, self.slices[name]]

    def rotations(self, vector: Float[Tensor, "B P"], name: str) -> Float[Tensor, "B n 3 3"]:
        """The rotations of one block, relative to the parent joint or absolute as the block says."""
        return rotation_from_6d(self.part(vector, name).unflatten(-1, (-1, 6)))

    def camera(self, vector: Float[Tensor, "B P"]) -> WeakCamera:
        """Weak perspective of the crop: scale = softplus of the first number, so that it is positive."""
        numbers = self.part(vector, "camera")
        return WeakCamera(softplus(numbers[:, 0]), numbers[:, 1:])

    def mean(self, camera_scale: float, given: Mapping[str, Float[Tensor, "n"]] | None = None) -> Float[Tensor, "P"]:
        """Where the regression starts: upright and facing the camera, joints at rest, zeros; `given` overrules blocks.

        Raises ValueError for a block that the layout does not have or a value of another length.
        """
        values = {block.name: _default(block, camera_scale) for block in self.blocks}
        for name, value in (given or {}).items():
            if name not in values or values[name].shape != value.shape:
                sizes = ", ".join(f"{block.name} {block.size}" for block in self.blocks)
                raise ValueError(f"got a mean {name!r} of shape {tuple(value.shape)}, expected one of: {sizes}")
            values[name] = value
        return torch.cat([values[block.name] for block in self.blocks])


def _default(block: Block, camera_scale: float) -> Float[Tensor, "n"]:
    if block.kind == "camera":
        return torch.tensor([math.log(math.expm1(camera_scale)), 0.0, 0.0])
    if block.kind == "number":
        return torch.zeros(block.size)
    facing = block.name in ("global_orient", "neck_pose")
    return torch.tensor(FACING_6D if facing else IDENTITY_6D).repeat(block.size // 6)


def body_layout(num_betas: int = 10, num_expression: int = 10) -> ParamLayout:
    """The body network's vector: 341 numbers by default, all rotations relative but the root's."""
    return ParamLayout(
        (
            _rotations("global_orient", 1),
            _rotations("body_pose", NUM_BODY),
            _rotations("left_hand_pose", NUM_HAND),
            _rotations("right_hand_pose", NUM_HAND),
            _rotations("jaw_pose", 1),
            Block("betas", num_betas, "number"),
            Block("expression", num_expression, "number"),
            _camera(),
        )
    )


def hand_layout(num_betas: int = 10) -> ParamLayout:
    """The hand network's vector, always a right hand: 109 numbers by default; the wrist is absolute (camera axes)."""
    return ParamLayout(
        (
            _rotations("wrist_pose", 1),
            _rotations("hand_pose", NUM_HAND),
            Block("betas", num_betas, "number"),
            _camera(),
        )
    )


def head_layout(num_betas: int = 100, num_expression: int = 50) -> ParamLayout:
    """The head network's vector: 165 numbers by default; the neck is absolute (camera axes), the jaw relative."""
    return ParamLayout(
        (
            _rotations("neck_pose", 1),
            _rotations("jaw_pose", 1),
            Block("betas", num_betas, "number"),
            Block("expression", num_expression, "number"),
            _camera(),
        )
    )


def decode_body(layout: ParamLayout, vector: Float[Tensor, "B P"]) -> tuple[BodyParams, WeakCamera]:
    """A body vector as SMPL-X parameters (camera axes, no translation, eyes straight) and the crop's camera."""
    eyes = torch.eye(3, dtype=vector.dtype, device=vector.device).expand(len(vector), 3, 3)
    params = BodyParams(
        global_orient=layout.rotations(vector, "global_orient")[:, 0],
        body_pose=layout.rotations(vector, "body_pose"),
        jaw_pose=layout.rotations(vector, "jaw_pose")[:, 0],
        leye_pose=eyes,
        reye_pose=eyes,
        left_hand_pose=layout.rotations(vector, "left_hand_pose"),
        right_hand_pose=layout.rotations(vector, "right_hand_pose"),
        betas=layout.part(vector, "betas"),
        expression=layout.part(vector, "expression"),
        transl=vector.new_zeros(len(vector), 3),
    )
    return params, layout.camera(vector)


class IterativeRegressor(nn.Module):
    """Parameters = start, corrected several times by the same small network (Kanazawa et al., CVPR 2018).

    stage k: x_k = x_{k-1} + MLP([features, x_{k-1}]). The features' share of the first layer is the same in all stages
    and is computed once. With activation "none" the network is affine.
    """

    mean: Tensor

    def __init__(
        self,
        num_features: int,
        mean: Float[Tensor, "P"],
        hidden: tuple[int, ...] = (1024, 1024),
        activation: Literal["none", "relu"] = "relu",
        dropout: float = 0.5,
        stages: int = 3,
    ):
        super().__init__()
        self.num_features, self.stages, self.activation = num_features, stages, activation
        self.register_buffer("mean", mean.detach().clone())
        size = len(mean)
        self.from_features = nn.Linear(num_features, hidden[0])
        self.from_state = nn.Linear(size, hidden[0], bias=False)
        bound = (num_features + size) ** -0.5  # one layer that is stored in two: torch's default for the whole
        for parameter in (*self.from_features.parameters(), *self.from_state.parameters()):
            nn.init.uniform_(parameter, -bound, bound)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in zip(hidden, hidden[1:], strict=False))
        self.output = nn.Linear(hidden[-1], size)
        nn.init.xavier_uniform_(self.output.weight, gain=0.01)  # starts close to the mean
        nn.init.zeros_(self.output.bias)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, features: Float[Tensor, "B F"], start: Float[Tensor, "B P"] | None = None
    ) -> tuple[Float[Tensor, "B P"], ...]:
        """The vectors after every stage, the last one is the result. Without `start` the mean is refined."""
        state = self.mean.expand(len(features), -1) if start is None else start
        constant = self.from_features(features)
        states = []
        for _ in range(self.stages):
            x = self._between(constant + self.from_state(state))
            for layer in self.hidden:
                x = self._between(layer(x))
            state = state + self.output(x)
            states.append(state)
        return tuple(states)

    def _between(self, x: Tensor) -> Tensor:
        return self.dropout(torch.relu(x) if self.activation == "relu" else x)
