"""3DPW: the published sequence files, or ExPose's own npz of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from limner.data.sources.layout import Layout
from limner.data.sources.pickled import read_npz, read_pickle
from limner.geometry.box import box_of_points

LAYOUT = Layout(
    "3DPW",
    "https://virtualhumans.mpi-inf.mpg.de/3DPW",
    "non-commercial scientific research",
    "imageFiles/downtown_arguing_00/image_00000.jpg ...\n"
    "sequenceFiles/test/downtown_arguing_00.pkl ...   (also train, validation)",
)
EXPOSE_LAYOUT = Layout(
    "ExPose's npz of 3DPW",
    "nobody: its authors use it but do not hand it out; limner reads it if you have it",
    "as 3DPW",
    "3dpw_test.npz                      img_paths, joints3d (N,>=14,3), keypoints2d (N,18,3), center, scale, pid, ...\n"
    "smplx_vertices/test/000000.npy ... optional, SMPL-X vertices, metres",
)
Split = Literal["train", "validation", "test"]

SMPL_JOINTS = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
"""SMPL's 24 joints by the names of the body's joints; the last two are the middle of the palms."""


@dataclass(frozen=True)
class Person3DPW:
    """One person in one photo: joints "J 3" in camera axes, metres, by `joint_names`; box from the 2D points;
    vertices_file: SMPL-X vertices or None."""

    name: str
    sequence: str
    photo: Path
    box: Float[Tensor, "4"]
    joints: Float[Tensor, "J 3"]
    joint_names: tuple[str, ...]
    vertices_file: Path | None = None


def read_threedpw(folder: Path, split: Split = "test") -> Iterator[Person3DPW]:
    """Every person in every photo whose camera pose is valid, sequence by sequence, sorted.

    Sequences are read one at a time. Raises DataSetError for missing or damaged files (a sequence without its photos is
    half a download). Pickles run no code. With ExPose's npz in `folder`, that is read instead.
    """
    if (folder / f"3dpw_{split}.npz").exists():
        yield from _read_expose(folder, split)
        return
    LAYOUT.need(folder, "sequenceFiles", "imageFiles")
    for file in LAYOUT.some(folder / "sequenceFiles" / split, "*.pkl"):
        content = read_pickle(file)
        with LAYOUT.reading(file):
            LAYOUT.need_keys(file, content, "jointPositions", "cam_poses", "campose_valid", "poses2d")
            photos = folder / "imageFiles" / str(content.get("sequence", file.stem))
            if not photos.is_dir():
                raise LAYOUT.error(folder, f"sequence {file.name} has no photos in {photos.relative_to(folder)}")
            yield from _people(content, file.stem, photos)


def _people(content: dict[str, Any], sequence: str, photos: Path) -> Iterator[Person3DPW]:
    world_to_camera = np.asarray(content["cam_poses"], np.float64)
    for person, positions in enumerate(content["jointPositions"]):
        joints = np.asarray(positions, np.float64).reshape(len(positions), 24, 3)
        for frame in np.flatnonzero(np.asarray(content["campose_valid"][person])):
            turn, shift = world_to_camera[frame, :3, :3], world_to_camera[frame, :3, 3]
            points = torch.as_tensor(np.asarray(content["poses2d"][person][frame], np.float32)).mT
            yield Person3DPW(
                name=f"{sequence}/image_{frame:05d}#{person}",
                sequence=sequence,
                photo=photos / f"image_{frame:05d}.jpg",
                box=box_of_points(points[:, :2], points[:, 2]),
                joints=torch.as_tensor(joints[frame] @ turn.T + shift).float(),
                joint_names=SMPL_JOINTS,
            )


def _read_expose(folder: Path, split: Split) -> Iterator[Person3DPW]:
    """ExPose's private layout (expose-facts, section 12): the first 14 joints are LSP's, `j14_names`."""
    file = folder / f"3dpw_{split}.npz"
    arrays = read_npz(file)
    EXPOSE_LAYOUT.need_keys(file, arrays, "img_paths", "joints3d", "keypoints2d")
    with EXPOSE_LAYOUT.reading(file):
        points = torch.as_tensor(np.asarray(arrays["keypoints2d"], np.float32))
        joints = torch.as_tensor(np.asarray(arrays["joints3d"], np.float32))[:, :14]
        for row, name in enumerate(str(path) for path in arrays["img_paths"]):
            vertices = folder / "smplx_vertices" / split / f"{row:06d}.npy"
            yield Person3DPW(
                name=f"{Path(name).with_suffix('')}#{int(arrays['pid'][row]) if 'pid' in arrays else 0}",
                sequence=Path(name).parent.name,
                photo=folder / name,
                box=box_of_points(points[row, :, :2], points[row, :, 2]),
                joints=joints[row],
                joint_names=J14_NAMES,
                vertices_file=vertices if vertices.exists() else None,
            )


J14_NAMES = tuple(
    f"j14_{name}"
    for name in (
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
        "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top",
    )
)  # fmt: skip
"""The 14 joints that are regressed from vertices (LSP's order): other points than a skeleton's joints of like name."""
