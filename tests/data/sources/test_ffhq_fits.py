"""FLAME fits of FFHQ."""

from pathlib import Path

import numpy as np
import pytest

from limner.data.sources.ffhq_fits import POINT_NAMES, read_ffhq_fits
from limner.errors import DataSetError

G = np.random.default_rng(0)
ARRAYS = {
    "global_pose": G.normal(size=(2, 3)),
    "jaw_pose": G.normal(size=(2, 1, 3)),
    "betas": G.normal(size=(2, 100)),
    "expression": G.normal(size=(2, 50)),
    "keypoints2D": G.normal(size=(2, 73, 2)),
    "img_fnames": np.array(["00000.png", "00001.png"]),
}


def test_portraits(tmp_path: Path):
    np.savez(tmp_path / "ffhq_annotations.npz", **ARRAYS)
    fits = read_ffhq_fits(tmp_path)
    assert len(fits) == 2 and [fit.name for fit in fits] == ["00000.png", "00001.png"]
    assert np.allclose(fits[1].jaw_pose, ARRAYS["jaw_pose"][1, 0], atol=1e-6)
    assert fits[1].points_px.shape == (73, 2) and len(POINT_NAMES) == 73
    assert fits[1].photo == tmp_path / "ffhq_global_images_1024" / "00001.png"


def test_other_files_are_refused(tmp_path: Path):
    with pytest.raises(DataSetError, match="ffhq_annotations.npz"):
        read_ffhq_fits(tmp_path)
    np.savez(tmp_path / "ffhq_annotations.npz", **(ARRAYS | {"keypoints2D": np.zeros((2, 68, 2))}))
    with pytest.raises(DataSetError, match="expected \\(2, 73, 2\\)"):
        read_ffhq_fits(tmp_path)
    np.savez(tmp_path / "ffhq_annotations.npz", betas=np.zeros(2))
    with pytest.raises(DataSetError, match="it lacks global_pose"):
        read_ffhq_fits(tmp_path)
