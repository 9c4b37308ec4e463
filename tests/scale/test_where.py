"""What is said of one photo of many says the same as all that was said; its errors are the photo's."""

import json
from pathlib import Path

import pytest

from limner.errors import BoxError, KeypointFileError, LimnerError
from limner.scale.where import Where


def test_of_one_photo_as_of_all(tmp_path: Path):
    boxes = tmp_path / "boxes.json"
    table = {"x/a.png": [[0, 0, 9, 9]], "y/a.png": [[1, 1, 9, 9]], "b.jpg": [], "c": [[2, 2, 9, 9]], "d.e.png": []}
    boxes.write_text(json.dumps(table))
    where = Where.given(boxes=boxes)
    for name, first in {"x/a.png": 0, "p/y/a.png": 1, "c.png": 2}.items():
        file = tmp_path / name
        found, alone = where(file), where.only(file)(file)
        assert found is not None and alone is not None and found.tolist() == alone.tolist() == [[first, first, 9, 9]]
    for name, message in {"z/a.png": "fits several names: x/a.png, y/a.png", "f.png": "only for: x/a.png"}.items():
        for asked in (where, where.only(Path(name))):
            with pytest.raises(BoxError, match=message):
                asked(Path(name))
    one = Where.given(box=(1.0, 2.0, 3.0, 4.0))
    assert one.only(Path("a.png")) is one and Where()(Path("a.png")) is None


def test_keypoints_of_a_shared_name_are_nobodys(tmp_path: Path):
    points = {"pose_keypoints_2d": [v for k in range(25) for v in (10.0 * k, 10.0 * k, 0.9)]}
    for name in ("a", "b"):
        (tmp_path / f"{name}_keypoints.json").write_text(json.dumps({"people": [points]}))
    photos = [Path("x/a.png"), Path("y/a.png"), Path("b.png")]
    where = Where.given(keypoints=tmp_path, photos=photos)
    found = where.only(photos[2])(photos[2], (300, 300))
    assert found is not None and found.tolist() == [[-24.0, -24.0, 264.0, 264.0]]
    error: LimnerError | None = where.only(photos[0]).error
    assert isinstance(error, KeypointFileError) and "several photos are called 'a'" in str(error)
