"""COCO's keypoint layout is read with everybody in it; what is wrong is named with its cure."""

import json
from pathlib import Path

import pytest
import torch

from limner.data.labelled_photos import COCO17, read_labelled_photos
from limner.errors import DataSetError

POINTS = [float(v) for k in range(17) for v in (10 + k, 20 + k, 2 if k < 15 else 0)]


def write(folder: Path, **content: object) -> Path:
    """An annotation file of two photos, one of nobody; `content` overrides."""
    person = {"id": 7, "image_id": 1, "category_id": 1, "bbox": [5, 6, 30, 40], "keypoints": POINTS, "iscrowd": 0}
    given = {
        "images": [
            {"id": 1, "file_name": "images/b.jpg", "width": 64, "height": 48, "group": "clip"},
            {"id": 2, "file_name": "a.jpg"},
        ],
        "annotations": [person],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
    }
    (folder / "annotations.json").write_text(json.dumps(given | content))
    return folder


def entry(**content: object) -> dict[str, object]:
    return {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40]} | content


def test_people_and_photos_of_nobody_are_read(tmp_path: Path):
    nobody, somebody = read_labelled_photos(write(tmp_path))
    assert nobody.path == tmp_path / "a.jpg" and nobody.size_px is None and len(nobody.boxes) == 0
    assert somebody.size_px == (64, 48) and somebody.group == "clip" and nobody.group == "a.jpg"
    assert somebody.boxes.tolist() == [[5, 6, 35, 46]]
    assert somebody.labelled[0].tolist() == [True] * 15 + [False] * 2
    assert somebody.points_px[0, 3].tolist() == [13, 23]


def test_crowds_other_things_and_people_without_points(tmp_path: Path):
    mask = {"counts": "abc", "size": [48, 64]}
    crowd = entry(iscrowd=1, segmentation=mask, keypoints=[0] * 51)
    given = [crowd, entry(category_id=2), entry(bbox=[0, 0, 9, 9]), entry(suspect="swapped")]
    photo = read_labelled_photos(write(tmp_path, annotations=given))[1]
    assert photo.boxes.tolist() == [[0, 0, 9, 9]] and not photo.labelled.any()
    assert photo.ignored.tolist() == [[1, 2, 31, 42]] * 2


def test_points_are_known_by_their_names_where_there_are_names(tmp_path: Path):
    names = ["left_hip", "tail", "nose"]
    kinds = [{"id": 4, "name": "person", "keypoints": names}]
    given = [entry(category_id=4, keypoints=[1, 2, 2, 3, 4, 2, 5, 6, 1])]
    photo = read_labelled_photos(write(tmp_path, annotations=given, categories=kinds))[1]
    assert photo.points_px[0, COCO17.index("left_hip")].tolist() == [1, 2]
    assert photo.points_px[0, 0].tolist() == [5, 6] and int(photo.labelled.sum()) == 2


def test_photos_may_lie_in_the_folder_images(tmp_path: Path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"")
    assert read_labelled_photos(write(tmp_path))[0].path == tmp_path / "images" / "a.jpg"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"annotations": []}, "lists 2 photos and no person with a box"),
        ({"annotations": [entry(bbox=None)]}, "annotation 1: bbox is None, expected 4 numbers"),
        ({"annotations": [entry(bbox=[1, 2, 0, 9])]}, "is empty, expected"),
        ({"annotations": [entry(keypoints=[1, 2, 3])]}, "keypoints has 3 numbers, expected 51"),
        ({"annotations": [entry(image_id=9)]}, "image_id 9"),
        ({"annotations": {}}, "has no lists `images` and `annotations`"),
        ({"categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]}, r"none of the categories \(cat, dog\)"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: dict[str, object], told: str):
    with pytest.raises(DataSetError, match=told):
        read_labelled_photos(write(tmp_path, **content))


def test_a_missing_or_damaged_file_is_named(tmp_path: Path):
    (tmp_path / "person_keypoints_val2017.json").write_text("{}")
    with pytest.raises(DataSetError, match="holds person_keypoints_val2017.json.*Rename or copy"):
        read_labelled_photos(tmp_path)
    (tmp_path / "annotations.json").write_text("{")
    with pytest.raises(DataSetError, match="cannot be read"):
        read_labelled_photos(tmp_path)


def test_the_shared_coco_photos_are_read(shared: Path):
    folder = shared / "data" / "photos_dev" / "coco_mini"
    if not folder.exists():
        pytest.skip("no development photos")
    photos = read_labelled_photos(folder)
    assert len(photos) == 23 and sum(len(photo.boxes) for photo in photos) == 79
    assert all(photo.path.exists() for photo in photos)
    assert torch.cat([photo.labelled for photo in photos]).any()
