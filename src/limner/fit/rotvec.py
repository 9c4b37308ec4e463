"""How does the rotation vector of a joint change when the joint is turned a little?"""

import torch
from jaxtyping import Float
from torch import Tensor

from limner.geometry.rotation import rotation_to_axis_angle


def rotvec_and_slope(
    rotation: Float[Tensor, "*batch 3 3"],
) -> tuple[Float[Tensor, "*batch 3"], Float[Tensor, "*batch 3 3"]]:
    """log R, and d log(R exp(turn)) / d turn at turn = 0: the inverse right Jacobian of SO(3) (Chirikjian 2011).

    J^-1 = I + [v]/2 + (1 - (t/2) cot(t/2)) / t^2 [v]^2 with t = |v|; finite up to a half turn.
    """
    vector = rotation_to_axis_angle(rotation)
    angle = vector.norm(dim=-1)
    half = angle / 2
    small = angle < 1e-2
    safe = torch.where(small, torch.ones_like(half), half)
    factor = (1 - safe / torch.tan(safe)) / (4 * safe.square())
    factor = torch.where(small, 1 / 12 + angle.square() / 720, factor)[..., None, None]
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    eye = torch.eye(3, dtype=rotation.dtype, device=rotation.device)
    return vector, eye + cross / 2 + factor * (cross @ cross)
