"""How do refinements go downhill? The loop, the damped step and the slopes that `refine` and `refine_face` share.

`limner.fit.solver` is the large one: it drops people who are done and survives systems that cannot be solved. Here a
few steps from a good start must be cheap.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from limner.geometry.camera import Camera


def descend(
    start: Float[Tensor, "B U"],
    objective: Callable[[Float[Tensor, "B U"]], Float[Tensor, "B"]],
    step: Callable[[Float[Tensor, "B U"], Float[Tensor, "B 1"]], Float[Tensor, "B U"]],
    steps: int,
    damping: float,
) -> Float[Tensor, "B U"]:
    """Unknowns after so many damped steps (Levenberg-Marquardt), each person with a damping of their own.

    A step that does not lower a person's objective is taken back for that person and the damping raised, so the result
    is never worse than the start.
    """
    unknown, value = start, objective(start)
    damped = start.new_full((len(start), 1), damping)
    for _ in range(steps):
        tried = unknown + step(unknown, damped)
        new_value = objective(tried)
        better = (new_value < value) & torch.isfinite(new_value)
        keep = better[:, None]
        unknown, value = torch.where(keep, tried, unknown), torch.where(better, new_value, value)
        damped = torch.where(keep, damped / 3, damped * 8).clamp(1e-5, 1e6)
    return unknown


def damped_step(
    normal: Float[Tensor, "B U U"], gradient: Float[Tensor, "B U"], damping: Float[Tensor, "B 1"]
) -> Float[Tensor, "B U"]:
    """The step that normal equations ask for, each diagonal raised by its share `damping`."""
    damped = normal + torch.diag_embed(damping * normal.diagonal(dim1=1, dim2=2) + 1e-6)
    return -torch.linalg.solve(damped, gradient)


def projected_slopes(
    slopes: Float[Tensor, "B N U 3"], points: Float[Tensor, "B N 3"], camera: Camera, sigma_px: Float[Tensor, "B N"]
) -> Float[Tensor, "B N U 2"]:
    """How projected points move, in usual errors, from how the points move: d (f x / z) = f / z (dx - x / z dz)."""
    depth = points[..., 2].clamp_min(1e-4)
    flat = slopes[..., :2] - slopes[..., 2:] * (points[..., :2] / depth[..., None])[:, :, None]
    return flat * (camera.focal_px[:, None] / depth / sigma_px)[..., None, None]
