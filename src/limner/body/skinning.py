"""Skinning: how joint rotations move joints and vertices. Forward kinematics and linear blend skinning."""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from limner.body.skeleton import PARENTS


@dataclass(frozen=True)
class Tree:
    """The first J joints of the skeleton as tensors; a neutral joint J stands above the root.

    ancestors: for each joint the one 1, 2, 4, ... steps up the tree, "J+1" each; parent "J"; chain "J J": 1 where the
    column's joint lies between the root and the row's, both included.
    """

    ancestors: tuple[Int[Tensor, "j"], ...]
    parent: Int[Tensor, "J"]
    chain: Float[Tensor, "J J"]


@cache
def tree(count: int, dtype: torch.dtype, device: torch.device) -> Tree:
    """The tree of the first `count` joints."""
    step = [count if parent < 0 else parent for parent in PARENTS[:count]] + [count]
    parents, chain, rounds = step[:count], torch.eye(count, device=device), []
    for joint, parent in enumerate(PARENTS[:count]):
        if parent >= 0:
            chain[joint] += chain[parent]
    while any(joint != count for joint in step):
        rounds.append(step)
        step = [step[joint] for joint in step]
    with torch.inference_mode(False):  # kept for later calls, which may need gradients
        ancestors = tuple(torch.tensor(above, device=device) for above in rounds)
        return Tree(ancestors, torch.tensor(parents, device=device), chain.to(device, dtype, copy=True))


def bones_of(rest_joints: Float[Tensor, "*B J 3"]) -> Float[Tensor, "*B J 3"]:
    """From each joint's parent to the joint, of the first J joints; the root's is its place."""
    parent = tree(rest_joints.shape[-2], rest_joints.dtype, rest_joints.device).parent
    return rest_joints - pad(rest_joints, (0, 0, 0, 1)).index_select(-2, parent)


def pose_joints(
    rotations: Float[Tensor, "B J 3 3"], rest_joints: Float[Tensor, "B J 3"]
) -> tuple[Float[Tensor, "B J 3 3"], Float[Tensor, "B J 3"]]:
    """Forward kinematics of the first J joints: absolute rotations and posed positions.

    Local rotations are relative to the parent; the root stays at its rest position. The products along the tree are
    formed by pointer doubling (after round k each joint holds the product over 2^k ancestors), so that eleven levels
    cost four batched products instead of eleven small ones; a joint is where the turned bones of its chain lead.
    """
    count = rotations.shape[1]
    skeleton = tree(count, rotations.dtype, rotations.device)
    neutral = torch.eye(3, dtype=rotations.dtype, device=rotations.device).expand(len(rotations), 1, 3, 3)
    absolute = torch.cat([rotations, neutral], 1)
    for above in skeleton.ancestors:
        absolute = absolute.index_select(1, above) @ absolute
    turned = (absolute.index_select(1, skeleton.parent) @ bones_of(rest_joints)[..., None])[..., 0]
    return absolute[:, :count], skeleton.chain @ turned


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
