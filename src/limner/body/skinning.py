"""How do joint rotations move joints and vertices? Forward kinematics and linear blend skinning."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.body.skeleton import PARENTS, levels


def pose_joints(
    rotations: Float[Tensor, "B 55 3 3"], rest_joints: Float[Tensor, "B 55 3"]
) -> tuple[Float[Tensor, "B 55 3 3"], Float[Tensor, "B 55 3"]]:
    """Forward kinematics: absolute rotations and posed positions of all joints.

    Local rotations are relative to the parent; the root stays at its rest position. Goes down the tree level by level,
    so that one step poses all joints of a level at once.
    """
    absolute: list[Tensor] = [rotations[:, 0]] + [rotations[:, 0]] * (len(PARENTS) - 1)
    position: list[Tensor] = [rest_joints[:, 0]] + [rest_joints[:, 0]] * (len(PARENTS) - 1)
    for level in levels()[1:]:
        parents = [PARENTS[j] for j in level]
        parent_rotation = torch.stack([absolute[p] for p in parents], 1)
        parent_position = torch.stack([position[p] for p in parents], 1)
        offset = rest_joints[:, level] - rest_joints[:, parents]
        turned = parent_rotation @ rotations[:, level]
        moved = parent_position + (parent_rotation @ offset[..., None])[..., 0]
        for k, joint in enumerate(level):
            absolute[joint], position[joint] = turned[:, k], moved[:, k]
    return torch.stack(absolute, 1), torch.stack(position, 1)


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
