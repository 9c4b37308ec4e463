"""How do joint rotations move joints and vertices? Forward kinematics and linear blend skinning."""

from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.body.skeleton import PARENTS


@cache
def _ancestors(count: int) -> tuple[tuple[int, ...], ...]:
    """For the first `count` joints and a neutral one behind them: the joint 1, 2, 4, ... steps up the tree."""
    step = [count if parent < 0 else parent for parent in PARENTS[:count]] + [count]
    rounds = []
    while any(joint != count for joint in step):
        rounds.append(tuple(step))
        step = [step[joint] for joint in step]
    return tuple(rounds)


def pose_joints(
    rotations: Float[Tensor, "B J 3 3"], rest_joints: Float[Tensor, "B J 3"]
) -> tuple[Float[Tensor, "B J 3 3"], Float[Tensor, "B J 3"]]:
    """Forward kinematics of the first J joints: absolute rotations and posed positions.

    Local rotations are relative to the parent; the root stays at its rest position. The products along the tree are
    formed by pointer doubling (after round k each joint holds the product over 2^k ancestors), so that eleven levels
    cost four batched products instead of eleven small ones.
    """
    count = rotations.shape[1]
    rounds = _ancestors(count)
    parent = list(rounds[0][:count]) if rounds else [count]
    padded = torch.cat([rest_joints, torch.zeros_like(rest_joints[:, :1])], 1)
    offset = rest_joints - padded[:, parent]
    bottom = rotations.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(len(rotations), count, 1, 4)
    local = torch.cat([torch.cat([rotations, offset[..., None]], -1), bottom], -2)
    neutral = torch.eye(4, dtype=rotations.dtype, device=rotations.device).expand(len(rotations), 1, 4, 4)
    moved = torch.cat([local, neutral], 1)
    for above in rounds:
        moved = moved[:, list(above)] @ moved
    return moved[:, :count, :3, :3], moved[:, :count, :3, 3]


def absolute_rotation(rotations: Float[Tensor, "B 55 3 3"], chain: list[int]) -> Float[Tensor, "B 3 3"]:
    """Product of the local rotations along a chain of joint indices, root first."""
    result = rotations[:, chain[0]]
    for joint in chain[1:]:
        result = result @ rotations[:, joint]
    return result


def blend(
    vertices: Float[Tensor, "B N 3"],
    rest_joints: Float[Tensor, "B 55 3"],
    absolute: Float[Tensor, "B 55 3 3"],
    posed_joints: Float[Tensor, "B 55 3"],
    weights: Float[Tensor, "N K"],
    joint_of_weight: Int[Tensor, "N K"],
) -> Float[Tensor, "B N 3"]:
    """Linear blend skinning with K joints a vertex (SMPL, Loper et al. 2015, eq. 2-4)."""
    shift = posed_joints - (absolute @ rest_joints[..., None])[..., 0]
    transforms = torch.cat([absolute, shift[..., None]], -1).flatten(2)  # B 55 12
    blended = torch.zeros(len(vertices), len(weights), 12, dtype=vertices.dtype, device=vertices.device)
    for k in range(weights.shape[1]):
        blended = blended + weights[:, k, None] * transforms[:, joint_of_weight[:, k]]
    matrix = blended.unflatten(-1, (3, 4))
    return (matrix[..., :3] @ vertices[..., None])[..., 0] + matrix[..., 3]
