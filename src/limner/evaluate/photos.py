"""Scores on labelled photos: every set, limner and every baseline, errors of each person."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from limner.errors import LimnerError
from limner.evaluate.baselines import LIMNER, Baselines, Predictions
from limner.evaluate.metrics import match_boxes
from limner.evaluate.person_errors import (
    BODY_ERROR,
    FACE_NME,
    HAND_ERROR,
    MetricErrors,
    PersonErrors,
    body_errors,
    face_errors,
    hand_errors,
    hand_errors_3d,
)
from limner.evaluate.photo_sets import FACE, LEFT_HAND, RIGHT_HAND, Frame, LabelledPerson, PhotoSet
from limner.geometry.box import iou
from limner.geometry.camera import Camera, photo_camera
from limner.geometry.warp import Frames
from limner.io.image import Photo, read_photo
from limner.networks.detector import Detections

ERROR_OF: dict[Frame, str] = {"person": BODY_ERROR, "hand": HAND_ERROR, "face": FACE_NME}
"""The error by which people are ranked for the picture of the worst."""
RECALL, PRECISION = "labelled people found (IoU 0.5), %", "found boxes that are labelled people (IoU 0.5), %"
DETECTOR = "detector"


@dataclass(frozen=True)
class Skipped:
    """A photo that could not be scored, and why."""

    photo: Path
    why: str


@dataclass(frozen=True)
class SetScores:
    """Errors of one set's people with one kind of box, by column and metric; rows are `people`."""

    name: str
    frame: Frame
    people: tuple[LabelledPerson, ...]
    errors: dict[str, MetricErrors]

    @property
    def groups(self) -> list[str]:
        """Each person's group, for intervals."""
        return [person.group for person in self.people]

    def ranking(self) -> Float[Tensor, "P"]:
        """limner's error of each person, by which the worst are found; NaN without a score."""
        ranked = self.errors[LIMNER][ERROR_OF[self.frame]]
        return torch.where(ranked.denominator > 0, ranked.numerator / ranked.denominator, torch.nan)


def score_set(
    photo_set: PhotoSet, baselines: Baselines, advance: Callable[[int], None] = lambda count: None
) -> tuple[list[SetScores], list[Skipped]]:
    """Score a set's people with the annotated boxes; a photo that cannot be used is reported and left out.

    One SetScores for each kind of box in the set; with several, the kind is part of its name. `advance` hears how many
    people are done.
    """
    gathered: dict[Frame, list[tuple[LabelledPerson, Predictions]]] = {}
    skipped = []
    for path, people in photo_set.photos().items():
        try:
            photo = read_photo(path)
            for frame in sorted({person.frame for person in people}):
                chosen = [person for person in people if person.frame == frame]
                gathered.setdefault(frame, []).extend(zip(chosen, _predictions(baselines, photo, chosen), strict=True))
        except LimnerError as error:
            skipped.append(Skipped(path, str(error)))
        advance(len(people))
    several = len(photo_set.frames()) > 1
    scores = [
        _scores(f"{photo_set.name}_{frame}" if several else photo_set.name, frame, rows)
        for frame, rows in gathered.items()
    ]
    return scores, skipped


def _predictions(baselines: Baselines, photo: Photo, people: list[LabelledPerson]) -> list[Predictions]:
    """Everybody's predictions, one a person (with a leading dimension of 1)."""
    boxes = torch.stack([person.box for person in people])
    match people[0].frame:
        case "person":
            together = baselines.person(photo, boxes)
        case "hand":
            left = torch.tensor([bool(person.labelled[LEFT_HAND].any()) for person in people])
            together = baselines.hand(photo, boxes, left, _cameras(photo, people))
        case "face":
            together = baselines.face(photo, boxes)
    return [{name: prediction[i] for name, prediction in together.items()} for i in range(len(people))]


def _cameras(photo: Photo, people: list[LabelledPerson]) -> Camera:
    """The labelled camera of each person, where there is one, else the photo's."""
    usual = photo_camera(photo.width, photo.height, photo.focal_px, len(people))
    focal, center = usual.focal_px.clone(), usual.center_px.clone()
    for i, person in enumerate(people):
        if person.points3d is not None:
            focal[i], center[i] = person.points3d.K[[0, 1], [0, 1]].mean(), person.points3d.K[:2, 2]
    return Camera(focal, center)


def _scores(name: str, frame: Frame, rows: list[tuple[LabelledPerson, Predictions]]) -> SetScores:
    people = tuple(person for person, _ in rows)
    errors = {}
    for column in rows[0][1]:
        points = torch.cat([predictions[column].points_px for _, predictions in rows])
        points3d = [predictions[column].points3d for _, predictions in rows]
        errors[column] = _errors(frame, people, points, points3d)
    return SetScores(name, frame, people, errors)


def _errors(
    frame: Frame, people: tuple[LabelledPerson, ...], points: Tensor, points3d: list[Tensor | None]
) -> MetricErrors:
    target = torch.stack([person.points for person in people])
    labelled = torch.stack([person.labelled for person in people])
    if frame == "person":
        return body_errors(points, target, labelled, torch.stack([person.box for person in people]))
    if frame == "face":
        return face_errors(points, target[:, FACE], labelled[:, FACE])
    left = labelled[:, LEFT_HAND].any(-1)[:, None]
    target = torch.where(left[..., None], target[:, LEFT_HAND], target[:, RIGHT_HAND])
    labelled = torch.where(left, labelled[:, LEFT_HAND], labelled[:, RIGHT_HAND])
    return hand_errors(points, target, labelled) | _in_3d(people, points3d)


def _in_3d(people: tuple[LabelledPerson, ...], points3d: list[Tensor | None]) -> MetricErrors:
    """3D errors of the hands whose 3D is known; the others have no score."""
    rows = [
        (i, given, person.points3d.xyz)
        for i, (person, given) in enumerate(zip(people, points3d, strict=True))
        if person.points3d is not None and given is not None
    ]
    if not rows:
        return {}
    index = torch.tensor([i for i, _, _ in rows])
    known = hand_errors_3d(torch.cat([given for _, given, _ in rows]), torch.stack([xyz for _, _, xyz in rows]))
    blank = torch.zeros(len(people))
    return {
        name: PersonErrors(*(blank.index_put((index,), part) for part in (one.numerator, one.denominator)))
        for name, one in known.items()
    }


def score_detector(
    photo_set: PhotoSet,
    detector: Callable[[Frames], Detections],
    advance: Callable[[int], None] = lambda count: None,
) -> tuple[MetricErrors, list[str], list[Skipped]]:
    """Recall and precision of the person detector on a set's photos, their names as groups, and what was skipped.

    All annotated person boxes count as true ones. People without a label may be in the photos, so the precision is a
    lower bound; boxes drawn about key points differ from outlines, so the recall is one too.
    """
    rows, names, skipped = [], [], []
    for path in (path for path in photo_set.photos() if path in photo_set.boxes):
        try:
            true = photo_set.boxes[path]
            found = detector(Frames((read_photo(path).pixels,)))
            rows.append([len(match_boxes(iou(found.boxes, true))), len(true), len(found)])
            names.append(path.name)
        except LimnerError as error:
            skipped.append(Skipped(path, str(error)))
        advance(1)
    matched, labelled, found_count = torch.tensor(rows, dtype=torch.float32).reshape(-1, 3).unbind(-1)
    return (
        {RECALL: PersonErrors(100 * matched, labelled), PRECISION: PersonErrors(100 * matched, found_count)},
        names,
        skipped,
    )
