"""Distances of a mesh from a scan: point to surface (P2S) after the published alignments.

Scans have other vertices than any model, so meshes of every topology can be scored where landmarks align them.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from limner.evaluate.benchmarks.point_metrics import GROWTH, SHIFT_MM, TURN_RAD, Scores, expect
from limner.evaluate.person_points import NotComparable, PersonPoints, grown, shifted, stack, turned
from limner.evaluate.surface import closest_on_mesh, distance_to_mesh
from limner.geometry.align import procrustes, similarity
from limner.geometry.rotation import rotation_about_z, rotation_from_axis_angle

ICP_POINTS, ICP_STEPS, ICP_GAIN = 3000, 100, 1e-4
"""Scan points that steer the refinement, how many steps at most, and the relative gain of a step at which it ends."""


@dataclass(frozen=True)
class BodyScanError:
    """Distance of a scan's points to the predicted body, mm: mean and median over the scan.

    The body is put where it belongs by the similarity that brings its vertices nearest to the registration's
    (PA-P2S of the ExPose paper), so it must have the registration's vertices.
    """

    title: str
    vertex_count: int

    @property
    def names(self) -> tuple[str, ...]:
        """Mean and median."""
        return (f"{self.title} mean, mm", f"{self.title} median, mm")

    def __call__(self, prediction: PersonPoints, target: PersonPoints) -> Scores:
        scan, faces = _scan_and_faces(target)
        registered = stack(target.mesh(self.vertex_count))
        mesh = procrustes(stack(prediction.mesh(self.vertex_count)), registered)[0]
        distances = 1000 * distance_to_mesh(scan.double(), mesh, faces)
        return Scores(dict(zip(self.names, (float(distances.mean()), float(np.median(distances))), strict=True)))

    def check(self, target: PersonPoints) -> None:
        """With its own vertices as the scan, the target scores 0, wherever it stands and however large it is."""
        _, faces = _scan_and_faces(target)
        own = replace(target, scan=target.mesh(self.vertex_count)[faces.unique()])  # what the surface consists of
        for what, prediction in (("the truth itself", own), ("the truth aside and grown", _elsewhere(own))):
            for name, value in self(prediction, own).values.items():
                expect(name, what, value, 0.0)
        check_distance(self.title)


@dataclass(frozen=True)
class FaceScanError:
    """Distance of the face region of a scan to the predicted head, mm: median, mean, standard deviation, RMSE.

    1. similarity that brings the seven landmarks together (scale is free: photos do not tell it);
    2. `refined`: the similarity that makes the distances least, from there (NoW);
    3. distance of every scan vertex of the region to the surface. The region is a ball about nose bottom + 0.3 (nose
       bridge - nose bottom) with a radius of `radius` (outer eye distance + nose length) / 2, on the scan's landmarks.
    """

    title: str
    radius: float
    refined: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Four statistics."""
        return tuple(f"{self.title} {what}, mm" for what in ("median", "mean", "std", "RMSE"))

    def __call__(self, prediction: PersonPoints, target: PersonPoints) -> Scores:
        if prediction.landmarks is None or target.landmarks is None:
            raise NotComparable("needs the seven landmarks")
        if prediction.faces is None:
            raise NotComparable("the mesh has no triangles")
        onto = target.landmarks.double()
        face = face_region(target.mesh().double(), onto, self.radius)
        mesh = carried(prediction.mesh().double(), prediction.landmarks.double(), onto)
        if self.refined:
            mesh = refine_onto(face, mesh, prediction.faces)
        distances = 1000 * distance_to_mesh(face, mesh, prediction.faces)
        statistics = (np.median(distances.numpy()), distances.mean(), distances.std(), distances.square().mean().sqrt())
        return Scores(dict(zip(self.names, map(float, statistics), strict=True)), distances)

    def check(self, target: PersonPoints) -> None:
        """The scan as prediction scores 0, moved, turned and grown too."""
        for what, prediction in (("the truth itself", target), ("the truth aside and grown", _elsewhere(target))):
            for name, value in self(prediction, target).values.items():
                expect(name, what, value, 0.0)
        check_distance(self.title)


def _scan_and_faces(target: PersonPoints) -> tuple[Float[Tensor, "S 3"], Int64[Tensor, "F 3"]]:
    if target.scan is None or target.faces is None:
        raise NotComparable("the data set has no scans" if target.scan is None else "the truth has no triangles")
    return target.scan, target.faces


def _elsewhere(prediction: PersonPoints) -> PersonPoints:
    return turned(grown(shifted(prediction, SHIFT_MM), GROWTH), rotation_about_z(torch.tensor(TURN_RAD)))


def check_distance(metric: str) -> None:
    """A plate 10 mm above a larger plate is 10 mm away from it, point for point."""
    plate = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], dtype=torch.float64)
    above = plate / 2 + torch.tensor([0.0, 0, SHIFT_MM / 1000], dtype=torch.float64)
    distances = 1000 * distance_to_mesh(above, plate, torch.tensor([[0, 1, 2], [0, 2, 3]]))
    expect(metric, "a plate 10 mm above a plate (nearest)", float(distances.min()), SHIFT_MM)
    expect(metric, "a plate 10 mm above a plate (farthest)", float(distances.max()), SHIFT_MM)


def face_region(scan: Float[Tensor, "N 3"], landmarks: Float[Tensor, "7 3"], radius: float) -> Float[Tensor, "M 3"]:
    """Scan points of the inner face, by the challenge's rule (Feng et al., FG 2018, radius 1.2; NoW takes 1.4)."""
    right_outer, right_inner, left_inner, left_outer, bottom = landmarks[:5]
    bridge = (right_inner + left_inner) / 2
    centre = bottom + 0.3 * (bridge - bottom)
    reach = radius * ((left_outer - right_outer).norm() + (bridge - bottom).norm()) / 2
    return scan[(scan - centre).norm(dim=-1) <= reach]


def carried(
    points: Float[Tensor, "V 3"], source: Float[Tensor, "N 3"], onto: Float[Tensor, "N 3"]
) -> Float[Tensor, "V 3"]:
    """`points` moved by the similarity that brings `source` nearest to `target`."""
    scale, rotation, translation = similarity(source[None], onto[None])
    return scale * points @ rotation[0].mT + translation


def refine_onto(
    scan: Float[Tensor, "N 3"], vertices: Float[Tensor, "V 3"], faces: Int64[Tensor, "F 3"]
) -> Float[Tensor, "V 3"]:
    """The mesh moved by the similarity that makes the scan's squared distances to it least, from where it stands.

    Levenberg-Marquardt on the distances of every n-th scan point to their nearest points, found anew at each step
    (iterated closest points with point-to-plane steps: Chen and Medioni, 1992).
    """
    points = scan[:: max(1, len(scan) // ICP_POINTS)]
    nearest = closest_on_mesh(points, vertices, faces)
    error, damping = float((points - nearest).square().sum()), 1e-4
    for _ in range(ICP_STEPS):
        if error < 1e-18 or damping > 1e4:
            break
        tried = _similarity_step(points, nearest, vertices, damping)
        found = closest_on_mesh(points, tried, faces)
        tried_error = float((points - found).square().sum())
        if tried_error >= error:
            damping *= 10
            continue
        gain = 1 - tried_error / error
        vertices, nearest, error, damping = tried, found, tried_error, damping / 3
        if gain < ICP_GAIN:
            break
    return vertices


def _similarity_step(points: Tensor, nearest: Tensor, vertices: Tensor, damping: float) -> Tensor:
    """One damped step of translation, rotation and scale about the middle of the nearest points."""
    middle = nearest.mean(0)
    away, arms = points - nearest, nearest - middle
    distance = away.norm(dim=-1, keepdim=True)
    normal = away / distance.clamp_min(1e-15)
    # how the distances fall when the mesh moves by t, turns by w, grows by s: n.(t + w x a + s a)
    slope = torch.cat([normal, torch.linalg.cross(arms, normal), (normal * arms).sum(-1, keepdim=True)], -1)
    normal_matrix = slope.mT @ slope
    normal_matrix = normal_matrix + torch.diag(damping * normal_matrix.diagonal() + 1e-15)
    step = torch.linalg.solve(normal_matrix, slope.mT @ distance)[:, 0]
    turned_arms = (vertices - middle) @ rotation_from_axis_angle(step[3:6]).mT
    return (1 + step[6]) * turned_arms + middle + step[:3]
