"""Axes of files. Turns from limner's camera axes (x right, y down, z into the scene) to other programs'."""

import torch
from jaxtyping import Float
from torch import Tensor

Y_UP_FROM_CAMERA = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
"""glTF, OBJ, BVH: x right, y up, the camera looks along -z; who faces the camera looks along +z."""

Z_UP_FROM_CAMERA = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))
"""AMASS, Blender: x right, z up, the camera looks along +y (it is taken to be level)."""

Turn = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]


def turn_points(turn: Turn, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Points in the new axes."""
    return points @ torch.tensor(turn, dtype=points.dtype, device=points.device).mT


def turn_rotations(turn: Turn, rotations: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotations from a body into camera axes become rotations from the body into the new axes."""
    return torch.tensor(turn, dtype=rotations.dtype, device=rotations.device) @ rotations
