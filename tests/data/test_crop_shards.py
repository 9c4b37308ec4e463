"""Kept crops come back as they were, as far as JPEG allows; what is missing or damaged names the cure."""

import pytest
import torch

from limner.data.crop_shards import CropPictures, crops_path, shards_with_crops, write_crops
from limner.errors import LimnerError


def ramps(count: int) -> torch.Tensor:
    """Smooth pictures, each of another colour."""
    slope = torch.linspace(0, 120, 32)
    picture = slope[:, None] + slope[None]
    tint = torch.arange(count * 3).view(count, 3, 1, 1) * 3
    return (picture + tint).clamp(0, 255).to(torch.uint8)


def test_pictures_of_two_shards_come_back_in_order(tmp_path):
    pictures = ramps(5)
    write_crops(tmp_path / "a", pictures[:2])
    write_crops(tmp_path / "b", pictures[2:])
    kept = CropPictures([tmp_path / "a", tmp_path / "b"])
    assert len(kept) == 5
    assert (kept[torch.tensor([4, 1])] * 255 - pictures[[4, 1]].float()).abs().max() < 8


def test_missing_and_damaged_crops_name_the_cure(tmp_path):
    with pytest.raises(LimnerError, match="limner render crops --pictures"):
        CropPictures([tmp_path / "none"])
    (tmp_path / "cut").write_bytes(b"\x10")
    with pytest.raises(LimnerError, match="limner render crops --pictures"):
        CropPictures([tmp_path / "cut"])


def test_only_shards_with_pictures_count(tmp_path):
    for shard in range(3):
        (tmp_path / f"body_{shard:05d}.safetensors").touch()
        if shard:
            crops_path(tmp_path / f"body_{shard:05d}.safetensors").touch()
    assert [path.name[5:10] for path in shards_with_crops(tmp_path, "body")] == ["00001", "00002"]
    with pytest.raises(LimnerError, match="holds 0 shards of hand evidence"):
        shards_with_crops(tmp_path, "hand")
