"""Rendered evidence split in two: shards that networks are trained on, and shards held out."""

from pathlib import Path

from limner.data.evidence import Evidence, read_shards
from limner.errors import LimnerError

HELD_OUT_SHARDS = 4
"""So many shards, the first ones, are never trained on (of fewer than eight: the first)."""
MIN_VISIBLE = {"body": 0.0, "hand": 0.5, "face": 0.5}
"""Share of a part's keypoints that must be seen in a crop that counts."""


def split_shards(paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """Shards to train on, and those held out."""
    held = HELD_OUT_SHARDS if len(paths) >= 2 * HELD_OUT_SHARDS else 1
    return paths[held:], paths[:held]


def read_evidence(folder: Path, part: str) -> tuple[Evidence, Evidence]:
    """Training and held-out rendered evidence, split by shard (people of one shard never fall into both)."""
    paths = sorted(folder.glob(f"{part}_*.safetensors"))
    if len(paths) < 2:
        raise LimnerError(
            f"{folder} holds {len(paths)} shards of {part} evidence, expected at least 2: make them with "
            "`limner render crops --out FOLDER --shards 40`."
        )
    training, held_out = split_shards(paths)
    return read_shards(training), read_shards(held_out)
