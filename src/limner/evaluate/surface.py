"""Distances of points from surfaces, and the scores made of them."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from limner.extras import extra
from limner.geometry.mesh import closest_on_triangles

with extra("evaluate", "Measuring surfaces"):
    from scipy.spatial import cKDTree

CHUNK = 20_000
"""Points that are looked at together."""
SIZES = (0.5, 0.8, 0.95, 0.995)
"""Quantiles of their radius at which triangles are sorted into classes: few large ones must not widen all searches."""


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
    radius = (triangles - triangles.mean(1, keepdim=True)).norm(dim=-1).amax(-1)
    bounds = torch.quantile(radius, radius.new_tensor(SIZES)) if len(radius) > 100 else radius.new_zeros(0)
    label = torch.bucketize(radius, bounds)
    classes = [_SizeClass(triangles[label == i]) for i in range(len(bounds) + 1) if bool((label == i).any())]
    return torch.cat([_closest_in(chunk, classes) for chunk in points.double().split(CHUNK)]).to(points.dtype)


class _SizeClass:
    """Triangles of like size, to be searched by their centres: none reaches farther from its centre than `radius`."""

    def __init__(self, triangles: Float[Tensor, "F 3 3"]):
        self.triangles = triangles
        centres = triangles.mean(1)
        self.radius = float((triangles - centres[:, None]).norm(dim=-1).max())
        self.tree = cKDTree(centres.numpy())

    def improve(self, points: Tensor, best: Tensor, count: int) -> Tensor:
        """Nearest points among those so far and the `count` triangles with the nearest centres; and how far away the
        farthest of these centres is (infinite: there are no more triangles)."""
        count = min(count, len(self.triangles))
        apart, index = self.tree.query(points.numpy(), k=[*range(1, count + 1)])
        near = closest_on_triangles(
            points.repeat_interleave(count, 0), self.triangles[torch.as_tensor(index).flatten()]
        ).reshape(len(points), count, 3)
        which = (points[:, None] - near).norm(dim=-1).argmin(1)
        found = near[torch.arange(len(points)), which]
        nearer = (points - found).norm(dim=-1) < (points - best).norm(dim=-1)
        best[nearer] = found[nearer]
        farthest = torch.as_tensor(apart[:, -1].copy())
        return farthest if count < len(self.triangles) else torch.full_like(farthest, torch.inf)


def _closest_in(points: Tensor, classes: list[_SizeClass]) -> Tensor:
    """A first look at the nearest triangles of every size, then wider ones where a triangle not seen may be nearer."""
    best = torch.full_like(points, torch.inf)
    seen = [size.improve(points, best, 4) for size in classes]
    for size, farthest in zip(classes, seen, strict=True):
        todo, count = torch.arange(len(points)), 4
        while True:
            # a triangle not seen has its centre beyond the farthest one seen, and reaches `radius` back at most
            open_ = farthest - size.radius < (points[todo] - best[todo]).norm(dim=-1)
            todo = todo[open_]
            if not len(todo):
                break
            count *= 4
            mine = best[todo]
            farthest = size.improve(points[todo], mine, count)
            best[todo] = mine
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
