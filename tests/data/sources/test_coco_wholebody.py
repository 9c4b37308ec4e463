"""COCO-WholeBody as it is handed out."""

import json
from pathlib import Path

import pytest

from limner.data.sources.coco_wholebody import read_coco_wholebody
from limner.errors import DataSetError

ENTRY = {
    "id": 5,
    "image_id": 9,
    "iscrowd": 0,
    "bbox": [1, 2, 30, 40],
    "keypoints": [3, 4, 2] * 17,
    "foot_kpts": [5, 6, 1.0] * 6,
    "face_kpts": [7, 8, 0.4] * 68,
    "lefthand_kpts": [1, 1, 0.9] * 21,
    "righthand_kpts": [2, 2, 0.9] * 21,
    "foot_valid": True,
    "face_valid": True,
    "lefthand_valid": False,
    "righthand_valid": True,
}


def test_people_with_133_points(tmp_path: Path):
    blank = ENTRY | {"id": 6, "keypoints": [0] * 51, **{f"{p}_valid": False for p in ("foot", "face", "righthand")}}
    content = {"images": [{"id": 9, "file_name": "000000000009.jpg"}], "annotations": [ENTRY, blank]}
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "coco_wholebody_val_v1.0.json").write_text(json.dumps(content))
    (person,) = read_coco_wholebody(tmp_path, "val")
    assert person.photo == tmp_path / "val2017" / "000000000009.jpg" and person.box.tolist() == [1, 2, 31, 42]
    assert person.points_px[17].tolist() == [5, 6] and person.points_px[112].tolist() == [2, 2]
    confidence = person.confidence
    assert confidence[0] == 1 and confidence[30] == pytest.approx(0.4) and confidence[91:112].sum() == 0


def test_a_missing_or_broken_file(tmp_path: Path):
    with pytest.raises(DataSetError, match=r"val_v1.0.json[\s\S]*COCO-WholeBody"):
        list(read_coco_wholebody(tmp_path, "val"))
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "coco_wholebody_val_v1.0.json").write_text('{"images": []')
    with pytest.raises(DataSetError, match="cannot be used"):
        list(read_coco_wholebody(tmp_path, "val"))
