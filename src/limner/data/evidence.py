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

HARVEST = "Delete it, and make it again with `limner render crops`."


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

    @classmethod
    def of(cls, seen: Observations, params: BodyParams, camera: Camera, visible: Bool[Tensor, "N 144"]) -> "Evidence":
        """Observations of a backbone that gives points and presence, with their targets."""
        given = seen.features
        assert given.keypoints is not None and given.presence is not None
        image = given.pooled.new_zeros(len(seen), 0) if given.image is None else given.image
        kept = given.pooled, given.keypoints, given.presence, image
        return cls(*kept, params, camera, seen.squares, seen.mirrored, visible)

    @property
    def observations(self) -> Observations:
        """What the part network goes on from; no pixels were kept. Photos have their camera in the middle."""
        return kept_observations(
            self.pooled, self.keypoints, self.presence, self.squares, self.mirrored, 2 * self.camera.center_px
        )


def observation_tensors(seen: Observations) -> dict[str, Tensor]:
    """What is kept of observations of a backbone that gives points and presence, by name; features as float16."""
    assert seen.features.keypoints is not None and seen.features.presence is not None
    return {
        "pooled": seen.features.pooled.half(),
        "keypoints": seen.features.keypoints,
        "presence": seen.features.presence,
        "square_center_px": seen.squares.center_px,
        "square_size_px": seen.squares.size_px,
        "square_angle_rad": seen.squares.angle_rad,
        "mirrored": seen.mirrored,
    }


def squares_of(t: dict[str, Tensor]) -> Squares:
    """The squares among kept tensors."""
    return Squares(t["square_center_px"], t["square_size_px"], t["square_angle_rad"])


def kept_observations(
    pooled: Float[Tensor, "N F"],
    keypoints: Float[Tensor, "N K 3"],
    presence: Float[Tensor, "N"],
    squares: Squares,
    mirrored: Bool[Tensor, "N"],
    size_px: Float[Tensor, "N 2"],
) -> Observations:
    """Observations from what was kept of them, each in a frame of its own."""
    crops = Crops(pooled.new_zeros(len(pooled), 3, 0, 0), squares, mirrored)
    frame = torch.arange(len(pooled), device=pooled.device)
    return Observations(frame, size_px, crops, Features(pooled, keypoints=keypoints, presence=presence))


def write_shard(path: Path, evidence: Evidence) -> None:
    """One safetensors file, whole or not at all; rotations as float32 axis-angle, features as float16."""
    tensors = {
        **observation_tensors(evidence.observations),
        "image": evidence.image.half(),
        "pose": rotation_to_axis_angle(evidence.params.full_pose()),
        "betas": evidence.params.betas,
        "expression": evidence.params.expression,
        "transl": evidence.params.transl,
        "focal_px": evidence.camera.focal_px,
        "principal_px": evidence.camera.center_px,
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
        squares=squares_of(t),
        mirrored=t["mirrored"],
        visible=t["visible"],
    )
