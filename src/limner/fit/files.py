"""Files of fits: their list with status and scores, people for limner's results, and results on disk as starts."""

import getpass
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from limner.body.keypoints import FACE68, hand21, indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.errors import KeypointFileError, OutputError
from limner.fit.records import Fits, FitTargets
from limner.geometry.box import Squares, bounds_of, iou, squares_around
from limner.io.atomic import atomic_write
from limner.io.motion_file import OWN_BODY, Motion, read_params
from limner.pipeline.convert_body import BodyConverter
from limner.pipeline.motion_bodies import converted_motion, params_of_motion
from limner.pipeline.people import People
from limner.reading.json_file import read_json
from limner.reading.told import RefusedError, told_as

FORMAT, VERSION = "limner-fits", 1
LEAST_IOU = 0.3
PART_MARGIN = 1.6


def fits_entry(fits: Fits, made_of: str) -> dict[str, Any]:
    """One photo's people: status (in the file: verdict), objective, scores (null: none), the result folder, if any.

    `made_of`: a fingerprint of the photo, its keypoints and all options.
    """
    people, folder = [], 0
    for k, status in enumerate(fits.status):
        good = bool(fits.fitted[k])
        people.append(
            {
                "verdict": status,
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
    cure = "It is no list of fits that this limner can continue. Move it, or give another --out."
    with told_as(OutputError, path, cure):
        content = read_json(path)
        if content["format"] != FORMAT or content["version"] != VERSION:
            raise RefusedError(f"it is {content['format']!r:.50} version {content['version']!r:.50}")
        photos = dict(content["photos"])
        for name, photo in photos.items():
            if not all(isinstance(person["verdict"], str) for person in photo["people"]):
                raise RefusedError(f"the people of {name!r:.50} are not as limner writes them")
        return photos


class StartBodies:
    """Makes starts for a body model of people on disk, of whatever body they are.

    notes: what was done to people of another body, each once, for the user.
    """

    def __init__(self, model: BodyModel):
        self.model = model
        self.notes: list[str] = []

    @cached_property
    def converter(self) -> BodyConverter | None:
        """From limner's own body to the user's; None where the model is limner's."""
        return BodyConverter.to(self.model)

    def __call__(self, motion: Motion, frame: int) -> BodyParams:
        """One frame of a motion: people of limner's own body are converted; the shape of SMPL-X people means nothing to
        limner's body, which starts with its mean shape in their pose."""
        one = frame_of(motion, frame)
        if motion.body_model == OWN_BODY and self.converter is not None:
            self._note(self.converter.note)
            one = converted_motion(one, self.converter)
        params = params_of_motion(one)
        rest = self.model.rest(1)
        if one.body_model != self.model.name:
            self._note("The start's shape is SMPL-X's and limner's own body is fitted: it starts with its mean shape.")
            return params.replace(betas=rest.betas, expression=rest.expression)
        return params.replace(
            betas=_fitting(params.betas, rest.betas), expression=_fitting(params.expression, rest.expression)
        )

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def frame_of(motion: Motion, frame: int) -> Motion:
    """One frame of a motion. Raises KeypointFileError where the file has no such frame."""
    if frame >= len(motion):
        raise KeypointFileError(
            f"the start file has {len(motion)} frames, but there are more people than that: give one frame a person "
            "(in the order of photos and of people in them), or a folder that `limner estimate` wrote."
        )
    row = slice(frame, frame + 1)
    extras = {"camera_K": camera[row]} if (camera := motion.extras.get("camera_K")) is not None else {}
    return replace(
        motion,
        rotations=motion.rotations[row],
        transl=motion.transl[row],
        expression=motion.expression[row],
        extras=extras,
    )


def _fitting(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """As many coefficients as the model has."""
    return torch.nn.functional.pad(values, (0, like.shape[-1] - values.shape[-1]))  # a negative number cuts


def start_of_folder(folder: Path, targets: FitTargets, bodies: StartBodies) -> list[BodyParams | None]:
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
            starts[k] = bodies(motions[int(which[k])], 0)
    return starts


def people_of_fits(model: BodyModel, targets: FitTargets, fits: Fits) -> People:
    """Fitted people as a `People`: confidence is that of the keypoints, squares lie about the fitted parts."""
    mesh = model(fits.params)
    keypoints = model.keypoints144(mesh, fits.params)
    keypoints_px = fits.camera.project(keypoints)

    def around(names: tuple[str, ...], margin: float) -> Squares:
        return squares_around(bounds_of(keypoints_px[:, list(indices_of(names))]), margin)

    def trusted(names: tuple[str, ...]) -> torch.Tensor:
        return (targets.confidence[:, list(indices_of(names))] > 0).float().mean(1) > 0.5

    left, right = hand21("left"), hand21("right")
    return People(
        params=fits.params,
        vertices=mesh.vertices,
        faces=model.faces,
        joints=mesh.joints,
        keypoints=keypoints,
        keypoints_px=keypoints_px,
        confidence=targets.confidence,
        camera=fits.camera,
        boxes=targets.boxes,
        scores=torch.ones_like(fits.objective),
        body_square=squares_around(bounds_of(keypoints_px), 1.2),
        left_hand_square=around(left, PART_MARGIN),
        right_hand_square=around(right, PART_MARGIN),
        face_square=around(FACE68, PART_MARGIN),
        left_hand_trusted=trusted(left),
        right_hand_trusted=trusted(right),
        face_trusted=trusted(FACE68),
    )
