"""What attention and refinement bring on real, labelled photos."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from limner.body.params import BodyParams
from limner.estimator import Estimator
from limner.evaluate.baselines import Baselines, Prediction, Predictions, baselines_of, body_points
from limner.evaluate.person_errors import (
    BODY_ERROR,
    BY_JOINT,
    FACE_NME,
    HAND_ERROR,
    HAND_PA,
    HAND_PCK,
    INNER_NME,
    PCK_TORSO,
)
from limner.evaluate.photo_sets import PhotoSet, read_photo_sets
from limner.evaluate.photos import score_set
from limner.experiments import flow
from limner.experiments import variants as a
from limner.experiments.summary import plain
from limner.geometry.camera import Camera
from limner.geometry.warp import Frames
from limner.io.image import Photo
from limner.pipeline.merge import merge

SETS = ("fashion_studio", "hand3d_real", "faces_ytf")
METRICS = (
    PCK_TORSO, BODY_ERROR, BY_JOINT + "face", BY_JOINT + "wrist", HAND_PCK, HAND_ERROR, HAND_PA, FACE_NME, INNER_NME,
)  # fmt: skip


def variants(estimator: Estimator) -> Callable[[Photo, Tensor], Predictions]:
    """limner, and what it says without attention, without refinement, and without both."""

    @torch.no_grad()
    def person(photo: Photo, boxes: Tensor) -> Predictions:
        frames = Frames((photo.pixels,))
        first = flow.coarse(estimator, frames, boxes)
        parts = estimator.attend(frames, first, first.refined)
        plain = estimator.attend(frames, first, first.body)
        prediction = {
            a.LIMNER: estimator.flow.join(first, parts),
            a.NO_ATTENTION: first.refined,
            a.UNREFINED: merge(first.body, plain),
            a.BODY: first.body,
        }
        return {name: _points(estimator, params, first.camera) for name, params in prediction.items()}

    return person


def _points(estimator: Estimator, params: BodyParams, camera: Camera) -> Prediction:
    model = estimator.body_model
    mesh = model(params)
    return Prediction(camera.project(body_points(model, mesh.vertices, model.keypoints144(mesh, params))))


def chosen_sets(folder: Path, limit: int) -> list[PhotoSet]:
    """The sets that the page shows, at most `limit` people each. Raises LimnerError without labelled photos."""
    return [photo_set for photo_set in read_photo_sets(folder, limit) if photo_set.name in SETS]


def score_photos(
    photo_set: PhotoSet, estimator: Estimator, advance: Callable[[int], None] = lambda count: None
) -> list[dict[str, object]]:
    """One record a metric, with the values of every variant."""
    usual = baselines_of(estimator)
    baselines = Baselines(variants(estimator), usual.hand, usual.face)
    rows: list[dict[str, object]] = []
    for scores in score_set(photo_set, baselines, advance)[0]:
        for metric in METRICS:
            values = {
                name: plain(errors[metric].estimate(scores.groups))
                for name, errors in scores.errors.items()
                if metric in errors
            }
            if values:
                rows.append({"set": scores.name, "people": len(scores.people), "metric": metric, "values": values})
    return rows
