"""The photo protocol with estimators that know the truth."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from limner.body.model import BodyModel
from limner.evaluate.baselines import LIMNER, Baselines, Prediction, Predictions, points_of_people
from limner.evaluate.person_errors import (
    BODY_ERROR,
    BY_JOINT,
    FACE_FAILURES,
    FACE_NME,
    FLIPS,
    HAND_ERROR,
    HAND_MPJPE,
    HAND_PA,
    HAND_PCK,
    PCK_DIAGONAL,
    PCK_TORSO,
    PCK_TORSO_14,
)
from limner.evaluate.photo_sets import LEFT_HAND, POINT_NAMES, read_photo_sets
from limner.evaluate.photos import PRECISION, RECALL, SetScores, score_detector, score_set
from limner.geometry.box import squares_around
from limner.geometry.camera import Camera
from limner.geometry.warp import Crops, Frames
from limner.io.image import Photo
from limner.networks.blaze.pose import PoseFeatures
from limner.networks.detector import Detections, PoseObservations
from limner.pipeline.people import People
from tests.evaluate.drawn import annotation, everybody, posed_people, write_set

SHIFT = 6.0


class Oracle:
    """An estimator that knows everybody, told apart by their boxes, and moves them by `shift` pixels."""

    def __init__(self, model: BodyModel, people: People, boxes: Tensor, shift: float = 0.0):
        self.body_model, self.people, self.known = model, people, boxes
        self.shift = shift

    def __call__(self, photo: Photo, boxes: Tensor) -> People:
        rows = [int((self.known - box).abs().sum(-1).argmin()) for box in boxes]
        chosen = self.people[rows]
        moved = chosen.keypoints_px + torch.tensor([self.shift, 0.0])
        return People(**{**chosen.__dict__, "keypoints_px": moved})


def never(*arguments: object) -> Predictions:
    raise AssertionError("not for this kind of box")


@pytest.fixture
def two_people(body: BodyModel, tmp_path: Path) -> tuple[Path, People, Tensor]:
    """Two photos with one person each, all parts labelled; folder, truth, boxes."""
    people = posed_people(body, [(-0.3, 0.2, 3.0), (0.2, 0.1, 4.0)])
    points = everybody(body, people)
    parts = ("body", "face", "lefthand")
    entries = [annotation(i, i + 1, points[i], parts, "person") for i in range(2)]
    for i, entry in enumerate(entries):
        names = {"neck": points[i, -2], "head_top": points[i, -1]}
        entry["extra_2d"] = {name: [*point.tolist(), 2] for name, point in names.items()}
    write_set(tmp_path / "drawn", entries, 2)
    boxes = torch.stack([person.box for person in read_photo_sets(tmp_path)[0].people])
    return tmp_path, people, boxes


def baselines(*estimators: Oracle) -> Baselines:
    def person(photo: Photo, boxes: Tensor) -> Predictions:
        return {
            name: points_of_people(one.body_model, one(photo, boxes))
            for name, one in zip((LIMNER, "other"), estimators, strict=False)
        }

    return Baselines(person, never, never)


def value(scores: SetScores, metric: str, column: str = LIMNER) -> float:
    return scores.errors[column][metric].estimate(scores.groups).value


def test_a_perfect_estimator_scores_a_hundred_and_a_shifted_one_what_the_shift_says(
    body: BodyModel, two_people: tuple[Path, People, Tensor]
):
    folder, people, boxes = two_people
    (photo_set,) = read_photo_sets(folder)
    heard: list[int] = []
    both = baselines(Oracle(body, people, boxes), Oracle(body, people, boxes, SHIFT))
    (scores,), skipped = score_set(photo_set, both, heard.append)
    assert not skipped and sum(heard) == 2 and scores.groups == ["g1", "g2"]
    for metric in (PCK_TORSO, PCK_TORSO_14, PCK_DIAGONAL, BY_JOINT + "wrist", f"left hand: {HAND_PCK}"):
        assert value(scores, metric) == pytest.approx(100)
    for metric in (BODY_ERROR, FLIPS, f"face: {FACE_NME}", f"face: {FACE_FAILURES}", f"left hand: {HAND_ERROR}"):
        assert value(scores, metric) == pytest.approx(0, abs=1e-3)
    diagonals = (boxes[:, 2:] - boxes[:, :2]).norm(dim=-1)
    assert value(scores, BODY_ERROR, "other") == pytest.approx(float((100 * SHIFT / diagonals).mean()), rel=1e-3)
    target = torch.stack([person.points for person in photo_set.people])
    eyes = (target[:, 23 + 45] - target[:, 23 + 36]).norm(dim=-1)
    assert value(scores, f"face: {FACE_NME}", "other") == pytest.approx(float((100 * SHIFT / eyes).mean()), rel=1e-3)
    assert value(scores, f"face: {FACE_FAILURES}", "other") == 100
    assert not any("right hand" in name or "feet" in name for name in scores.errors[LIMNER])


def test_a_flipped_estimator_is_noticed(body: BodyModel, two_people: tuple[Path, People, Tensor]):
    folder, people, boxes = two_people
    (photo_set,) = read_photo_sets(folder)
    middle = people.keypoints_px.mean(1, keepdim=True)
    turned = (people.keypoints_px - middle) * torch.tensor([-1.0, 1.0]) + middle
    facing_away = People(**{**people.__dict__, "keypoints_px": turned})
    (scores,), _ = score_set(photo_set, baselines(Oracle(body, facing_away, boxes)))
    assert value(scores, FLIPS) == 100
    assert float(scores.ranking().amin()) > 5


def test_a_broken_photo_is_reported_and_the_rest_is_scored(body: BodyModel, two_people: tuple[Path, People, Tensor]):
    folder, people, boxes = two_people
    (photo_set,) = read_photo_sets(folder)
    photo_set.people[0].photo.write_bytes(b"no picture")
    (scores,), skipped = score_set(photo_set, baselines(Oracle(body, people, boxes)))
    assert [one.photo for one in skipped] == [photo_set.people[0].photo]
    assert scores.people == photo_set.people[1:] and value(scores, PCK_TORSO) == 100


def test_hands_are_scored_alone_in_2d_and_3d(tmp_path: Path):
    points = torch.zeros(len(POINT_NAMES), 2)
    points[LEFT_HAND] = torch.rand(21, 2, generator=torch.Generator().manual_seed(0)) * 100 + 50
    points[LEFT_HAND][:2] = torch.tensor([[50.0, 50.0], [150.0, 100.0]])  # the box's longer side is 100
    xyz = torch.randn(21, 3, generator=torch.Generator().manual_seed(1)) * 0.05 + torch.tensor([0.0, 0.0, 0.5])
    entry = annotation(1, 1, points, ("lefthand",), "keypoints (hand)")
    entry["joints_3d"] = {
        "xyz_mm": (1000 * xyz).tolist(),
        "valid": [1] * 21,
        "K": [[500.0, 0, 100], [0, 510, 120], [0, 0, 1]],
    }
    write_set(tmp_path / "hands", [entry], 1)
    seen: dict[str, object] = {}

    def hand(photo: Photo, boxes: Tensor, left: Tensor, camera: Camera) -> Predictions:
        seen.update(left=left.tolist(), focal=camera.focal_px.tolist(), center=camera.center_px.tolist())
        shifted = points[LEFT_HAND][None] + torch.tensor([25.0, 0.0])
        turned = 2 * xyz[None] @ torch.diag(torch.tensor([-1.0, -1.0, 1.0]))
        return {LIMNER: Prediction(points[LEFT_HAND][None], 3 * xyz[None] + 1), "other": Prediction(shifted, turned)}

    (photo_set,) = read_photo_sets(tmp_path)
    (scores,), _ = score_set(photo_set, Baselines(never, hand, never))
    assert seen == {"left": [True], "focal": [505.0], "center": [[100.0, 120.0]]}
    assert value(scores, HAND_PCK) == 100 and value(scores, HAND_ERROR) == 0
    assert value(scores, HAND_MPJPE) == pytest.approx(0, abs=1e-3)  # size and place do not count
    assert value(scores, HAND_PCK, "other") == 0 and value(scores, HAND_ERROR, "other") == pytest.approx(25)
    assert value(scores, HAND_PA, "other") == pytest.approx(0, abs=1e-3)  # nor does, for PA, the rotation
    assert value(scores, HAND_MPJPE, "other") > 30


def test_faces_go_to_the_face_rival(tmp_path: Path):
    points = torch.zeros(len(POINT_NAMES), 2)
    points[23:91] = torch.rand(68, 2, generator=torch.Generator().manual_seed(0)) * 100 + 50
    write_set(tmp_path / "faces", [annotation(1, 1, points, ("face",), "face box")], 1)
    (photo_set,) = read_photo_sets(tmp_path)
    (scores,), _ = score_set(
        photo_set, Baselines(never, never, lambda photo, boxes: {LIMNER: Prediction(points[None, 23:91])})
    )
    assert value(scores, FACE_NME) == 0 and scores.frame == "face"


def test_the_detector_is_scored_by_photo(two_people: tuple[Path, People, Tensor]):
    folder, _, boxes = two_people
    (photo_set,) = read_photo_sets(folder)
    calls = iter([torch.cat([boxes[:1], boxes[:1] + 200]), torch.zeros(0, 4)])

    def detector(frames: Frames) -> Detections:
        found = next(calls)
        frame = torch.zeros(len(found), dtype=torch.int64)
        squares = squares_around(found, 1.25)
        crops = Crops(torch.zeros(len(found), 3, 0, 0), squares, torch.zeros(len(found), dtype=torch.bool))
        shapes = ((39, 5), (39, 3), (), (39, 64, 64), (88, 16, 16))
        seen = PoseFeatures(*(torch.zeros(len(found), *shape) for shape in shapes))
        pose = PoseObservations(frame, crops, seen, seen.presence)
        return Detections(frame, found, torch.ones(len(found)), pose)

    errors, names, skipped = score_detector(photo_set, detector)
    assert not skipped and names == ["drawn_1.png", "drawn_2.png"]
    assert errors[RECALL].estimate(names).value == 50
    assert errors[PRECISION].estimate(names).value == 50


def test_points_that_nobody_predicts_give_no_metric(two_people: tuple[Path, People, Tensor]):
    folder, _, _ = two_people
    (photo_set,) = read_photo_sets(folder)

    def person(photo: Photo, boxes: Tensor) -> Predictions:
        points = torch.full((len(boxes), len(POINT_NAMES), 2), np.nan)
        points[:, :17] = 0
        return {LIMNER: Prediction(points)}

    (scores,), _ = score_set(photo_set, Baselines(person, never, never))
    assert not any("hand" in name or name[:4] == "face" for name in scores.errors[LIMNER])
    assert value(scores, PCK_TORSO) < 20
