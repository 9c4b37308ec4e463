"""How are ExPose's curated fits read? SMPL-X fits of LSP, LSP-extended and MPII photos that people have checked."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.keypoints import KEYPOINT_SETS
from limner.data.sources.fits import Fits
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


def read_curated_fits(folder: Path, split: Split) -> Fits:
    """The fits of one split. Photos are looked for below `folder` and `folder/images`, and need not be there.

    Raises DataSetError for missing or damaged files and for arrays of other shapes (expose-facts, section 12).
    """
    LAYOUT.need(folder, f"{split}.npz")
    file = folder / f"{split}.npz"
    arrays = read_npz(file)
    with LAYOUT.reading(file):
        lacking = {"betas", "expression", "keypoints2D", "pose", "img_fns"} - arrays.keys()
        if lacking:
            raise LAYOUT.unreadable(file, f"it lacks {', '.join(sorted(lacking))}")
        names = [str(name) for name in arrays["img_fns"]]
        pose = with_eyes(torch.as_tensor(np.asarray(arrays["pose"], np.float32)))
        if pose is None or len(pose) != len(names):
            raise LAYOUT.unreadable(file, f"pose is {np.shape(arrays['pose'])}, expected ({len(names)}, 53 or 55, 3)")
        return Fits(
            names=tuple(names),
            photos=tuple(photo_of(folder, name) for name in names),
            pose=pose,
            betas=torch.as_tensor(np.asarray(arrays["betas"], np.float32)),
            expression=torch.as_tensor(np.asarray(arrays["expression"], np.float32)),
            transl=torch.zeros(len(names), 3),
            points=torch.as_tensor(np.asarray(arrays["keypoints2D"], np.float32)),
            point_names=KEYPOINT_SETS["openpose135"],
        )


def read_curated_truth(folder: Path) -> dict[str, Float[Tensor, "N _ 3"]]:
    """`vertices` "N 10475 3" and `joints` "N 14 3" (metres) of the validation fits, as far as the file has them."""
    LAYOUT.need(folder, "val.npz")
    arrays = read_npz(folder / "val.npz")
    with LAYOUT.reading(folder / "val.npz"):
        return {
            name: torch.as_tensor(np.asarray(arrays[name], np.float32)).reshape(len(arrays[name]), -1, 3)
            for name in ("vertices", "joints")
            if name in arrays
        }


def with_eyes(pose: Float[Tensor, "N J 3"]) -> Float[Tensor, "N 55 3"] | None:
    """53 rotations (no eyes) or 55 as 55 in SMPL-X order; None for any other number."""
    if pose.ndim != 3 or pose.shape[1] not in (53, 55):
        return None
    if pose.shape[1] == 55:
        return pose
    return torch.cat([pose[:, :23], torch.zeros(len(pose), 2, 3), pose[:, 23:]], 1)


def photo_of(folder: Path, name: str) -> Path:
    """Where a photo of the set lies: in `folder/images` if it is there, else below `folder`."""
    inner = folder / "images" / name
    return inner if inner.exists() else folder / name
