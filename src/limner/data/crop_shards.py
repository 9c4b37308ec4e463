"""The pictures behind evidence: crops as JPEGs, one file a shard, decoded when a batch is drawn."""

import io
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from limner.errors import DataSetError, LimnerError
from limner.io.atomic import atomic_write
from limner.io.image_limits import open_image
from limner.reading.tensor_file import read_tensors
from limner.reading.told import RefusedError, told_as

JPEG_QUALITY = 92
MOST_SIDE_PX = 2048
"""No crop for a network is larger."""


def crops_path(shard: Path) -> Path:
    """Where the pictures of an evidence shard lie: beside it."""
    return shard.with_name(f"crops_{shard.name}")


def shards_with_crops(folder: Path, part: str) -> list[Path]:
    """Evidence whose pictures were kept; raises LimnerError with the cure if there are fewer than two."""
    found = [path for path in sorted(folder.glob(f"{part}_*.safetensors")) if crops_path(path).exists()]
    if len(found) < 2:
        raise LimnerError(
            f"{folder} holds {len(found)} shards of {part} evidence with their pictures, expected at least 2: make "
            f"them with `limner render crops --part {part} --pictures`."
        )
    return found


def write_crops(path: Path, pixels: UInt8[Tensor, "N 3 S S"]) -> None:
    """All crops of a shard in one safetensors file, whole or not at all."""
    codes = [_encode(picture) for picture in pixels]
    ends = torch.tensor([len(code) for code in codes]).cumsum(0)
    with atomic_write(path) as file:
        file.write(save({"jpeg": torch.from_numpy(np.concatenate(codes)), "ends": ends}))


def _encode(pixels: UInt8[Tensor, "3 S S"]) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0))).save(file, "JPEG", quality=JPEG_QUALITY)
    return np.frombuffer(file.getvalue(), np.uint8)


class CropPictures:
    """Crops of many shards, held in memory as JPEGs (about 20 kB each) and decoded on demand."""

    def __init__(self, paths: list[Path]):
        """Raises DataSetError for a missing or damaged file."""
        self.codes: list[np.ndarray] = []
        self._paths: list[Path] = []
        for path in paths:
            cure = "Make it with `limner render crops --pictures`; delete a shard beside it that was made without."
            with told_as(DataSetError, path, cure):
                shard = read_tensors(path)[0]
                codes = np.split(shard["jpeg"].numpy(), shard["ends"].numpy()[:-1])
                if not all(len(code) and bytes(code[:2]) == b"\xff\xd8" for code in codes):
                    raise RefusedError("not all of it are JPEGs")
            self.codes += codes
            self._paths += [path] * len(codes)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Int[Tensor, "B"]) -> Float[Tensor, "B 3 S S"]:
        """RGB in [0, 1]. Raises DataSetError for a damaged picture."""
        rgb = np.stack([self._decoded(i) for i in rows.tolist()])
        return torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 255

    def _decoded(self, row: int) -> np.ndarray:
        path = self._paths[row]
        with (
            told_as(DataSetError, path, "A picture in it is damaged: delete it and its shard, and render again."),
            open_image(io.BytesIO(self.codes[row].tobytes()), f"{path}, crop {row}", ("JPEG",)) as image,
        ):
            if max(image.size) > MOST_SIDE_PX or image.width != image.height:
                raise RefusedError(f"a crop of {image.size} pixels")
            return np.asarray(image.convert("RGB"))
