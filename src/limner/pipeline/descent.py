"""How do refinements go downhill? The loop, the damped step and the slopes that `refine` and `refine_face` share.

`limner.fit.solver` is the large one: it drops people who are done and survives systems that cannot be solved. Here a
few steps from a good start must be cheap.
"""

from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from limner.geometry.camera import Camera
from limner.geometry.rotation import skew

Look = TypeVar("Look")
"""What a problem works out at one place for its objective and its step alike."""


@runtime_checkable
class DescentProblem(Protocol[Look]):
    """A least-squares problem of B people, each with U unknowns of their own."""

    def look(self, unknown: Float[Tensor, "B U"]) -> Look: ...
    def objective(self, unknown: Float[Tensor, "B U"], look: Look) -> Float[Tensor, "B"]: ...
    def step(
        self, unknown: Float[Tensor, "B U"], look: Look, damping: Float[Tensor, "B 1"]
    ) -> Float[Tensor, "B U"]: ...


def descend(
    problem: DescentProblem[Look], start: Float[Tensor, "B U"], steps: int, damping: float, least_gain: float
) -> Float[Tensor, "B U"]:
    """Unknowns after so many damped steps (Levenberg-Marquardt), each person with a damping of their own.

    A step that does not lower a person's objective is taken back for that person and the damping raised, so the result
    is never worse than the start. Who gains less than the share `least_gain` of the objective by a step is done.
    """
    unknown, look = start, problem.look(start)
    value = problem.objective(start, look)
    damped, going = start.new_full((len(start), 1), damping), torch.ones_like(value, dtype=torch.bool)
    for number in range(steps):
        tried = unknown + problem.step(unknown, look, damped)
        tried_look = problem.look(tried)
        new_value = problem.objective(tried, tried_look)
        better = going & (new_value < value) & torch.isfinite(new_value)
        small = better & (value - new_value < least_gain * value)
        keep = better[:, None]
        unknown, value = torch.where(keep, tried, unknown), torch.where(better, new_value, value)
        damped = torch.where(keep, damped / 3, damped * 8).clamp(1e-5, 1e6)
        going = going & ~small
        if number + 1 == steps or not bool(going.any()):
            break
        look = tried_look if bool(better.all()) else problem.look(unknown)
    return unknown


def robust_cost(residual: Float[Tensor, "B N 2"], robust_sigma: float) -> Float[Tensor, "B N"]:
    """Geman-McClure's cost of N points whose distances are in usual errors: at most `robust_sigma` squared."""
    squared = residual.square().sum(-1)
    return squared / (1 + squared / robust_sigma**2)


def robust_step(
    jacobian: Float[Tensor, "B M U"],
    residual: Float[Tensor, "B N 2"],
    weight: Float[Tensor, "B N"],
    robust_sigma: float,
    pull: Float[Tensor, "B U"],
    away: Float[Tensor, "B U"],
    damping: Float[Tensor, "B 1"],
) -> Float[Tensor, "B U"]:
    """A Gauss-Newton step for weighted `robust_cost` plus pull * away^2, each diagonal raised by its share `damping`.

    jacobian: of x and y of the N points in turn, M = 2 N; away: how far the unknowns are from where they are pulled.
    """
    robust = weight / (1 + residual.square().sum(-1) / robust_sigma**2).square()
    scaled = (jacobian * robust.repeat_interleave(2, 1)[..., None]).mT
    normal = scaled @ jacobian
    gradient = (scaled @ residual.flatten(1)[..., None])[..., 0] + pull * away
    diagonal = pull + damping * (normal.diagonal(dim1=1, dim2=2) + pull) + 1e-6
    return -torch.linalg.solve(normal + torch.diag_embed(diagonal), gradient)


def image_slopes(
    points: Float[Tensor, "B N 3"], camera: Camera, sigma_px: Float[Tensor, "B N"]
) -> Float[Tensor, "B N 2 3"]:
    """How projected points move, in usual errors, with the points: d (f x / z) = f / z (dx - x / z dz)."""
    depth = points[..., 2:].clamp_min(1e-4)
    size = (camera.focal_px[:, None] / sigma_px)[..., None] / depth
    across = torch.diag_embed(size.expand(-1, -1, 2))
    return torch.cat([across, (-size * points[..., :2] / depth)[..., None]], -1)


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
