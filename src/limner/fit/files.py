"""How are verdicts and scores of fits stored, and how does a result on disk become a start?"""

import getpass
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.errors import KeypointFileError, OutputError
from limner.fit.records import Fits, FitTargets
from limner.fit.unknowns import with_full_pose
from limner.geometry.box import iou
from limner.io.atomic import atomic_write
from limner.io.motion_file import Motion, read_params

FORMAT, VERSION = "limner-fits", 1
LEAST_IOU = 0.3


def fits_entry(fits: Fits, made_of: str) -> dict[str, Any]:
    """One photo's people: verdict, objective, scores (null where there is none), and the result folder, if any.

    `made_of`: a fingerprint of the photo, its keypoints and all options.
    """
    people, folder = [], 0
    for k, verdict in enumerate(fits.verdict):
        good = bool(fits.fitted[k])
        people.append(
            {
                "verdict": verdict,
                "objective": _number(float(fits.objective[k])),
                "scores": {name: _number(float(values[k])) for name, values in fits.scores.items()},
                "folder": f"person_{folder}" if good else None,
            }
        )
        folder += good
    return {"made_of": made_of, "people": people}


def _number(value: float) -> float | None:
    return round(value, 5) if math.isfinite(value) else None


def write_fits_file(path: Path, photos: dict[str, Any]) -> None:
    """Write `fits.json`: {format, version, photos: {name: {made_of, people: [{verdict, objective, scores, folder}]}}}.

    Entries that another run has written meanwhile are kept.
    """
    with _only_one_writer(path):
        content = {"format": FORMAT, "version": VERSION, "photos": read_fits_file(path) | photos}
        with atomic_write(path) as file:
            file.write(json.dumps(content, indent=1, allow_nan=False).encode())


@contextmanager
def _only_one_writer(path: Path) -> Iterator[None]:
    """One writer of a file at a time, of this user on this machine; the lock lies elsewhere and leaves nothing here."""
    digest = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:24]
    with FileLock(Path(tempfile.gettempdir()) / f"limner-{getpass.getuser()}-{digest}.lock"):
        yield


def read_fits_file(path: Path) -> dict[str, Any]:
    """The photos of a `fits.json`; none where there is no such file. Raises OutputError for a foreign or broken one."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT or content["version"] != VERSION:
            raise ValueError(f"it is {content['format']} version {content['version']}")
        return dict(content["photos"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"{path} is no list of fits that this limner can continue ({error}). Move it, or give another --out."
        ) from error


def start_of_motion(motion: Motion, frame: int, model: BodyModel) -> BodyParams:
    """One frame of a motion as a start. Raises KeypointFileError where the file has no such frame."""
    if frame >= len(motion):
        raise KeypointFileError(
            f"the start file has {len(motion)} frames, but there are more people than that: give one frame a person "
            "(in the order of photos and of people in them), or a folder that `limner estimate` wrote."
        )
    rest = model.rest(1)
    posed = with_full_pose(rest, motion.rotations[frame : frame + 1].to(rest.betas.dtype))
    return posed.replace(
        transl=motion.transl[frame : frame + 1],
        betas=_fitting(motion.betas[None], rest.betas),
        expression=_fitting(motion.expression[frame : frame + 1], rest.expression),
    )


def _fitting(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """As many coefficients as the model has."""
    padded = torch.zeros_like(like)
    count = min(values.shape[-1], like.shape[-1])
    padded[:, :count] = values[:, :count]
    return padded


def start_of_folder(folder: Path, targets: FitTargets, model: BodyModel) -> list[BodyParams | None]:
    """Starts from a photo's result folder, each person's by the box that overlaps most; None where there is none."""
    files = sorted(folder.glob("person_*/params.npz"))
    starts: list[BodyParams | None] = [None] * len(targets)
    if not files or not len(targets):
        return starts
    motions = [read_params(file) for file in files]
    boxes = torch.cat([m.extras["box_px"][:1] for m in motions])
    best, which = iou(targets.boxes, boxes).max(1)
    for k in range(len(targets)):
        if float(best[k]) >= LEAST_IOU:
            starts[k] = start_of_motion(motions[int(which[k])], 0, model)
    return starts
