"""How are the SPIN fits in SMPL-X read, with which ExPose trained its body network?"""

from pathlib import Path
from typing import Literal

import numpy as np
import torch

from limner.body.keypoints import FACE68, OPENPOSE25, hand21
from limner.data.sources.fits import Fits
from limner.data.sources.layout import Layout
from limner.data.sources.pickled import read_npz

LAYOUT = Layout(
    "SPIN in SMPL-X",
    "https://expose.is.tue.mpg.de (register, `SPIN in SMPL-X`)",
    "non-commercial research; the photos have their own licences",
    "coco.npz lsp.npz lspet.npz mpii.npz   imgname, center, scale, part, pose (N,165), has_smpl, betas, ...\n"
    "coco/train2014/                       COCO 2014 training photos\n"
    "lsp/lsp_dataset_original/images/      LSP\n"
    "lsp/lspet/images/                     LSP-extended\n"
    "mpii/images/                          MPII",
)
Part = Literal["coco", "lsp", "lspet", "mpii"]
PHOTOS: dict[str, str] = {
    "coco": "coco/train2014",
    "lsp": "lsp/lsp_dataset_original/images",
    "lspet": "lsp/lspet/images",
    "mpii": "mpii/images",
}
POINT_GROUPS = {
    "body_keypoints": OPENPOSE25,
    "left_hand_keypoints": hand21("left"),
    "right_hand_keypoints": hand21("right"),
    "face_keypoints": FACE68,
}
"""OpenPose points of a fit; the face array may have two pupils more, which are left out."""


def read_spin_smplx(folder: Path, part: Part) -> Fits:
    """The rows of one source that have a fit (`has_smpl`). Photos need not be there.

    Raises DataSetError for missing or damaged files (expose-facts, section 12).
    """
    LAYOUT.need(folder, f"{part}.npz")
    file = folder / f"{part}.npz"
    arrays = read_npz(file)
    lacking = {"imgname", "pose", "betas", "has_smpl"} - arrays.keys()
    if lacking:
        raise LAYOUT.unreadable(file, f"it lacks {', '.join(sorted(lacking))}")
    with LAYOUT.reading(file):
        keep = np.asarray(arrays["has_smpl"]).astype(bool)
        count = int(keep.sum())
        pose = np.asarray(arrays["pose"], np.float32)[keep]
        if pose.shape != (count, 165):
            raise LAYOUT.unreadable(file, f"pose is {pose.shape}, expected ({count}, 165): SPIN's own files have 72")

        def rows(key: str, width: int) -> torch.Tensor:
            given = np.asarray(arrays[key], np.float32)[keep] if key in arrays else np.zeros((count, width), np.float32)
            return torch.as_tensor(given)

        names = [str(name) for name in np.asarray(arrays["imgname"])[keep]]
        groups = {key: points for key, points in POINT_GROUPS.items() if key in arrays}
        points = [rows(key, 0)[:, : len(point_names)] for key, point_names in groups.items()]
        return Fits(
            names=tuple(f"{part}/{name}" for name in names),
            photos=tuple(folder / PHOTOS[part] / name for name in names),
            pose=torch.as_tensor(pose).reshape(count, 55, 3),
            betas=rows("betas", 10),
            expression=rows("expression", 10),
            transl=rows("translation", 3),
            points=torch.cat([torch.zeros(count, 0, 3), *points], 1),
            point_names=tuple(name for point_names in groups.values() for name in point_names),
            boxes=_boxes(arrays, keep),
        )


def _boxes(arrays: dict[str, np.ndarray], keep: np.ndarray) -> torch.Tensor | None:
    """SPIN's centre and scale: a square of 200 px times the scale about the person."""
    if "center" not in arrays or "scale" not in arrays:
        return None
    center = torch.as_tensor(np.asarray(arrays["center"], np.float32)[keep])
    half = 100 * torch.as_tensor(np.asarray(arrays["scale"], np.float32)[keep]).reshape(-1, 1)
    return torch.cat([center - half, center + half], 1)
