"""Render synthetic people: crops and photos with exact truth, and what the frozen backbones see in them."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from limner.train.orders import Rendering

Parts = Literal["body", "hand", "face", "all"]
Rendered = Annotated[Rendering, tyro.conf.arg(name="")]


def crops(rendering: Rendered, part: Parts = "all", pictures: bool = False, depth: Path | None = None) -> int:
    """Render crops of synthetic people and keep what the frozen backbones see in them (step 1 of training).

    Args:
        part: only this part of the people.
        pictures: keep the crops as well (2.5 MB a shard and part), to train backbones.
        depth: depth branch (`limner train depth`) to look with.
    """
    from limner.train.run import run_crops

    run_crops(rendering, part, pictures, depth)
    return 0


def photos(rendering: Rendered) -> int:
    """Render whole photos of nobody, one or several people, labelled in COCO's layout, for `train detector`."""
    from limner.train.run import run_photos

    run_photos(rendering)
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
