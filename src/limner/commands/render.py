"""Render synthetic people: crops and photos with exact truth, and what the frozen backbones see in them."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

Parts = Literal["body", "hand", "face", "all"]


def crops(
    out: Path,
    shards: int = 40,
    seed: int = 7,
    poses: Path | None = None,
    hdri: Path | None = None,
    part: Parts = "all",
    pictures: bool = False,
    depth: Path | None = None,
) -> int:
    """Render crops of synthetic people and keep what the frozen backbones see in them (step 1 of training).

    Args:
        out: folder of the shards; existing ones are kept, so a run that was cut off goes on.
        shards: how many, 128 people each.
        seed: other seeds give other people.
        poses: captured key poses (.npz); without, everyday poses only.
        hdri: folder of panoramas for light and backgrounds; without, plain studios.
        part: only this part of the people; the same seed shows the same people.
        pictures: keep the crops as well (2.5 MB a shard and part), to train backbones.
        depth: depth branch (`limner train depth`) to look with.
    """
    from limner.train.run import run_crops

    run_crops(out, shards, seed, poses, hdri, part, pictures, depth)
    return 0


def photos(out: Path, shards: int = 40, seed: int = 7, poses: Path | None = None, hdri: Path | None = None) -> int:
    """Render whole photos of nobody, one or several people, labelled in COCO's layout, for `train detector`.

    Args:
        out: folder of the photos; existing shards are kept, so a run that was cut off goes on.
        shards: how many, 32 photos each.
        seed: other seeds give other people.
        poses: captured key poses (.npz); without, everyday poses only.
        hdri: folder of panoramas for light and backgrounds; without, plain studios.
    """
    from limner.train.run import run_photos

    run_photos(out, shards, seed, poses, hdri)
    return 0


def again(
    crops: Annotated[Path, tyro.conf.Positional], /, out: Path, part: Parts = "all", depth: Path | None = None
) -> int:
    """Render nobody: look with today's backbones at crops that were kept.

    Args:
        crops: folder made by `limner render crops --pictures`.
        out: folder of the new shards; existing ones are kept.
        part: only this part of the people.
        depth: depth branch (`limner train depth`) to look with.
    """
    from limner.train.run import run_again

    run_again(crops, out, part, depth)
    return 0
