"""Stirling/ESRC: file names in either case, people without a scan."""

from pathlib import Path

import numpy as np
import pytest

from limner.data.sources.stirling import read_stirling
from limner.errors import DataSetError
from tests.data.sources.tiny_sets import write_stirling

G = np.random.default_rng(0)
VERTICES, FACES, LANDMARKS = G.normal(size=(20, 3)), G.integers(0, 20, (30, 3)), G.normal(size=(7, 3))


def test_photos_with_a_scan(tmp_path: Path):
    write_stirling(tmp_path, VERTICES, FACES, LANDMARKS)
    found = read_stirling(tmp_path, "HQ")
    assert [photo.name for photo in found.photos] == ["F1001_a", "F1001_b"] and found.without_scan == 1
    assert found.photos[0].subject == "F1001" and np.allclose(found.photos[0].landmarks(), LANDMARKS, atol=1e-6)
    assert np.allclose(found.photos[1].scan()[0], VERTICES, atol=1e-6)


def test_half_a_download(tmp_path: Path):
    write_stirling(tmp_path, VERTICES, FACES, LANDMARKS)
    with pytest.raises(DataSetError, match="LQ"):
        read_stirling(tmp_path, "LQ")
    (tmp_path / "F_3D_N" / "f1001_N.obj").unlink()
    with pytest.raises(DataSetError, match="none of 3 photos"):
        read_stirling(tmp_path, "HQ")
