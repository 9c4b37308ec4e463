"""AGORA in the parsed form that Moon et al. hand out, and submissions to its server."""

import pickle
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.axis_angle import COUNTS, add_mean_hands, axis_angle_from_params, params_from_pose_vectors
from limner.body.params import BodyParams
from limner.data.sources.layout import Layout
from limner.io.atomic import atomic_write

LAYOUT = Layout(
    "AGORA (validation), parsed",
    "https://agora.is.tue.mpg.de (register); parsed annotations: "
    "https://github.com/mks0601/Hand4Whole_RELEASE (`Data`)",
    "non-commercial research",
    "AGORA_validation_SMPLX.json     COCO-like; annotations name smplx_param_path and cam_param_path\n"
    "smplx_params_cam/ cam_params/   JSON a person: SMPL-X parameters in camera axes; focal, princpt\n"
    "validation/*_1280x720.png       photos (or 3840x2160: where file_name_3840x2160 says)",
)
Split = Literal["train", "validation"]
PARSED = "AGORA_validation_SMPLX.json"
FULL_WIDTH, SMALL_WIDTH = 3840, 1280
"""Annotations are in pixels of 3840 x 2160; the photos that most people download are 1280 x 720."""


@dataclass(frozen=True)
class AgoraPerson:
    """One person in one photo: SMPL-X parameters in camera axes, metres; boxes and K in pixels of `photo`.

    Finger poses are as in the file: offsets from the mean hand (`flat_hand_mean=False`), axis-angle in `pose`.
    """

    name: str
    image: str
    photo: Path
    box: Float[Tensor, "4"]
    K: Float[Tensor, "3 3"]
    pose: Float[Tensor, "55 3"]
    betas: Float[Tensor, "S"]
    expression: Float[Tensor, "E"]
    transl: Float[Tensor, "3"]

    def params(self, hand_means: Float[Tensor, "2 45"]) -> BodyParams:
        """Whole rotations; `hand_means` come from the SMPL-X file."""
        pose = add_mean_hands(self.pose[None], hand_means)
        return params_from_pose_vectors(pose, self.betas[None], self.expression[None], self.transl[None])


def read_agora(folder: Path, split: Split = "validation") -> Iterator[AgoraPerson]:
    """The valid people of a split. Raises DataSetError for missing or damaged files when the first one is asked for."""
    name = f"AGORA_{split}_SMPLX.json"
    LAYOUT.need(folder, name)
    content = _read(folder / name)
    with LAYOUT.reading(folder / name):
        images = {image["id"]: image for image in content["images"]}
        for entry in content["annotations"]:
            if not entry.get("is_valid", True):
                continue
            image = images[entry["image_id"]]
            photo, scale = _photo(folder, image)
            smplx, camera = (_read(folder / entry[key]) for key in ("smplx_param_path", "cam_param_path"))
            x, y, width, height = (float(value) * scale for value in np.ravel(entry["bbox"]))
            yield AgoraPerson(
                name=f"{_plain_name(photo)}#{entry['person_id']}",
                image=_plain_name(photo),
                photo=photo,
                box=torch.tensor([x, y, x + width, y + height]),
                K=_intrinsics(camera, scale),
                pose=_pose(smplx),
                betas=_flat(smplx, "betas"),
                expression=_flat(smplx, "expression"),
                transl=_flat(smplx, "transl"),
            )


def _pose(smplx: dict[str, Any]) -> Float[Tensor, "55 3"]:
    parts = [
        _flat(smplx, key).reshape(count, 3) if key in smplx else torch.zeros(count, 3) for key, count in COUNTS.items()
    ]
    return torch.cat(parts)


def _flat(content: dict[str, Any], key: str) -> Tensor:
    return torch.tensor(np.ravel(np.asarray(content[key], np.float32)))


def _photo(folder: Path, image: dict[str, Any]) -> tuple[Path, float]:
    """The photo that is there, the large one first, and the factor from annotated pixels to its own."""
    for width in (FULL_WIDTH, SMALL_WIDTH):
        key = f"file_name_{width}x{width * 9 // 16}"
        if key in image and (folder / image[key]).exists():
            return folder / image[key], width / FULL_WIDTH
    return folder / image.get("file_name_1280x720", image.get("file_name", "")), SMALL_WIDTH / FULL_WIDTH


def _plain_name(photo: Path) -> str:
    return photo.stem.removesuffix("_1280x720")


def _intrinsics(camera: dict[str, Any], scale: float) -> Float[Tensor, "3 3"]:
    K = torch.eye(3)
    K[0, 0], K[1, 1] = (float(value) * scale for value in camera["focal"])
    K[:2, 2] = torch.tensor([float(value) * scale for value in camera["princpt"]])
    return K


def _read(file: Path) -> dict[str, Any]:
    if not file.exists():
        raise LAYOUT.error(file, "there is no such file, but the annotations name it")
    return LAYOUT.read_json(file)


@dataclass(frozen=True)
class Submitted:
    """One person of a submission: photo name (without ending), parameters in camera axes with whole finger rotations,
    SMPL-X betas, and 24 joints in pixels of the 3840 x 2160 photo."""

    image: str
    params: BodyParams
    joints_px: Float[Tensor, "24 2"]


def write_submission_files(folder: Path, people: list[Submitted], hand_means: Float[Tensor, "2 45"]) -> None:
    """IMAGE_personId_N.pkl, a dict of arrays, for everybody in some photos: long runs write them as they go.

    Layout: AGORA's docs/prediction_format.md (parameters uploaded; axis-angle, fingers as offsets from the mean hand,
    as the server's SMPL-X layer adds it). The 24 joints only match people to the target; limner writes the first 24 of
    SMPL-X. Raises OutputError.
    """
    numbers: dict[str, int] = {}
    for person in people:
        number = numbers.get(person.image, 0)
        numbers[person.image] = number + 1
        rows = axis_angle_from_params(person.params)
        for side, mean in zip(("left_hand_pose", "right_hand_pose"), hand_means, strict=True):
            rows[side] = rows[side] - mean
        content = {"joints": person.joints_px.numpy(), "params": {key: row.numpy() for key, row in rows.items()}}
        with atomic_write(folder / f"{person.image}_personId_{number}.pkl") as file:
            pickle.dump(content, file, protocol=2)


def zip_submission(path: Path, folder: Path) -> None:
    """predictions.zip for AGORA's server: all files that `write_submission_files` has put into a folder.

    Raises OutputError.
    """
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in sorted(folder.glob("*_personId_*.pkl")):
            archive.writestr(f"predictions/{one.name}", one.read_bytes())
