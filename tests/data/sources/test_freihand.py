"""FreiHAND's json files."""

from pathlib import Path

import numpy as np
import pytest

from limner.data.sources.freihand import read_freihand
from limner.errors import DataSetError
from tests.data.sources.tiny_sets import write_freihand

G = np.random.default_rng(0)
JOINTS, VERTICES = G.normal(size=(2, 21, 3)), G.normal(size=(2, 778, 3))


def test_hands_come_with_their_photo(tmp_path: Path):
    write_freihand(tmp_path, JOINTS, VERTICES)
    first, second = read_freihand(tmp_path)
    assert second.name == "00000001" and second.photo.exists()
    assert np.allclose(first.joints, JOINTS[0], atol=1e-6) and np.allclose(second.vertices, VERTICES[1], atol=1e-6)


def test_half_a_download(tmp_path: Path):
    write_freihand(tmp_path, JOINTS, VERTICES)
    (tmp_path / "evaluation_xyz.json").write_text("[]")
    with pytest.raises(DataSetError, match="0 skeletons, 2 meshes"):
        list(read_freihand(tmp_path))
    (tmp_path / "evaluation_xyz.json").write_text("[1")
    with pytest.raises(DataSetError, match="cannot be used"):
        list(read_freihand(tmp_path))
    (tmp_path / "evaluation_verts.json").unlink()
    with pytest.raises(DataSetError, match=r"evaluation_verts.json[\s\S]*freiburg"):
        list(read_freihand(tmp_path))
