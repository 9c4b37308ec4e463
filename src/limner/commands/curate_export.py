"""`limner curate-export`: a curated set as a data set."""

from pathlib import Path
from typing import Annotated, Literal

import tyro


def curate_export(
    folder: Annotated[Path, tyro.conf.Positional],
    /,
    out: Path,
    include: Literal["accepted", "good"] = "accepted",
    min_quality: float = 0.7,
    layouts: tuple[Literal["shards", "expose", "evidence"], ...] = ("shards", "expose"),
    val_share: float = 0.05,
    body_model: Path | None = None,
) -> int:
    """Write a curated set as a data set: webdataset shards and ExPose's curated_fits layout.

    Args:
        folder: the set.
        out: folder of the data set; must not exist, or be one that was exported before.
        include: who is in it: accepted by a reviewer, or also who is open and of good quality.
        min_quality: what good quality is, 0 to 1.
        layouts: shards (webdataset), expose (curated_fits), evidence (what `limner train regressor` reads).
        val_share: share of the photos that goes into the validation split.
        body_model: where the body of the set lies now, if not where it was.
    """
    from limner.curate.export import export

    return export(folder, out, include, min_quality, layouts, val_share, body_model)
