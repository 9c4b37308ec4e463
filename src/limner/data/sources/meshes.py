"""Meshes and scans of public data sets, vertices in the file's order."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from limner.errors import DataSetError
from limner.extras import extra
from limner.reading.told import check_regular, told_as


def read_mesh(file: Path) -> tuple[Float[Tensor, "V 3"], Int64[Tensor, "F 3"]]:
    """Vertices and triangles of an OBJ, PLY, OFF or STL file, in the file's order and unit; F is 0 for point clouds.

    Texture seams do not multiply vertices. Raises DataSetError for a missing, damaged or cut-off file.
    """
    with told_as(DataSetError, file, "It is no readable mesh, or cut off. Copy it again."):
        check_regular(file)
        if file.suffix.lower() == ".obj":
            return _read_obj(file)
        with extra("evaluate", "Reading meshes other than OBJ"):
            import trimesh
        mesh = trimesh.load(file, process=False)
        vertices = torch.as_tensor(np.array(getattr(mesh, "vertices", []))).float().reshape(-1, 3)
        faces = np.array(getattr(mesh, "faces", []), np.int64).reshape(-1, 3)
        if not len(vertices):
            raise ValueError("it has no vertices")
        return vertices, torch.as_tensor(faces)


def _read_obj(file: Path) -> tuple[Float[Tensor, "V 3"], Int64[Tensor, "F 3"]]:
    """Own reader: others cut vertices apart at texture seams."""
    vertices: list[list[float]] = []
    faces: list[list[int]] = []
    with open(file, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            kind, _, rest = line.partition(" ")
            if kind == "v":
                vertices.append([float(value) for value in rest.split()[:3]])
            elif kind == "f":
                corners = [int(corner.split("/")[0]) for corner in rest.split()]
                corners = [c - 1 if c > 0 else len(vertices) + c for c in corners]
                faces += [[corners[0], corners[i], corners[i + 1]] for i in range(1, len(corners) - 1)]
    if not vertices:
        raise ValueError("it has no vertices")
    triangles = torch.tensor(faces, dtype=torch.int64).reshape(-1, 3)
    if len(triangles) and not 0 <= int(triangles.min()) <= int(triangles.max()) < len(vertices):
        raise ValueError("a face names a vertex that the file lacks")
    return torch.tensor(vertices), triangles
