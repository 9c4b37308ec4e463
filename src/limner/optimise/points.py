"""Points of bodies in a picture as residuals: how far from where they were seen, robustly, and with which slopes."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from limner.geometry.camera import Camera
from limner.geometry.rotation import skew
from limner.records import Rows

NEAREST_M = 0.05
"""Points nearer to the camera's plane than this are impossible."""


@dataclass(frozen=True)
class ObservedPoints(Rows):
    """N points of B people where a camera saw them: point_px "B N 2", weight "B N" (0: ignored), sigma_px "B N" the
    error that is usual for each; robust: so many usual errors are an outlier."""

    point_px: Float[Tensor, "B N 2"]
    weight: Float[Tensor, "B N"]
    sigma_px: Float[Tensor, "B N"]
    camera: Camera
    robust: float = field(metadata={"shared": True})

    def at(self, points: Float[Tensor, "B N 3"]) -> "Reprojected":
        """Points, and how far they are from where they were seen (SMPLify-X eq. 6)."""
        residual = (self.camera.project(points) - self.point_px) / self.sigma_px[..., None]
        return Reprojected(points, residual, *geman_mcclure(residual.square().sum(-1), self.robust))

    def cost(self, at: "Reprojected") -> Float[Tensor, "B"]:
        """Weighted sum of the robust squares; infinite where a point is at the camera or behind it."""
        near = at.points[..., 2].amin(-1) < NEAREST_M
        return torch.where(near, torch.inf, (self.weight * at.cost).sum(-1))

    def linearised(self, at: "Reprojected") -> tuple[Float[Tensor, "B M"], Float[Tensor, "B N 2 3"]]:
        """Residuals (x and y in turn, M = 2 N) and their slopes by the points, both times the roots of their weights.

        d (f x / z) = f / z (dx - x / z dz).
        """
        root = self.weight.sqrt() * at.shrunk
        depth = at.points[..., 2:].clamp_min(1e-4)
        scale = (self.camera.focal_px[:, None] * root / self.sigma_px)[..., None] / depth
        slope = torch.cat(
            [torch.diag_embed(scale.expand(-1, -1, 2)), (-scale / depth * at.points[..., :2])[..., None]], -1
        )
        return (at.residual * root[..., None]).flatten(1), slope


@dataclass(frozen=True)
class Reprojected(Rows):
    """Points "B N 3" as their camera sees them: residual "B N 2" in usual errors; cost and shrunk "B N" of its square
    (`geman_mcclure`)."""

    points: Float[Tensor, "B N 3"]
    residual: Float[Tensor, "B N 2"]
    cost: Float[Tensor, "B N"]
    shrunk: Float[Tensor, "B N"]


def geman_mcclure(squared: Float[Tensor, "*b"], scale: float) -> tuple[Float[Tensor, "*b"], Float[Tensor, "*b"]]:
    """Robust cost of squared residuals, at most `scale` squared, and the root of its slope by the square: what
    residuals are multiplied by in reweighted least squares."""
    shrunk = 1 / (1 + squared / scale**2)
    return squared * shrunk, shrunk


def turn_slopes(
    points: Float[Tensor, "B N 3"],
    slopes: Float[Tensor, "B N 2 3"],
    absolute: Float[Tensor, "B J 3 3"],
    joints: Float[Tensor, "B J 3"],
) -> Float[Tensor, "B M T"]:
    """How residuals (x and y of N points in turn) with these slopes change when joints turn (about J times 3 own axes).

    Turning about an axis a moves x by a x (x - joint), and a residual with the slope g along x by a . (x x g) - a .
    (joint x g): for all joints at once, that is a product with the six numbers (x x g, g). As if every point hung on
    every joint.
    """
    moments = torch.linalg.cross(points[:, :, None], slopes)
    about = torch.cat([absolute.mT, -absolute.mT @ skew(joints)], -1).flatten(1, 2)  # B 3J 6
    return torch.cat([moments, slopes], -1).flatten(1, 2) @ about.mT
