"""Shapes of hands: everyday ones, their mixtures and random hands within the limits of the joints."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from limner.body.skeleton import FINGERS
from limner.geometry.rotation import rotation_from_axis_angle
from limner.synth.chance import coin, normal, pick, uniform

_STRAIGHT, _CURLED, _THUMB_IN, _THUMB_OUT = (0, 2, 2), (78, 98, 62), (28, 38, 45), (-8, -4, -6)

# name: weight, then for index, middle, ring, pinky, thumb the flexion of the three joints and the spread (degrees).
# A positive spread leads away from the middle finger (of the middle finger: towards the index). Own measures, by eye.
_SHAPES: dict[str, tuple[float, tuple[tuple[float, ...], ...]]] = {
    "relaxed": (5, ((18, 26, 14, 2), (24, 32, 18, 0), (28, 36, 20, 0), (28, 34, 20, 3), (6, 12, 14, 5))),
    "soft": (3, ((30, 42, 24, 0), (38, 48, 28, 0), (42, 50, 30, 0), (40, 48, 28, 0), (12, 18, 20, 0))),
    "flat": (2, ((2, 3, 2, 0), (2, 3, 2, 0), (2, 3, 2, 0), (3, 4, 2, 0), (0, 4, 4, 8))),
    "spread": (2, ((-4, 2, 2, 13), (-4, 2, 2, 1), (-4, 2, 2, 9), (-6, 2, 2, 20), (-8, 0, -4, 26))),
    "fist": (3, ((*_CURLED, 0), (82, 102, 64, 0), (82, 100, 64, 0), (78, 96, 60, 0), (*_THUMB_IN, -4))),
    "point": (2, ((*_STRAIGHT, 0), (*_CURLED, 0), (80, 98, 62, 0), (76, 94, 58, 0), (*_THUMB_IN, 0))),
    "victory": (1, ((0, 2, 2, 11), (0, 2, 2, -7), (74, 96, 60, 0), (70, 90, 58, 0), (*_THUMB_IN, -4))),
    "thumb_up": (1, ((*_CURLED, 0), (82, 100, 64, 0), (82, 98, 62, 0), (78, 94, 60, 0), (*_THUMB_OUT, 22))),
    "pinch": (1.5, ((48, 46, 24, 0), (28, 30, 16, 0), (22, 24, 14, 2), (16, 20, 12, 6), (22, 16, 22, 4))),
    "ring_sign": (0.7, ((52, 56, 28, 0), (10, 8, 6, 0), (4, 4, 4, 3), (0, 2, 2, 8), (24, 20, 26, 4))),
    "cup": (2, ((40, 46, 26, 4), (42, 50, 28, 0), (44, 52, 30, 2), (42, 48, 28, 4), (18, 18, 18, 20))),
    "grip": (2, ((56, 66, 36, 0), (62, 70, 40, 0), (66, 74, 42, 0), (66, 72, 40, 0), (24, 26, 26, 8))),
    "hook": (0.7, ((4, 82, 50, 0), (6, 88, 54, 0), (6, 86, 52, 0), (4, 80, 48, 0), (6, 20, 30, 0))),
    "plate": (1, ((56, 12, 8, 2), (58, 12, 8, 0), (58, 12, 8, 0), (56, 12, 8, 2), (16, 8, 10, 16))),
    "claw": (0.6, ((8, 56, 38, 9), (8, 58, 40, 0), (8, 56, 38, 7), (6, 52, 36, 14), (0, 22, 40, 20))),
    "horns": (0.4, ((*_STRAIGHT, 4), (80, 98, 62, 0), (78, 96, 60, 0), (*_STRAIGHT, 10), (*_THUMB_IN, 0))),
    "call": (0.4, ((*_CURLED, 0), (80, 98, 62, 0), (78, 96, 60, 0), (*_STRAIGHT, 16), (*_THUMB_OUT, 28))),
    "gun": (0.5, ((*_STRAIGHT, 0), (78, 96, 60, 0), (80, 96, 60, 0), (76, 92, 58, 0), (*_THUMB_OUT, 22))),
    "three": (0.5, ((0, 2, 2, 9), (0, 2, 2, 0), (2, 4, 4, 6), (62, 84, 54, 0), (*_THUMB_IN, -2))),
    "four": (0.5, ((0, 2, 2, 8), (0, 2, 2, 0), (0, 2, 2, 4), (0, 2, 2, 12), (28, 42, 48, -6))),
    "two": (0.5, ((2, 4, 4, 0), (2, 4, 4, 0), (76, 96, 60, 0), (72, 90, 58, 0), (*_THUMB_IN, -2))),
    "write": (0.8, ((42, 50, 22, 0), (50, 58, 30, 0), (60, 68, 36, 0), (62, 68, 36, 0), (20, 22, 30, 2))),
}
_TABLE_ORDER = ("index", "middle", "ring", "pinky", "thumb")
SHAPE_NAMES: tuple[str, ...] = tuple(_SHAPES)

LIMITS_DEG = {
    "finger": ((-22.0, -3.0, -3.0, -10.0), (92.0, 108.0, 78.0, 24.0)),
    "thumb": ((-18.0, -12.0, -16.0, -10.0), (42.0, 58.0, 78.0, 42.0)),
}
"""Lowest and highest flexion of the three joints and spread, in degrees."""


def shape_angles() -> tuple[Float[Tensor, "N"], Float[Tensor, "N 5 4"]]:
    """Weights and angles (degrees) of the named shapes, fingers in SMPL-X order."""
    order = [_TABLE_ORDER.index(finger) for finger in FINGERS]
    weights = torch.tensor([float(weight) for weight, _ in _SHAPES.values()])
    angles = torch.tensor([[list(map(float, row)) for row in rows] for _, rows in _SHAPES.values()])
    return weights, angles[:, order]


def joint_limits() -> tuple[Float[Tensor, "5 4"], Float[Tensor, "5 4"]]:
    """Lowest and highest angle of every finger (SMPL-X order): flexion of three joints and spread, degrees."""
    kinds = ["thumb" if finger == "thumb" else "finger" for finger in FINGERS]
    low, high = ([LIMITS_DEG[kind][side] for kind in kinds] for side in (0, 1))
    return torch.tensor(low), torch.tensor(high)


def sample_angles(count: int, generator: Generator, random_share: float = 0.15) -> Float[Tensor, "B 5 4"]:
    """Finger angles of B hands in degrees, within the limits: named shapes, mixtures of two, and random hands."""
    device = generator.device
    weights, table = (x.to(device) for x in shape_angles())
    first, second = (table[pick(generator, weights, count)] for _ in range(2))
    mix = torch.where(coin(generator, (count,), 0.5), uniform(generator, (count,)), torch.zeros(count, device=device))
    angles = torch.lerp(first, second, mix[:, None, None] ** 1.5)
    # whole hand, per finger, per joint: neighbours move together
    noise = normal(generator, (count, 1, 1), 5) + normal(generator, (count, 5, 1), 5)
    noise = noise + normal(generator, (count, 5, 4), 4)
    noise[..., 3] *= 0.4
    angles = angles + noise
    wild = coin(generator, (count,), random_share)
    angles = torch.where(wild[:, None, None], _random_angles(count, generator), angles)
    low, high = (x.to(device) for x in joint_limits())
    return torch.minimum(torch.maximum(angles, low), high)


def _random_angles(count: int, generator: Generator) -> Float[Tensor, "B 5 4"]:
    """Anything the joints allow, with the two couplings real fingers cannot escape.

    The last joint follows the middle one (about two thirds), and bent fingers do not spread.
    """
    common = uniform(generator, (count, 1))
    own = uniform(generator, (count, 5))
    share = uniform(generator, (count, 1))
    level = torch.lerp(own, common.expand(-1, 5), share)
    knuckle = level * 105 - 18 + normal(generator, (count, 5), 8)
    middle = torch.lerp(uniform(generator, (count, 5)), level, 0.5) * 108
    last = middle * (0.6 + normal(generator, (count, 5), 0.12))
    spread = uniform(generator, (count, 5), -8, 22) * (1 - (knuckle / 90).clamp(0, 1))
    angles = torch.stack([knuckle, middle, last, spread], -1)
    thumb = torch.stack(
        [
            uniform(generator, (count,), -15, 40),
            uniform(generator, (count,), -8, 55),
            uniform(generator, (count,), -12, 70),
            uniform(generator, (count,), -8, 38),
        ],
        -1,
    )
    angles[:, FINGERS.index("thumb")] = thumb
    return angles


def rotations_from_angles(
    angles_deg: Float[Tensor, "B 5 4"], flexion_axis: Float[Tensor, "15 3"], spread_axis: Float[Tensor, "15 3"]
) -> Float[Tensor, "B 15 3 3"]:
    """Local rotations of one hand's joints: first bent about the flexion axis, then spread at the knuckle.

    Axes are unit vectors in the joints' rest frame (SMPL-X order), of the side that the rotations are for.
    """
    radians = torch.deg2rad(angles_deg)
    flexion = radians[..., :3].flatten(1)  # B 15
    spread = torch.zeros_like(radians[..., :3])
    spread[..., 0] = radians[..., 3]
    bend = rotation_from_axis_angle(flexion[..., None] * flexion_axis)
    return rotation_from_axis_angle(spread.flatten(1)[..., None] * spread_axis) @ bend
