"""The networks' points: on the photo's people, named, in photo pixels; the real networks on a bundled photo."""

import json
from pathlib import Path

import pytest
import torch

from limner.body.keypoints import KEYPOINT_NAMES, keypoint_indices
from limner.curate.observe import observe, thumbs, with_points
from limner.curate.work import FitWorker, Settings
from limner.errors import LimnerError, WeightsError
from limner.estimator import Estimator
from limner.io.image import read_photo
from tests.curate.fakes import seen_people

PHOTOS = Path(__file__).parents[2] / "src" / "limner" / "assets" / "photos"
NOSE = KEYPOINT_NAMES.index("nose")


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    """The shipped networks."""
    return Estimator.load()


def test_points_are_on_the_person(estimator: Estimator):
    photo = read_photo(PHOTOS / "eileen_collins.jpg")
    seen = observe(estimator, photo)
    assert len(seen) == 1 and seen.size_px.tolist() == [[512.0, 512.0]] and 0 < float(seen.blur[0]) < 0.5
    points, confidence = seen.targets.keypoints_px[0], seen.targets.confidence[0]
    face = list(keypoint_indices("face68"))
    assert (confidence[face] > 0.9).all()
    assert (points[face] - torch.tensor([225.0, 120.0])).norm(dim=-1).max() < 75  # her face is there
    left, right = (float(points[KEYPOINT_NAMES.index(f"{side}_shoulder"), 0]) for side in ("left", "right"))
    assert left - right > 150  # she faces the camera
    assert confidence[KEYPOINT_NAMES.index("left_knee")] == 0  # below the photo
    assert not seen.by_hand.any()


def test_nobody_in_the_photo_is_an_empty_record(estimator: Estimator, tmp_path: Path):
    from PIL import Image

    Image.new("RGB", (80, 60), "grey").save(tmp_path / "grey.png")
    photo = read_photo(tmp_path / "grey.png")
    seen = observe(estimator, photo)
    assert len(seen) == 0 and seen.targets.keypoints_px.shape == (0, 144, 2)
    assert thumbs(photo, seen.targets.boxes) == []


def test_points_of_a_file_are_taken_as_they_are(untrained_weights: Path, tmp_path: Path):
    points = [[0.0, 0.0, 0.0]] * 25
    points[0], points[2] = [225.0, 140.0, 0.9], [150.0, 260.0, 0.8]
    points[5], points[8] = [310.0, 260.0, 0.8], [230.0, 480.0, 0.7]
    people = [{"pose_keypoints_2d": [x for point in points for x in point]}, {"pose_keypoints_2d": [0] * 75}]
    (tmp_path / "eileen_collins_keypoints.json").write_text(json.dumps({"people": people}))
    with pytest.raises(WeightsError, match="no VPoser"):
        FitWorker(Settings(str(untrained_weights), vposer=tmp_path))
    worker = FitWorker(Settings(str(untrained_weights), keypoints=tmp_path))
    seen = worker.observe(read_photo(PHOTOS / "eileen_collins.jpg"))
    assert len(seen) == 1  # nobody can be fitted to no point
    assert seen.targets.keypoints_px[0, NOSE].tolist() == [225.0, 140.0]
    assert float(seen.targets.confidence[0, NOSE]) == pytest.approx(0.9)
    assert seen.targets.confidence.count_nonzero() == 4
    with pytest.raises(LimnerError, match="photographer"):
        worker.observe(read_photo(PHOTOS / "photographer.jpg"))


def test_points_set_by_hand_are_sure_and_named(body):
    seen = seen_people(body, 1)
    moved = with_points(seen, {NOSE: (10.0, 20.0, 1.0), 0: (1.0, 2.0, 0.0)})
    assert moved.targets.keypoints_px[0, NOSE].tolist() == [10.0, 20.0]
    assert moved.targets.confidence[0, [NOSE, 0]].tolist() == [1.0, 0.0]
    assert moved.by_hand[0].nonzero()[:, 0].tolist() == sorted([0, NOSE])
    assert not seen.by_hand.any()  # the old record is as it was
