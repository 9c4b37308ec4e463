"""What a user is told who lacks a data set."""

from pathlib import Path

import pytest

from limner.data.sources.layout import Layout
from limner.errors import DataSetError

SET = Layout("Tiny (3 photos)", "https://tiny.example", "research only", "images/NN.jpg\nlabels.json")


def test_the_message_says_what_is_missing_and_how_to_get_it(tmp_path: Path):
    (tmp_path / "a").touch()
    with pytest.raises(DataSetError) as caught:
        SET.need(tmp_path, "a", "b", "c")
    text = str(caught.value)
    assert "2 of 3 needed files are missing: b, c" in text and str(tmp_path) in text
    assert "https://tiny.example" in text and "research only" in text and "    images/NN.jpg\n    labels.json" in text


def test_what_is_there_passes(tmp_path: Path):
    (tmp_path / "a").touch()
    SET.need(tmp_path, "a")
    assert SET.some(tmp_path, "*") == [tmp_path / "a"]


def test_a_missing_folder_and_an_empty_one_differ(tmp_path: Path):
    with pytest.raises(DataSetError, match="no such folder"):
        SET.need(tmp_path / "nowhere", "a")
    with pytest.raises(DataSetError, match="nothing in it is called"):
        SET.some(tmp_path, "*.npz")
