"""Meshes that the render tests share."""

import torch
import trimesh
from torch import Tensor


def ball(subdivisions: int = 3) -> tuple[Tensor, Tensor]:
    """Unit sphere: vertices "1 V 3", faces "F 3"."""
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions)
    return torch.tensor(mesh.vertices, dtype=torch.float32)[None], torch.tensor(mesh.faces)


def rectangle(x0: float, y0: float, x1: float, y1: float, z: float) -> tuple[Tensor, Tensor]:
    """Upright rectangle at depth z, its outside towards the camera: vertices "1 4 3", faces "2 3"."""
    vertices = torch.tensor([[[x0, y0, z], [x0, y1, z], [x1, y1, z], [x1, y0, z]]], dtype=torch.float32)
    return vertices, torch.tensor([[0, 1, 2], [0, 2, 3]])
