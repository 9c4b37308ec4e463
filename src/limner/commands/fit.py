"""`limner fit`: bodies fitted to given 2D keypoints."""

from pathlib import Path
from typing import Annotated

import tyro


def fit(
    photos: Annotated[tuple[Path, ...], tyro.conf.Positional] = (),
    /,
    keypoints: Path = Path("keypoints"),
    out: Path = Path("out"),
    start: str = "estimate",
    video: bool = False,
    weights: str = "limner",
    body_model: Path | None = None,
    focal_px: float | None = None,
    photo_size: tuple[int, int] | None = None,
    vposer: Path | None = None,
    recursive: bool = False,
) -> int:
    """Fit bodies to given 2D keypoints by optimisation (SMPLify-X), many people at once.

    Args:
        photos: photos, or folders of photos; without, the keypoints alone are fitted.
        keypoints: keypoint file of limner, OpenPose, COCO(-WholeBody), MMPose, AlphaPose, MediaPipe or Ultralytics, or
            a folder of them.
        out: folder of the results, one folder a photo, and fits.json with a verdict and scores for each person.
        start: `estimate` (limner's own), `mean` (typical poses), a folder that limner wrote, or a params.npz.
        video: the photos are frames of one clip, and the n-th person of each file is the same one.
        weights: as for `estimate`.
        body_model: your own SMPLX_NEUTRAL.npz or .pkl instead of the embedded body.
        focal_px: focal length in pixels (default: EXIF, else the photo's diagonal).
        photo_size: width and height of the photos, where neither photos nor keypoint files tell.
        vposer: your own VPoser 2 (its checkpoint, or the folder V02_05) as prior of the body's pose.
        recursive: photos in folders below, too; their results lie in folders of the same names.
    """
    from limner.fit_photos import fit_photos

    given = photos, keypoints, out, start, video, weights, body_model, focal_px, photo_size, vposer
    return fit_photos(*given, recursive=recursive)
