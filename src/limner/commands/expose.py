"""`limner expose`: the official ExPose network, for owners of its files."""

from pathlib import Path
from typing import Annotated, Literal

import tyro


def expose(
    photos: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    weights: str,
    out: Path = Path("out"),
    format: tuple[Literal["limner", "expose"], ...] = ("limner",),
    mode: Literal["official", "clean"] = "official",
    box: tuple[float, ...] = (),
    boxes: Path | None = None,
    keypoints: Path | None = None,
    body_model: Path | None = None,
    focal_px: float | None = None,
    runtime: Literal["torch", "onnx"] = "torch",
    batch: int = 1,
    workers: int = 1,
    recursive: bool = False,
    resume: bool = False,
) -> int:
    """Estimate everybody in photos by the official ExPose network: see docs/official.md.

    Args:
        photos: photos, or folders of photos.
        weights: its model.ckpt, the folder of the download, or what `weights convert` wrote; or `limner`: limner's own
            networks, to have the demo's files of them.
        out: folder of the results.
        format: limner (one folder a photo), expose (the official demo's files, one folder a person), or both.
        mode: number for number (official), or cut cleaner and put in one camera (clean).
        box: as for `estimate`.
        boxes: as for `estimate`.
        keypoints: as for `estimate`.
        body_model: your SMPLX_NEUTRAL.npz, where the checkpoint lacks something of the body model.
        focal_px: focal length in pixels (default: 5000, the demo's; in mode clean EXIF's, else the photo's diagonal).
        runtime: what runs the network; onnx needs the extra of that name.
        batch: photos that go through the network together.
        workers: processes at once, each with the network in its memory (0: one a core); with `--format expose` one.
        recursive: photos in folders below, too.
        resume: keep results in `out` that are whole and of the same photo and options.
    """
    from limner.expose_photos import expose_photos
    from limner.scale.photos import How

    how = How(batch, resume, workers=workers)
    where = box, keypoints, boxes, focal_px, recursive
    return expose_photos(photos, out, weights, body_model, mode, runtime, format, *where, how)
