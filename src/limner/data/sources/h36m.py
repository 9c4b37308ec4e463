"""How is Human3.6M read, in the parsed form that Moon et al. hand out with SMPL-X fits (NeuralAnnot)?"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from limner.data.sources.layout import Layout

LAYOUT = Layout(
    "Human3.6M, parsed",
    "http://vision.imar.ro/human3.6m (register); parsed photos and annotations: "
    "https://github.com/mks0601/Hand4Whole_RELEASE (`Data`)",
    "academic use only; NeuralAnnot fits: non-commercial",
    "images/s_01_act_02_subact_01_ca_01/s_01_act_02_subact_01_ca_01_000001.jpg ...\n"
    "annotations/Human36M_subject1_data.json      COCO-like images and annotations\n"
    "annotations/Human36M_subject1_camera.json    R, t (mm), f, c of each camera\n"
    "annotations/Human36M_subject1_joint_3d.json  17 joints (mm, world) by action, subaction, frame\n"
    "annotations/Human36M_subject1_SMPLX_NeuralAnnot.json   optional",
)
JOINT_NAMES = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "torso", "neck",
    "nose", "head_top", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip
TEST_SUBJECTS = (9, 11)


@dataclass(frozen=True)
class Frame:
    """One photo of Human3.6M: box x0 y0 x1 y1 and K in photo pixels, 17 joints in camera axes, metres.

    world_fit: NeuralAnnot's SMPL-X numbers as they are in the file (root_pose, body_pose, shape, trans; world axes),
    None where there is no such file.
    """

    name: str
    photo: Path
    box: Float[Tensor, "4"]
    K: Float[Tensor, "3 3"]
    joints: Float[Tensor, "17 3"]
    world_fit: dict[str, Any] | None


def read_h36m(folder: Path, subject: int) -> Iterator[Frame]:
    """All photos of one subject (1, 5, 6, 7, 8 train, 9, 11 test), in the order of the file.

    Raises DataSetError for missing or damaged files when the first photo is asked for.
    """
    start = f"annotations/Human36M_subject{subject}_"
    LAYOUT.need(folder, *(f"{start}{what}.json" for what in ("data", "camera", "joint_3d")))
    data, cameras, joints = (
        LAYOUT.read_json(folder / f"{start}{what}.json") for what in ("data", "camera", "joint_3d")
    )
    fits = folder / f"{start}SMPLX_NeuralAnnot.json"
    smplx = LAYOUT.read_json(fits) if fits.exists() else None
    with LAYOUT.reading(folder / f"{start}data.json"):
        images = {image["id"]: image for image in data["images"]}
        for entry in data["annotations"]:
            image = images[entry["image_id"]]
            action, subaction, frame = (str(image[key]) for key in ("action_idx", "subaction_idx", "frame_idx"))
            camera = cameras[str(image["cam_idx"])]
            rotation, shift = (np.asarray(camera[key], np.float64) for key in ("R", "t"))
            world = np.asarray(joints[action][subaction][frame], np.float64)
            x, y, width, height = map(float, entry["bbox"])
            yield Frame(
                name=Path(image["file_name"]).stem,
                photo=folder / "images" / image["file_name"],
                box=torch.tensor([x, y, x + width, y + height]),
                K=_intrinsics(camera),
                joints=torch.as_tensor((world @ rotation.reshape(3, 3).T + shift.reshape(3)) / 1000).float(),
                world_fit=None if smplx is None else smplx[action][subaction].get(frame),
            )


def _intrinsics(camera: dict[str, Any]) -> Float[Tensor, "3 3"]:
    K = torch.eye(3)
    K[0, 0], K[1, 1] = (float(value) for value in camera["f"])
    K[:2, 2] = torch.tensor([float(value) for value in camera["c"]])
    return K
