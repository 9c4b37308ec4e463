"""How are FLAME fits of FFHQ portraits read, with which ExPose trained its head network?"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.keypoints import CONTOUR_NAMES, INNER_FACE_NAMES
from limner.data.sources.layout import Layout
from limner.data.sources.pickled import read_npz

LAYOUT = Layout(
    "FLAME fits of FFHQ",
    "https://github.com/open-mmlab/mmhuman3d (docs/preprocess_dataset.md, `FFHQ`); photos: "
    "https://github.com/NVlabs/ffhq-dataset",
    "fits: not stated, made with FLAME (non-commercial); photos: CC BY-NC-SA 4.0",
    "ffhq_annotations.npz           global_pose, jaw_pose, betas, expression, keypoints2d, img_fnames\n"
    "ffhq_global_images_1024/*.png  the portraits",
)
POINT_NAMES = ("neck", "head", "jaw", "left_eye_smplx", "right_eye_smplx", *INNER_FACE_NAMES, *CONTOUR_NAMES)
"""73 points: FLAME's five joints and 68 landmarks, the jaw line last."""


@dataclass(frozen=True)
class HeadFit:
    """One portrait of 1024 x 1024 px: absolute head rotation and jaw, axis-angle, radians; FLAME's coefficients."""

    name: str
    photo: Path
    global_pose: Float[Tensor, "3"]
    jaw_pose: Float[Tensor, "3"]
    betas: Float[Tensor, "S"]
    expression: Float[Tensor, "E"]
    points_px: Float[Tensor, "73 2"]


@dataclass(frozen=True)
class HeadFits:
    """All portraits of the file."""

    folder: Path
    names: tuple[str, ...]
    arrays: dict[str, Float[Tensor, "N ..."]]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> HeadFit:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        row = {key: array[index] for key, array in self.arrays.items()}
        name = self.names[index]
        return HeadFit(name=name, photo=self.folder / "ffhq_global_images_1024" / name, **row)


def read_ffhq_fits(folder: Path) -> HeadFits:
    """All fits. Raises DataSetError for missing or damaged files (expose-facts, section 12)."""
    LAYOUT.need(folder, "ffhq_annotations.npz")
    file = folder / "ffhq_annotations.npz"
    arrays = read_npz(file)
    with LAYOUT.reading(file):
        points = arrays.get("keypoints2d", arrays.get("keypoints2D"))
        keys = ("global_pose", "jaw_pose", "betas", "expression")
        lacking = [key for key in (*keys, "img_fnames") if key not in arrays] + (
            ["keypoints2d"] if points is None else []
        )
        if lacking or points is None:
            raise LAYOUT.unreadable(file, f"it lacks {', '.join(lacking)}")
        count = len(arrays["img_fnames"])
        if np.shape(points)[1:2] != (73,):
            raise LAYOUT.unreadable(file, f"keypoints2d is {np.shape(points)}, expected ({count}, 73, 2)")
        tensors = {key: torch.as_tensor(np.asarray(arrays[key], np.float32)).reshape(count, -1) for key in keys}
        tensors["points_px"] = torch.as_tensor(np.asarray(points, np.float32)[..., :2])
        return HeadFits(folder, tuple(str(name) for name in arrays["img_fnames"]), tensors)
