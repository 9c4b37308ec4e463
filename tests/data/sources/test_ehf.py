"""EHF in its published layout."""

from pathlib import Path

import numpy as np
import pytest
import torch

from limner.data.sources.ehf import FRAMES, ORIENTATION, TRANSLATION, read_ehf
from limner.errors import DataSetError
from limner.geometry.rotation import rotation_from_axis_angle
from tests.data.sources.tiny_sets import write_ehf

MESHES = np.random.default_rng(0).normal(size=(2, 30, 3))
FACES = np.random.default_rng(1).integers(0, 30, (40, 3))


def test_meshes_are_in_the_camera(tmp_path: Path):
    write_ehf(tmp_path, MESHES, FACES)
    frames = read_ehf(tmp_path, complete=False)
    assert [frame.name for frame in frames] == ["01", "02"] and frames[1].photo.name == "02_img.jpg"
    vertices, faces = frames[1].registration()
    R = rotation_from_axis_angle(torch.tensor(ORIENTATION, dtype=torch.float64)).numpy()
    assert np.allclose(vertices, MESHES[1] @ R.T + np.array(TRANSLATION), atol=1e-5)
    scan = frames[1].scan()
    assert scan is not None and torch.allclose(scan[0], vertices, atol=1e-5) and scan[1].tolist() == faces.tolist()


def test_half_a_download_is_an_error_that_says_so(tmp_path: Path):
    write_ehf(tmp_path, MESHES, FACES, scan=False)
    assert read_ehf(tmp_path, complete=False)[0].scan() is None
    with pytest.raises(DataSetError, match=f"2 of {FRAMES} frames"):
        read_ehf(tmp_path)
    (tmp_path / "02_align.ply").unlink()
    with pytest.raises(DataSetError, match="1 photos have no registration"):
        read_ehf(tmp_path, complete=False)
    (tmp_path / "01_img.jpg").unlink()
    with pytest.raises(DataSetError, match="has no photo"):
        read_ehf(tmp_path, complete=False)
    with pytest.raises(DataSetError, match="smpl-x.is.tue.mpg.de"):
        read_ehf(tmp_path / "nowhere")
