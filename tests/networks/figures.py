"""Drawn people, plain enough to compute, human enough for the detector: test pictures free of rights."""

import cv2
import numpy as np
import torch
from torch import Tensor

SKIN, SHIRT, TROUSERS, HAIR, SHOE = (224, 172, 140), (40, 70, 150), (50, 50, 55), (60, 40, 30), (20, 20, 20)


def blank(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), (200, 190, 170), np.uint8)


def as_photo(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)


def draw_person(image: np.ndarray, x: float, top: float, height: float) -> Tensor:
    """Draw somebody standing, facing the camera, head top at (x, top); returns the bounds x0 y0 x1 y1."""
    unit = height / 8  # the head is an eighth

    def at(a: float, b: float) -> tuple[int, int]:
        return round(x + a * unit), round(top + b * unit)

    def limb(start: tuple, end: tuple, width: float, colour: tuple) -> None:
        cv2.line(image, at(*start), at(*end), colour, max(1, round(width * unit)), cv2.LINE_AA)

    def disc(center: tuple, radii: tuple, colour: tuple) -> None:
        size = tuple(max(1, round(r * unit)) for r in radii)
        cv2.ellipse(image, at(*center), size, 0, 0, 360, colour, -1, cv2.LINE_AA)

    for side in (-1, 1):
        limb((side * 0.45, 3.9), (side * 0.5, 5.6), 0.75, TROUSERS)
        limb((side * 0.5, 5.6), (side * 0.5, 7.4), 0.55, TROUSERS)
        limb((side * 0.5, 7.6), (side * 0.75, 7.75), 0.35, SHOE)
        limb((side * 0.85, 1.75), (side * 1.2, 3.0), 0.45, SHIRT)
        limb((side * 1.2, 3.0), (side * 1.3, 4.1), 0.33, SKIN)
        disc((side * 1.33, 4.35), (0.2, 0.33), SKIN)
    torso = np.array([at(-1, 1.5), at(1, 1.5), at(0.75, 4.1), at(-0.75, 4.1)])
    cv2.fillPoly(image, [torso], SHIRT, cv2.LINE_AA)
    limb((0, 1.0), (0, 1.5), 0.45, SKIN)
    disc((0, 0.45), (0.42, 0.52), HAIR)
    disc((0, 0.58), (0.36, 0.45), SKIN)
    for side in (-1, 1):
        disc((side * 0.15, 0.52), (0.05, 0.05), (30, 30, 30))
    limb((-0.13, 0.82), (0.13, 0.82), 0.06, (150, 60, 60))
    return torch.tensor([x - 1.55 * unit, top, x + 1.55 * unit, top + 7.95 * unit])
