"""How far are points from a surface? Distances to triangles, scan errors, and the scores made of them."""

import torch
from jaxtyping import Float, Int64
from scipy.spatial import cKDTree
from torch import Tensor

CHUNK = 20_000
"""Pairs of points and triangles that are measured at once, times 32."""


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


def distance_to_mesh(
    points: Float[Tensor, "N 3"], vertices: Float[Tensor, "V 3"], faces: Int64[Tensor, "F 3"]
) -> Float[Tensor, "N"]:
    """Distance of each point to the nearest point of the surface, in the unit of the points: point to triangle (P2S).

    Exact: a triangle can only be nearest if its bounding sphere comes as near as the best triangle found so far.
    """
    return (points - closest_on_mesh(points, vertices, faces)).norm(dim=-1)


def closest_on_mesh(
    points: Float[Tensor, "N 3"], vertices: Float[Tensor, "V 3"], faces: Int64[Tensor, "F 3"]
) -> Float[Tensor, "N 3"]:
    """The nearest point of the surface to each point."""
    triangles = vertices[faces].double()
    found = []
    centres = triangles.mean(1)
    radius = (triangles - centres[:, None]).norm(dim=-1).amax(-1)
    tree = cKDTree(centres.numpy())
    for chunk in points.double().split(CHUNK):
        found.append(_closest_in_chunk(chunk, triangles, radius, tree))
    return torch.cat(found).to(points.dtype)


def _closest_in_chunk(points: Tensor, triangles: Tensor, radius: Tensor, tree: cKDTree) -> Tensor:
    """Widen the search, by number of triangles, for the points whose nearest triangle may not be among those seen."""
    best = torch.full_like(points, torch.inf)
    todo = torch.arange(len(points))
    count, largest = min(16, len(triangles)), float(radius.max())
    while len(todo):
        distances, index = tree.query(points[todo].numpy(), k=count)
        index = torch.as_tensor(index).reshape(len(todo), -1)
        near = closest_on_triangles(
            points[todo].repeat_interleave(index.shape[1], 0), triangles[index.flatten()]
        ).reshape(len(todo), -1, 3)
        apart = (points[todo, None] - near).norm(dim=-1)
        shortest, which = apart.min(1)
        best[todo] = near[torch.arange(len(todo)), which]
        # any triangle not seen has its centre farther away than the farthest one seen
        farthest = torch.as_tensor(distances).reshape(len(todo), -1)[:, -1]
        if count == len(triangles):
            break
        todo = todo[farthest - largest < shortest]
        count = min(4 * count, len(triangles))
    return best


def f_score(prediction: Float[Tensor, "N 3"], target: Float[Tensor, "M 3"], threshold: float) -> float:
    """Harmonic mean of precision and recall of points within `threshold` (same unit) of the other set's nearest point.

    Knapitsch et al., SIGGRAPH 2017; FreiHAND (Zimmermann et al., ICCV 2019) takes it on mesh vertices at 5 and 15 mm.
    0 where both are 0.
    """
    a, b = prediction.double().numpy(), target.double().numpy()
    precision = float((cKDTree(b).query(a)[0] < threshold).mean())
    recall = float((cKDTree(a).query(b)[0] < threshold).mean())
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def area_under_pck(errors: Float[Tensor, "N"], limit: float, steps: int = 100) -> float:
    """Area under the curve "share of errors up to t" for t from 0 to `limit`, divided by `limit`: 1 without errors.

    `steps` equally spaced thresholds, trapezoids: FreiHAND's AUC with a limit of 50 mm (Zimmermann et al., ICCV 2019).
    """
    thresholds = torch.linspace(0, limit, steps, dtype=errors.dtype)
    pck = (errors[None] <= thresholds[:, None]).double().mean(1)
    return float(torch.trapezoid(pck, thresholds.double()) / limit)
