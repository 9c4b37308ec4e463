"""Two-bone inverse kinematics: how an arm bends so that its wrist is where it should be."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from limner.geometry.rotation import rotation_from_axis_angle


def reach(
    shoulder: Float[Tensor, "B 3"],
    target: Float[Tensor, "B 3"],
    pole: Float[Tensor, "B 3"],
    upper_length: Float[Tensor, "B"],
    lower_length: Float[Tensor, "B"],
    side: float,
) -> tuple[Float[Tensor, "B 3 3"], Float[Tensor, "B 3 3"]]:
    """Absolute shoulder rotation and local elbow rotation that bring the wrist to `target` (body frame, metres).

    `pole` is where the elbow should point; `side` is +1 for the left arm (rest along +x), -1 for the right. The elbow
    is a hinge about y. Targets out of reach are approached as near as the arm allows.
    """
    longest = upper_length + lower_length
    away = target - shoulder
    distance = torch.minimum(away.norm(dim=-1).clamp_min(1e-3), 0.995 * longest)
    # a forearm folded closer than this would lie inside the upper arm
    distance = torch.maximum(distance, 0.42 * longest)
    along = normalize(away, dim=-1)
    out = normalize(pole - (pole * along).sum(-1, keepdim=True) * along, dim=-1)
    cosine = (upper_length**2 + distance**2 - lower_length**2) / (2 * upper_length * distance)
    cosine = cosine.clamp(-1, 1)[:, None]
    upper = along * cosine + out * (1 - cosine**2).sqrt()
    lower = normalize(along * distance[:, None] - upper * upper_length[:, None], dim=-1)
    x = upper * side
    z = normalize(-out + (out * upper).sum(-1, keepdim=True) * upper, dim=-1)  # bends away from the pole
    shoulder_rotation = torch.stack([x, torch.linalg.cross(z, x), z], -1)
    angle = torch.acos((upper * lower).sum(-1).clamp(-1, 1))
    elbow_axis = angle.new_tensor([0.0, -side, 0.0])
    return shoulder_rotation, rotation_from_axis_angle(angle[:, None] * elbow_axis)
