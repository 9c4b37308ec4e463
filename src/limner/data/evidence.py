"""Kept observations of frozen backbones with their targets: shards on disk, one record in memory."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from safetensors.torch import save
from torch import Tensor

from limner.body.axis_angle import params_from_pose_vectors
from limner.body.params import BodyParams
from limner.errors import DataSetError
from limner.geometry.box import Squares
from limner.geometry.camera import Camera
from limner.geometry.rotation import rotation_to_axis_angle
from limner.geometry.warp import Crops
from limner.io.atomic import atomic_write
from limner.networks.backbone import Features
from limner.networks.part_net import Observations
from limner.reading.tensor_file import read_tensors
from limner.reading.told import RefusedError, told_as
from limner.records import Rows

HARVEST = "Delete it, and make it again with `limner harvest`."


@dataclass(frozen=True)
class Evidence(Rows):
    """N synthetic crops of one part as a frozen backbone saw them, with the truth.

    pooled      the backbone's features (float16 on disk)
    keypoints   its keypoints in [-1, 1] of the crop, with confidence
    presence    its belief that the part is there
    image       its features beyond points (float16 on disk and in memory; "N 0": none)
    params      the person, in the photo's camera axes, `transl` included
    camera, squares, mirrored: how the crop was cut from the virtual photo
    visible     "N 144" which of the keypoints144 are inside the photo and not hidden
    """

    pooled: Float[Tensor, "N F"]
    keypoints: Float[Tensor, "N K 3"]
    presence: Float[Tensor, "N"]
    image: Float[Tensor, "N G"]
    params: BodyParams
    camera: Camera
    squares: Squares
    mirrored: Bool[Tensor, "N"]
    visible: Bool[Tensor, "N 144"]

    @property
    def observations(self) -> Observations:
        """What the part network goes on from; no pixels were kept. Photos have their camera in the middle."""
        features = Features(self.pooled, keypoints=self.keypoints, presence=self.presence)
        crops = Crops(self.pooled.new_zeros(len(self), 3, 0, 0), self.squares, self.mirrored)
        frame = torch.arange(len(self), device=self.pooled.device)
        return Observations(frame, 2 * self.camera.center_px, crops, features)


def write_shard(path: Path, evidence: Evidence) -> None:
    """One safetensors file, whole or not at all; rotations as float32 axis-angle, features as float16."""
    tensors = {
        "pooled": evidence.pooled.half(),
        "keypoints": evidence.keypoints,
        "presence": evidence.presence,
        "image": evidence.image.half(),
        "pose": rotation_to_axis_angle(evidence.params.full_pose()),
        "betas": evidence.params.betas,
        "expression": evidence.params.expression,
        "transl": evidence.params.transl,
        "focal_px": evidence.camera.focal_px,
        "principal_px": evidence.camera.center_px,
        "square_center_px": evidence.squares.center_px,
        "square_size_px": evidence.squares.size_px,
        "square_angle_rad": evidence.squares.angle_rad,
        "mirrored": evidence.mirrored,
        "visible": evidence.visible,
    }
    with atomic_write(path) as file:
        file.write(save({k: v.contiguous() for k, v in tensors.items()}))


def read_shards(paths: list[Path]) -> Evidence:
    """All shards as one record, float32. Raises DataSetError for a missing or damaged one."""
    parts = [_read_tensors(path) for path in paths]
    with told_as(DataSetError, ", ".join(map(str, paths[:3])), "The shards do not fit together. " + HARVEST):
        return _evidence({key: torch.cat([part[key] for part in parts]) for key in parts[0]})


def _read_tensors(path: Path) -> dict[str, Tensor]:
    with told_as(DataSetError, path, HARVEST):
        tensors = read_tensors(path)[0]
        if len({len(tensor) for tensor in tensors.values()}) != 1:
            raise RefusedError("its tensors are of different lengths")
    return tensors


def _evidence(t: dict[str, Tensor]) -> Evidence:
    params = params_from_pose_vectors(t["pose"], t["betas"], t["expression"], t["transl"])
    return Evidence(
        pooled=t["pooled"].float(),
        keypoints=t["keypoints"],
        presence=t["presence"],
        image=t["image"],
        params=params,
        camera=Camera(t["focal_px"], t["principal_px"]),
        squares=Squares(t["square_center_px"], t["square_size_px"], t["square_angle_rad"]),
        mirrored=t["mirrored"],
        visible=t["visible"],
    )
