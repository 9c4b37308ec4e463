"""What is a public SMPL-X fit of a photo? One record, whatever file it came from."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.axis_angle import params_from_pose_vectors
from limner.body.params import BodyParams


@dataclass(frozen=True)
class Fit:
    """SMPL-X parameters of one person in one photo, as published.

    name      what the person is called in reports
    params    one person; betas and expression are SMPL-X's, they mean nothing to another body model
    points_px "K 2" photo pixels with confidence "K", by `point_names`; K may be 0
    box       x0 y0 x1 y1 photo pixels, where the file has it
    """

    name: str
    photo: Path
    params: BodyParams
    points_px: Float[Tensor, "K 2"]
    confidence: Float[Tensor, "K"]
    point_names: tuple[str, ...]
    box: Float[Tensor, "4"] | None = None


@dataclass(frozen=True)
class Fits:
    """N fits as they lie in one file: parameters become matrices when a fit is asked for.

    pose "N 55 3" axis-angle, radians, in SMPL-X order; points "N K 3" are x, y (photo pixels) and confidence.
    """

    names: tuple[str, ...]
    photos: tuple[Path, ...]
    pose: Float[Tensor, "N 55 3"]
    betas: Float[Tensor, "N S"]
    expression: Float[Tensor, "N E"]
    transl: Float[Tensor, "N 3"]
    points: Float[Tensor, "N K 3"]
    point_names: tuple[str, ...]
    boxes: Float[Tensor, "N 4"] | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for rows that do not belong together: a damaged file."""
        rows = (self.names, self.pose, self.betas, self.expression, self.transl, self.points, self.boxes)
        lengths = {len(row) for row in (self.photos, *rows) if row is not None}
        if len(lengths) > 1 or self.pose.shape[1:] != (55, 3) or self.points.ndim != 3:
            raise ValueError(f"its arrays have {sorted(lengths)} rows, or odd shapes")

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> Fit:
        if not -len(self) <= index < len(self):
            raise IndexError(index)  # ends iteration over the fits
        row = index % len(self)
        return Fit(
            name=self.names[row],
            photo=self.photos[row],
            params=params_from_pose_vectors(
                self.pose[row : row + 1],
                self.betas[row : row + 1],
                self.expression[row : row + 1],
                self.transl[row : row + 1],
            ),
            points_px=self.points[row, :, :2],
            confidence=self.points[row, :, 2],
            point_names=self.point_names,
            box=None if self.boxes is None else self.boxes[row],
        )


def add_mean_hands(pose: Float[Tensor, "N 55 3"], hand_means: Float[Tensor, "2 45"]) -> Float[Tensor, "N 55 3"]:
    """Poses whose fingers are offsets from SMPL-X's mean hands (`flat_hand_mean=False`) as whole rotations.

    `hand_means`: left and right, axis-angle, from the body-model file. The offset is added to the vector, as in the
    model's definition; most systems that do not speak of it store such offsets.
    """
    return torch.cat([pose[:, :25], pose[:, 25:] + hand_means.reshape(30, 3)], 1)


def box_of_points(
    points_px: Float[Tensor, "K 2"], confidence: Float[Tensor, "K"], margin: float = 1.2
) -> Float[Tensor, "4"]:
    """x0 y0 x1 y1 about the points with a confidence above zero, `margin` times as wide and as high as they spread.

    1.2 is the factor of ExPose's data sets (facts, section 12). NaN without points.
    """
    seen = points_px[confidence > 0]
    if not len(seen):
        return torch.full((4,), torch.nan)
    low, high = seen.amin(0), seen.amax(0)
    middle, half = (low + high) / 2, (high - low) / 2 * margin
    return torch.cat([middle - half, middle + half])
