"""`limner curate`: fits of photos for review."""

from pathlib import Path
from typing import Annotated, Literal

import tyro


def curate(
    photos: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    out: Path,
    licence: str = "",
    provenance: Path | None = None,
    keypoints: Path | None = None,
    engine: Literal["local", "ray"] = "local",
    workers: int = 0,
    batch: int = 16,
    retry_failed: bool = False,
    weights: str = "limner",
    body_model: Path | None = None,
    focal_px: float | None = None,
    vposer: Path | None = None,
    recursive: bool = False,
) -> int:
    """Make a curated set: fit everybody in photos and score the fits, for review. Started again, it goes on.

    Args:
        photos: photos, or folders of photos.
        out: folder of the set.
        licence: licence of the photos, kept with each of them.
        provenance: CSV file with the columns file, licence, source: of each photo by its name.
        keypoints: as for `fit`: what to fit to (default: the networks' points).
        engine: as for `estimate`.
        workers: as for `estimate`.
        batch: photos whose people are fitted together.
        retry_failed: try photos again that failed before.
        weights: as for `estimate`.
        body_model: as for `estimate`.
        focal_px: as for `estimate`.
        vposer: as for `fit`.
        recursive: photos in folders below, too.
    """
    from limner.curate.run import curate as run

    settings = weights, body_model, focal_px, vposer
    return run(
        photos,
        out,
        licence,
        provenance,
        keypoints,
        engine,
        workers,
        batch,
        retry_failed,
        *settings,
        recursive=recursive,
    )
