"""AGORA's own tables: who is valid, in the pixels of the photo that is there."""

import shutil
from pathlib import Path

import pytest

from limner.data.sources.agora_frames import AgoraTables
from limner.errors import DataSetError
from tests.data.sources.test_frames import TABLES
from tests.data.sources.tiny_sets import write_photo


def test_valid_people_of_the_tables(tmp_path: Path):
    (tmp_path / "Cam").mkdir()
    shutil.copy(TABLES / "pandas_1_5.pkl", tmp_path / "Cam" / "validation_0_withjv.pkl")
    write_photo(tmp_path / "validation" / "ag_validationset_a_00_00000_1280x720.png")
    write_photo(tmp_path / "large" / "ag_validationset_b_00_00001.png")
    tables = AgoraTables(tmp_path)
    first, second = tables
    assert first.name == "ag_validationset_a_00_00000#0" and second.image == "ag_validationset_b_00_00001"
    assert first.photo.parent.name == "validation" and second.photo.parent.name == "large"
    assert tables.target(first).joints_px.tolist() == [[100.0, 100.0]] * 3  # a third as large
    target = tables.target(second)
    assert target.joints_px.tolist() == [[900.0, 900.0]] * 3
    assert target.vertices.tolist() == [[3.5] * 3] * 2 and target.joints.tolist() == [[3.0] * 3] * 3


def test_half_a_download(tmp_path: Path):
    with pytest.raises(DataSetError, match="no such folder"):
        AgoraTables(tmp_path / "no")
    with pytest.raises(DataSetError, match=r"(?s)nothing in it is called validation_0_withjv.pkl.*parsed form.*Get it"):
        AgoraTables(tmp_path)
    (tmp_path / "validation_0_withjv.pkl").write_bytes(b"cut")
    with pytest.raises(DataSetError, match="refused or damaged"):
        list(AgoraTables(tmp_path))
