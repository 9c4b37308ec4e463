"""`limner harvest`: synthetic people and what backbones see in them."""

from pathlib import Path
from typing import Literal

from limner.errors import LimnerError


def harvest(
    out: Path,
    shards: int = 40,
    seed: int = 7,
    poses: Path | None = None,
    hdri: Path | None = None,
    part: Literal["body", "hand", "hands", "face", "all", "person"] = "all",
    crops: bool = False,
    again: Path | None = None,
    depth: Path | None = None,
) -> int:
    """Render synthetic people and keep what the frozen backbones see in them (step 1 of training).

    Args:
        out: folder of the shards; existing ones are kept, so a run that was cut off goes on.
        shards: how many, 128 people each (of `person`: 32 photos each).
        seed: other seeds give other people.
        poses: captured key poses (.npz); without, everyday poses only.
        hdri: folder of panoramas for light and backgrounds; without, plain studios.
        part: only this part of the people; the same seed shows the same people. person: whole photos of nobody, one or
            several people with boxes and points, in COCO's layout, for `train person`.
        crops: keep the pictures as well (2.5 MB a shard and part), to train backbones.
        again: render nobody; look again at the crops kept in this folder.
        depth: depth branch (`limner train depth`) to look with.
    """
    from limner.train.run import run_harvest, run_looks, run_photos

    part = "hand" if part == "hands" else part
    if part == "person":
        if crops or again is not None or depth is not None:
            raise LimnerError("--crops, --again and --depth are for crops of bodies, hands and faces: leave them out.")
        run_photos(out, shards, seed, poses, hdri)
    elif again is not None:
        run_looks(again, out, part, depth)
    else:
        run_harvest(out, shards, seed, poses, hdri, part, crops, depth)
    return 0
