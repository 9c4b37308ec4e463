"""Triangle meshes: normals, and the nearest points of triangles."""

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


def closest_on_triangles(points: Float[Tensor, "N 3"], triangles: Float[Tensor, "N 3 3"]) -> Float[Tensor, "N 3"]:
    """The point of each triangle (three corners) that is nearest to its point; triangles without area are lines.

    The nearest point of the plane if it lies inside, else the nearest of the three edges (Ericson, Real-Time Collision
    Detection, 2005, section 5.1.5, without its case distinction).
    """
    a, b, c = triangles.unbind(1)
    ab, ac, ap = b - a, c - a, points - a
    d00, d01, d11 = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    d20, d21 = (ap * ab).sum(-1), (ap * ac).sum(-1)
    area = d00 * d11 - d01 * d01
    flat = area <= 1e-12 * d00 * d11
    v = torch.where(flat, -1.0, (d11 * d20 - d01 * d21) / area.clamp_min(1e-30))
    w = torch.where(flat, -1.0, (d00 * d21 - d01 * d20) / area.clamp_min(1e-30))
    inner = a + v[:, None] * ab + w[:, None] * ac
    best = torch.where(((v >= 0) & (w >= 0) & (v + w <= 1))[:, None], inner, torch.inf)
    for start, end in ((a, b), (b, c), (c, a)):
        edge = end - start
        along = ((points - start) * edge).sum(-1) / (edge * edge).sum(-1).clamp_min(1e-30)
        on_edge = start + along.clamp(0, 1)[:, None] * edge
        nearer = (points - on_edge).norm(dim=-1) < (points - best).norm(dim=-1)
        best = torch.where(nearer[:, None], on_edge, best)
    return best


def barycentric_in(points: Float[Tensor, "N 3"], triangles: Float[Tensor, "N 3 3"]) -> Float[Tensor, "N 3"]:
    """Shares of a triangle's corners in a point of its plane; not finite for triangles without area."""
    a, b, c = triangles.unbind(1)
    normal = torch.linalg.cross(b - a, c - a)
    opposite = [torch.linalg.cross(v - u, points - u) for u, v in ((b, c), (c, a), (a, b))]
    return torch.stack([(part * normal).sum(-1) for part in opposite], 1) / normal.square().sum(-1, keepdim=True)
