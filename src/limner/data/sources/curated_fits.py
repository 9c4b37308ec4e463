"""ExPose's curated fits: SMPL-X fits of LSP, LSP-extended and MPII photos that people have checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.axis_angle import params_from_pose_vectors
from limner.body.keypoints import KEYPOINT_SETS
from limner.body.params import BodyParams
from limner.data.sources.layout import Layout
from limner.data.sources.pickled import read_npz

LAYOUT = Layout(
    "ExPose's curated fits (32,617 fits)",
    "https://expose.is.tue.mpg.de (register, `Curated fits`)",
    "non-commercial research; the photos have their own licences",
    "train.npz   betas, expression, keypoints2D, pose, img_fns\n"
    "val.npz     the same and vertices, joints\n"
    "images/     the photos that img_fns names (LSP, LSP-extended, MPII)",
)
Split = Literal["train", "val"]
POINT_NAMES = KEYPOINT_SETS["openpose135"]


@dataclass(frozen=True)
class CuratedFits:
    """N fits as they lie in the file.

    pose "N 55 3" axis-angle, radians, in SMPL-X order; points "N 135 3" x, y (photo pixels) and confidence, by
    POINT_NAMES; vertices "N V 3" and joints "N 14 3" (metres) where the file has them.
    """

    names: tuple[str, ...]
    photos: tuple[Path, ...]
    pose: Float[Tensor, "N 55 3"]
    betas: Float[Tensor, "N S"]
    expression: Float[Tensor, "N E"]
    points: Float[Tensor, "N K 3"]
    vertices: Float[Tensor, "N V 3"] | None = None
    joints: Float[Tensor, "N J 3"] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def params(self, row: int) -> BodyParams:
        """One person; betas and expression are SMPL-X's, they mean nothing to another body model."""
        own = slice(row, row + 1)
        pose = self.pose[own]
        return params_from_pose_vectors(pose, self.betas[own], self.expression[own], pose.new_zeros(len(pose), 3))


def read_curated_fits(folder: Path, split: Split) -> CuratedFits:
    """The fits of one split. Photos are looked for below `folder` and `folder/images`, and need not be there.

    Raises DataSetError for missing or damaged files and for arrays of other shapes (expose-facts, section 12).
    """
    LAYOUT.need(folder, f"{split}.npz")
    file = folder / f"{split}.npz"
    arrays = read_npz(file)
    LAYOUT.need_keys(file, arrays, "betas", "expression", "keypoints2D", "pose", "img_fns")
    with LAYOUT.reading(file):
        names = tuple(str(name) for name in arrays["img_fns"])

        def rows(key: str) -> Float[Tensor, "N ..."]:
            values = torch.as_tensor(np.asarray(arrays[key], np.float32))
            if len(values) != len(names):
                raise LAYOUT.unreadable(file, f"{key} has {len(values)} rows, img_fns {len(names)}")
            return values

        pose = rows("pose")
        if pose.ndim != 3 or pose.shape[1:] not in ((53, 3), (55, 3)):
            raise LAYOUT.unreadable(file, f"pose is {tuple(pose.shape)}, expected ({len(names)}, 53 or 55, 3)")
        if pose.shape[1] == 53:  # no eyes: they look ahead
            pose = torch.cat([pose[:, :23], torch.zeros(len(pose), 2, 3), pose[:, 23:]], 1)
        given = {key: rows(key).reshape(len(names), -1, 3) for key in ("vertices", "joints") if key in arrays}
        points = rows("keypoints2D")
        if points.ndim != 3:
            raise LAYOUT.unreadable(file, f"keypoints2D is {tuple(points.shape)}, expected ({len(names)}, 135, 3)")
        photos = tuple(_photo(folder, name) for name in names)
        return CuratedFits(names, photos, pose, rows("betas"), rows("expression"), points, **given)


def _photo(folder: Path, name: str) -> Path:
    """In `folder/images` if it is there, else below `folder`."""
    inner = folder / "images" / name
    return inner if inner.exists() else folder / name
