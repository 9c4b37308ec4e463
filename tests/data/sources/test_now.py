"""NoW: photos, scans, picked points."""

from pathlib import Path

import numpy as np
import pytest

from limner.data.sources.now import read_now, read_points
from limner.errors import DataSetError
from tests.data.sources.tiny_sets import write_now

G = np.random.default_rng(0)
VERTICES, FACES, LANDMARKS = G.normal(size=(20, 3)), G.integers(0, 20, (30, 3)), G.normal(size=(7, 3))


def test_each_photo_of_the_list_has_its_scan(tmp_path: Path):
    write_now(tmp_path, VERTICES, FACES, LANDMARKS)
    first, second = read_now(tmp_path)
    assert first.name == "FaMoS_180424_03335_TA/multiview_neutral/IMG_0001" and second.category == "selfie"
    assert first.photo.exists() and np.allclose(first.scan()[0], VERTICES, atol=1e-6)
    assert np.allclose(second.landmarks(), LANDMARKS, atol=1e-6)


def test_points_of_other_files(tmp_path: Path):
    np.save(tmp_path / "a.npy", LANDMARKS)
    (tmp_path / "a.txt").write_text("1, 2, 3\n4, 5, 6\n")
    (tmp_path / "a.lnd").write_text("EyeR 1 2 3\n")
    assert np.allclose(read_points(tmp_path / "a.npy"), LANDMARKS)
    assert read_points(tmp_path / "a.txt").tolist() == [[1, 2, 3], [4, 5, 6]]
    assert read_points(tmp_path / "a.lnd").tolist() == [[1, 2, 3]]
    (tmp_path / "b.txt").write_text("no numbers here\n")
    with pytest.raises(DataSetError, match="b.txt"):
        read_points(tmp_path / "b.txt")


def test_half_a_download(tmp_path: Path):
    write_now(tmp_path, VERTICES, FACES, LANDMARKS)
    next(tmp_path.glob("scans_lmks_onlypp/*/*.pp")).unlink()
    with pytest.raises(DataSetError, match="has no landmarks"):
        read_now(tmp_path)
    (tmp_path / "imagepathsvalidation.txt").unlink()
    with pytest.raises(DataSetError, match=r"imagepathsvalidation.txt is missing[\s\S]*now.is.tue.mpg.de"):
        read_now(tmp_path)
