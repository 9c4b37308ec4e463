"""The pictures behind evidence: crops as JPEGs, one file a shard, decoded when a batch is drawn."""

import io
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from limner.errors import LimnerError
from limner.io.atomic import atomic_write
from limner.io.image_limits import open_image

JPEG_QUALITY = 92


def crops_path(shard: Path) -> Path:
    """Where the pictures of an evidence shard lie: beside it."""
    return shard.with_name(f"crops_{shard.name}")


def shards_with_crops(folder: Path, part: str) -> list[Path]:
    """Evidence whose pictures were kept; raises LimnerError with the cure if there are fewer than two."""
    found = [path for path in sorted(folder.glob(f"{part}_*.safetensors")) if crops_path(path).exists()]
    if len(found) < 2:
        raise LimnerError(
            f"{folder} holds {len(found)} shards of {part} evidence with their pictures, expected at least 2: make "
            f"them with `limner harvest --part {part} --crops`."
        )
    return found


def write_crops(path: Path, pixels: UInt8[Tensor, "N 3 S S"]) -> None:
    """All crops of a shard in one safetensors file, whole or not at all."""
    codes = [_encode(picture) for picture in pixels]
    ends = torch.tensor([len(code) for code in codes]).cumsum(0)
    with atomic_write(path) as file:
        file.write(save({"jpeg": torch.from_numpy(np.concatenate(codes)), "ends": ends}))


def _encode(pixels: UInt8[Tensor, "3 S S"]) -> np.ndarray:
    bgr = pixels.permute(1, 2, 0).numpy()[..., ::-1]
    done, code = cv2.imencode(".jpg", np.ascontiguousarray(bgr), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    return code.reshape(-1)


class CropPictures:
    """Crops of many shards, held in memory as JPEGs (about 20 kB each) and decoded on demand."""

    def __init__(self, paths: list[Path]):
        """Raises LimnerError for a missing or damaged file."""
        self.codes: list[np.ndarray] = []
        for path in paths:
            try:
                shard = load_file(path)
            except (FileNotFoundError, SafetensorError) as error:
                raise LimnerError(
                    f"{path} is missing or damaged ({error}): make it with `limner harvest --crops`; delete the shard "
                    "beside it first, if it was harvested without."
                ) from error
            self.codes += np.split(shard["jpeg"].numpy(), shard["ends"].numpy()[:-1])

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Int[Tensor, "B"]) -> Float[Tensor, "B 3 S S"]:
        """RGB in [0, 1]. Raises PhotoError for a damaged one."""
        rgb = np.stack([_decode(self.codes[i], f"crop {i}") for i in rows.tolist()])
        return torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 255


def _decode(code: np.ndarray, name: str) -> np.ndarray:
    with open_image(io.BytesIO(code.tobytes()), name, ("JPEG",)) as image:
        return np.asarray(image.convert("RGB"))
