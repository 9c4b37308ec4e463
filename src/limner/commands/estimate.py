"""`limner estimate`: everybody in photos as meshes."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from limner.errors import LimnerError
from limner.pipeline.result_names import FILES, FileKind


def estimate(
    photos: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    out: Path = Path("out"),
    box: tuple[float, ...] = (),
    keypoints: Path | None = None,
    weights: str = "limner",
    body_model: Path | None = None,
    focal_px: float | None = None,
    refine: bool = True,
    boxes: Path | None = None,
    batch: int = 1,
    part: Literal["body", "hand", "face"] = "body",
    side: Literal["auto", "left", "right"] = "auto",
    recursive: bool = False,
    resume: bool = False,
    engine: Literal["local", "ray"] = "local",
    workers: int = 0,
    files: tuple[FileKind, ...] = tuple(FILES),
) -> int:
    """Estimate everybody in photos: body, hands and face as one mesh.

    Exit codes: 0 all photos went through (also those in which nobody was found), 1 some photo failed (the table says
    why), 2 nothing could start.

    Args:
        photos: photos, or folders of photos.
        out: folder of the results, one folder a photo.
        box: x0 y0 x1 y1 of a person in photo pixels (several: 8, 12, ... numbers) instead of the detector.
        keypoints: keypoint file or folder of limner, OpenPose, COCO(-WholeBody), MMPose, AlphaPose, MediaPipe or
            Ultralytics: people are where their points are.
        weights: `limner`, or a folder with body.safetensors, hand.safetensors, face.safetensors, and with or alone
            movenet.safetensors (`limner train detector`).
        body_model: your own SMPLX_NEUTRAL.npz or .pkl instead of the embedded body.
        focal_px: focal length in pixels (default: EXIF, else the photo's diagonal).
        refine: move the bodies onto the networks' own 2D points at the end.
        boxes: JSON file of person boxes by photo, instead of the detector: see docs/official.md.
        batch: photos that go through the networks together.
        part: hand or face: photos that show no body but one hand, or one face that fills a third of the photo or more
            (smaller ones are often missed: give --box). Of the options --out, --box, --weights, --focal-px, --side,
            --recursive, --engine, --workers and --files apply.
        side: which hand it is, with `--part hand`; auto goes by its looks.
        recursive: photos in folders below, too; their results lie in folders of the same names.
        resume: keep results in `out` that are whole and of the same photo and options.
        engine: who works: processes of this machine (local), or those of a Ray cluster on many (ray).
        workers: processes at once (default: one a core, of one thread; in this process where photos are few).
        files: which files are written (default: all; hands and faces alone have no sheet and no glb).
    """
    from limner.scale.photos import How

    how = How(batch, resume, engine, workers)
    if part != "body":
        from limner.part_photos import PART_FILES, estimate_parts

        others = (keypoints, body_model, boxes, batch, refine, resume)
        if others != (None, None, None, 1, True, False):
            raise LimnerError(
                f"with --part {part} only --out, --box, --weights, --focal-px, --side, --recursive, --engine, "
                "--workers and --files apply."
            )
        kinds = PART_FILES if files == tuple(FILES) else files
        return estimate_parts(photos, out, part, side, box, weights, focal_px, recursive, how, kinds)
    if side != "auto":
        raise LimnerError(f"--side {side} is for --part hand, got --part {part}. Leave it out.")
    from limner.batch import PeopleRecipe, PeopleWriter, estimate_photos

    recipe = PeopleRecipe(weights, body_model, refine)
    return estimate_photos(
        photos, recipe, PeopleWriter(out, files=files), box, keypoints, boxes, focal_px, recursive, how
    )
