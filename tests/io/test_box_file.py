"""Box files: both layouts, which photo gets which boxes, errors with cures."""

import json
from pathlib import Path

import pytest

from limner.errors import BoxError
from limner.io.box_file import boxes_of, read_boxes


def written(folder: Path, content: object) -> Path:
    path = folder / "boxes.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_boxes_by_photo(tmp_path):
    table = read_boxes(written(tmp_path, {"a.jpg": [[1, 2.5, 3, 4], [5, 6, 7, 8]], "b.png": [], "c": [-1, 2, 3, 4]}))
    assert {name: boxes.tolist() for name, boxes in table.items()} == {
        "a.jpg": [[1, 2.5, 3, 4], [5, 6, 7, 8]],
        "b.png": [],
        "c": [[-1, 2, 3, 4]],
    }
    assert table["b.png"].shape == (0, 4)


def test_two_lists(tmp_path):
    content = {
        "note": "not read",
        "images": ["x/0.png", "x/1.png", "x/0.png"],
        "boxes": [[1, 2, 3, 4], [[5, 6, 7, 8], [0, 0, 1, 1]], [9, 9, 11, 12]],
    }
    table = read_boxes(written(tmp_path, content))
    assert table["x/0.png"].tolist() == [[1, 2, 3, 4], [9, 9, 11, 12]]
    assert table["x/1.png"].tolist() == [[5, 6, 7, 8], [0, 0, 1, 1]]


def test_the_longest_fitting_name_wins(tmp_path):
    table = read_boxes(written(tmp_path, {"0.png": [1, 0, 2, 2], "x/0.png": [2, 0, 3, 3], "other.jpg": [3, 0, 4, 4]}))
    assert boxes_of(tmp_path / "x" / "0.png", table)[0, 0] == 2
    assert boxes_of(tmp_path / "y" / "0.png", table)[0, 0] == 1
    assert boxes_of("other.webp", table)[0, 0] == 3  # same name, other ending


def test_photos_without_a_name_or_with_several(tmp_path):
    table = read_boxes(written(tmp_path, {"x/0.png": [1, 0, 2, 2], "y/0.png": [2, 0, 3, 3]}))
    with pytest.raises(BoxError, match=r"no boxes for the photo '7.png', only for: x/0.png, y/0.png. Add it"):
        boxes_of("7.png", table)
    with pytest.raises(BoxError, match=r"fits several names: x/0.png, y/0.png. Write more of its path"):
        boxes_of("z/0.png", table)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no whole JSON file"),
        ([[1, 2, 3, 4]], "holds a list, expected an object"),
        ({"a.jpg": [[1, 2, 3]]}, r"a.jpg: \[1, 2, 3\] is no box of four numbers"),
        ({"a.jpg": [["1", 2, 3, 4]]}, "is no box of four numbers"),
        ({"a.jpg": "1 2 3 4"}, "expected a list of boxes"),
        ({"images": ["a"], "boxes": []}, "lists of one length, got 1 and 0"),
        ({"images": [3], "boxes": [[1, 2, 3, 4]]}, "3 is no photo name"),
    ],
)
def test_what_is_no_box_file(content, message, tmp_path):
    with pytest.raises(BoxError, match=message):
        read_boxes(written(tmp_path, content))


def test_a_missing_file(tmp_path):
    with pytest.raises(BoxError, match="does not exist"):
        read_boxes(tmp_path / "none.json")
