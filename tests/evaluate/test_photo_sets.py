"""Reading labelled people from folders."""

import json
from pathlib import Path

import pytest
import torch

from limner.evaluate.photo_sets import (
    BODY,
    EXTRA,
    FACE,
    LEFT_HAND,
    POINT_NAMES,
    AnnotationError,
    read_photo_sets,
)
from tests.evaluate.drawn import annotation, write_set

POINTS = torch.arange(2.0 * len(POINT_NAMES)).reshape(-1, 2)


def test_only_valid_parts_are_labelled_and_the_box_is_in_corners(tmp_path: Path):
    entry = annotation(7, 1, POINTS, ("body",), "keypoints + 10 %")
    entry["keypoints"][5] = 0  # the second point is not labelled
    entry["keypoints"][8] = 1  # the third one is hidden, and counts
    entry["extra_2d"] = {"neck": [5.0, 6.0, 2], "head_top": [7.0, 8.0, 0]}
    write_set(tmp_path / "a", [entry], 1)
    (photo_set,) = read_photo_sets(tmp_path)
    (person,) = photo_set.people
    assert person.frame == "person" and person.group == "g1" and person.name == "drawn_1.png#7"
    assert torch.equal(person.points[BODY], POINTS[BODY])
    assert person.labelled[BODY].tolist() == [True, False] + [True] * 15
    assert not person.labelled[FACE].any() and not person.labelled[LEFT_HAND].any()
    assert person.points[EXTRA][0].tolist() == [5, 6] and person.labelled[EXTRA].tolist() == [True, False]
    assert person.box.tolist() == [0.0, 1.0, 32.0, 33.0]
    assert torch.equal(photo_set.boxes[person.photo], person.box[None])


def test_suspects_crowds_and_people_without_labels_are_not_scored_but_boxes_stay(tmp_path: Path):
    entries = [annotation(i, 1, POINTS, ("body",), "box") for i in range(4)]
    entries[0]["suspect"] = "legs crossed"
    entries[1]["iscrowd"] = 1
    entries[2]["body_valid"] = False
    write_set(tmp_path / "a", entries, 1)
    (photo_set,) = read_photo_sets(tmp_path)
    assert [person.number for person in photo_set.people] == [3]
    assert len(photo_set.boxes[photo_set.people[0].photo]) == 4


def test_plain_coco_marks_no_part_and_its_body_is_scored(tmp_path: Path):
    entry = annotation(7, 1, POINTS, ("body",), "box")
    plain = {key: entry[key] for key in ("id", "image_id", "bbox", "keypoints")}
    write_set(tmp_path / "a", [plain], 1)
    (person,) = read_photo_sets(tmp_path)[0].people
    assert person.labelled[BODY].all() and not person.labelled[FACE].any() and person.frame == "person"


def test_the_box_kind_says_what_is_framed(tmp_path: Path):
    kinds = [
        (("lefthand",), "keypoints + 10 % (hand)", "hand"),
        (("face",), "face box of the source", "face"),
        (("body", "face"), "person", "person"),
        (("lefthand",), "COCO person box", "person"),
    ]
    write_set(tmp_path / "a", [annotation(i, 1, POINTS, parts, kind) for i, (parts, kind, _) in enumerate(kinds)], 1)
    (photo_set,) = read_photo_sets(tmp_path)
    assert [person.frame for person in photo_set.people] == [frame for _, _, frame in kinds]


def test_3d_truth_is_read_in_metres_and_left_out_where_incomplete(tmp_path: Path):
    entries = [annotation(i, 1, POINTS, ("lefthand",), "hand") for i in range(2)]
    K = [[500.0, 0, 10], [0, 500, 20], [0, 0, 1]]
    for i, entry in enumerate(entries):
        entry["joints_3d"] = {"xyz_mm": [[1000.0, 0, 500]] * 21, "valid": [1] * 20 + [1 - i], "K": K}
    write_set(tmp_path / "a", entries, 1)
    first, second = read_photo_sets(tmp_path)[0].people
    assert first.points3d is not None and first.points3d.xyz[0].tolist() == [1.0, 0.0, 0.5]
    assert second.points3d is None


def test_a_limit_takes_the_same_people_every_time(tmp_path: Path):
    write_set(tmp_path / "a", [annotation(i, 1, POINTS, ("body",), "box") for i in range(20)], 1)
    picks = [[p.number for p in read_photo_sets(tmp_path, 6, seed)[0].people] for seed in (0, 0, 1)]
    assert len(picks[0]) == 6 and picks[0] == picks[1] != picks[2]
    assert {p.number for p in read_photo_sets(tmp_path, 3)[0].people} < set(picks[0])


def test_folders_without_labels_are_left_out_and_a_damaged_file_is_named(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "annotations.json").write_text(json.dumps({"images": [], "annotations": []}))
    with pytest.raises(AnnotationError, match="no labelled people"):
        read_photo_sets(tmp_path)
    write_set(tmp_path / "good", [annotation(1, 1, POINTS, ("body",), "box")], 1)
    assert [photo_set.name for photo_set in read_photo_sets(tmp_path)] == ["good"]
    (tmp_path / "photos" / "annotations.json").write_text('{"images": [')
    with pytest.raises(AnnotationError, match="photos"):
        read_photo_sets(tmp_path)
