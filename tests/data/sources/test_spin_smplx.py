"""SPIN in SMPL-X."""

from pathlib import Path

import numpy as np
import pytest

from limner.data.sources.spin_smplx import read_spin_smplx
from limner.errors import DataSetError

G = np.random.default_rng(0)
ARRAYS = {
    "imgname": np.array(["a.jpg", "b.jpg", "c.jpg"]),
    "center": np.full((3, 2), 100.0),
    "scale": np.full(3, 0.5),
    "has_smpl": np.array([1, 0, 1]),
    "betas": G.normal(size=(3, 10)),
    "pose": G.normal(size=(3, 165)) * 0.3,
    "body_keypoints": G.random((3, 25, 3)),
    "face_keypoints": G.random((3, 70, 3)),
}


def test_only_rows_with_a_fit(tmp_path: Path):
    np.savez(tmp_path / "lsp.npz", **ARRAYS)
    fits = read_spin_smplx(tmp_path, "lsp")
    assert fits.names == ("lsp/a.jpg", "lsp/c.jpg")
    assert fits.photos[1] == tmp_path / "lsp/lsp_dataset_original/images/c.jpg"
    assert np.allclose(fits.pose[1].flatten(), ARRAYS["pose"][2], atol=1e-6)
    assert fits[0].box is not None and fits[0].box.tolist() == [50, 50, 150, 150]
    assert fits.points.shape == (2, 25 + 68, 3) and len(fits.point_names) == 93
    assert np.allclose(fits.points[1, 25], ARRAYS["face_keypoints"][2, 0])


def test_spins_own_files_are_told_apart(tmp_path: Path):
    np.savez(tmp_path / "mpii.npz", **(ARRAYS | {"pose": np.zeros((3, 72))}))
    with pytest.raises(DataSetError, match="SPIN's own files have 72"):
        read_spin_smplx(tmp_path, "mpii")
    with pytest.raises(DataSetError, match="coco.npz"):
        read_spin_smplx(tmp_path, "coco")
