"""Which way does a triangle mesh face?"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def triangle_corners(vertices: Float[Tensor, "B V 3"], faces: Int[Tensor, "F 3"]) -> Float[Tensor, "B F 3 3"]:
    """Corner positions, `[..., corner, xyz]`, of every triangle."""
    corners = vertices.index_select(1, faces.reshape(-1))  # faster than vertices[:, faces]
    return corners.view(vertices.shape[0], faces.shape[0], 3, 3)


def face_vectors(vertices: Float[Tensor, "B V 3"], faces: Int[Tensor, "F 3"]) -> Float[Tensor, "B F 3"]:
    """Cross product of two sides: along the outward normal, as long as twice the triangle's area (m^2)."""
    a, b, c = triangle_corners(vertices, faces).unbind(2)
    return torch.linalg.cross(b - a, c - a)


def vertex_normals(vertices: Float[Tensor, "B V 3"], faces: Int[Tensor, "F 3"]) -> Float[Tensor, "B V 3"]:
    """Outward unit normals of the vertices: the area-weighted mean over the triangles that meet there.

    In the frame of `vertices`; zero for a vertex without a (non-degenerate) triangle.
    """
    corners = faces.mT.reshape(1, -1, 1).expand(len(vertices), -1, 3)
    vectors = face_vectors(vertices, faces).repeat(1, 3, 1)
    total = torch.zeros_like(vertices).scatter_add_(1, corners, vectors)  # a tenth of `index_add_`'s time
    return torch.nn.functional.normalize(total, dim=-1, eps=1e-20)
