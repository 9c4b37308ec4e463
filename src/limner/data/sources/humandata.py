"""How are HumanData files of MMHuman3D and the SMPLer-X family read?"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limner.data.sources.fits import Fits
from limner.data.sources.layout import Layout
from limner.data.sources.pickled import read_npz

LAYOUT = Layout(
    "a HumanData .npz",
    "https://github.com/open-mmlab/mmhuman3d (docs/human_data.md); SMPLer-X's files: "
    "https://huggingface.co/datasets/caizhongang/SMPLer-X",
    "that of the data set behind the file",
    "FILE.npz   image_path, bbox_xywh, smplx {global_orient, body_pose, betas, ...}, meta, misc, ...\n"
    "           (the photos lie where image_path says, below the data set's own folder)",
)
JOINTS = {
    "global_orient": 1,
    "body_pose": 21,
    "jaw_pose": 1,
    "leye_pose": 1,
    "reye_pose": 1,
    "left_hand_pose": 15,
    "right_hand_pose": 15,
}
"""How many of the 55 rotations a key holds, in order; keys that the file lacks mean no rotation."""


def read_humandata(file: Path, photos: Path) -> Fits:
    """All people of one file; `photos`: the folder that image_path is relative to.

    Hand poses are taken as the file has them: most such files hold offsets from SMPL-X's mean hand
    (`flat_hand_mean=False`); add it with `limner.data.sources.fits.add_mean_hands` where that is so. Keypoints stay
    in the file: their 190 names are MMHuman3D's own. Raises DataSetError for missing or damaged files and for files
    without SMPL-X parameters.
    """
    if not file.is_file():
        raise LAYOUT.error(file, "there is no such file")
    arrays = read_npz(file)
    with LAYOUT.reading(file):
        params = arrays.get("smplx")
        if not isinstance(params, dict) or "global_orient" not in params or "image_path" not in arrays:
            raise LAYOUT.unreadable(
                file, f"it has no image_path or no smplx parameters, only {', '.join(sorted(arrays))}"
            )
        names = [str(name) for name in np.asarray(arrays["image_path"]).reshape(-1)]
        count = len(names)

        def rows(key: str, width: int) -> Tensor:
            if key not in params:
                return torch.zeros(count, width)
            return torch.as_tensor(np.asarray(params[key], np.float32)).reshape(count, -1)

        pose = torch.cat([rows(key, 3 * joints) for key, joints in JOINTS.items()], 1)
        if pose.shape[1] != 165:
            raise LAYOUT.unreadable(file, f"its poses have {pose.shape[1]} numbers, expected 165 axis-angle ones")
        return Fits(
            names=tuple(names),
            photos=tuple(photos / name for name in names),
            pose=pose.reshape(count, 55, 3),
            betas=rows("betas", 10),
            expression=rows("expression", 10),
            transl=rows("transl", 3),
            points=torch.zeros(count, 0, 3),
            point_names=(),
            boxes=_boxes(arrays),
        )


def _boxes(arrays: dict[str, Any]) -> Tensor | None:
    if "bbox_xywh" not in arrays:
        return None
    xywh = torch.as_tensor(np.asarray(arrays["bbox_xywh"], np.float32))[:, :4]
    return torch.cat([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1)
