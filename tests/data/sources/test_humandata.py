"""HumanData files hold pickled dicts of arrays."""

from pathlib import Path

import numpy as np
import pytest

from limner.data.sources.humandata import read_humandata
from limner.errors import DataSetError

G = np.random.default_rng(0)
SMPLX = {
    "global_orient": G.normal(size=(2, 3)),
    "body_pose": G.normal(size=(2, 21, 3)),
    "left_hand_pose": G.normal(size=(2, 15, 3)),
    "betas": G.normal(size=(2, 10)),
    "transl": G.normal(size=(2, 3)),
}


def test_people_with_smplx(tmp_path: Path):
    np.savez_compressed(
        tmp_path / "h.npz",
        image_path=np.array(["x/a.jpg", "x/b.jpg"]),
        bbox_xywh=np.array([[1.0, 2, 3, 4, 1]] * 2),
        smplx=SMPLX,
        meta={"gender": ["male", "female"]},
    )
    fits = read_humandata(tmp_path / "h.npz", tmp_path / "photos")
    assert fits.photos[1] == tmp_path / "photos" / "x/b.jpg"
    assert np.allclose(fits.pose[1, 1:22], SMPLX["body_pose"][1], atol=1e-6)
    assert np.allclose(fits.pose[1, 25:40], SMPLX["left_hand_pose"][1], atol=1e-6)
    assert fits.pose[:, 40:].abs().sum() == 0 and np.allclose(fits.transl, SMPLX["transl"], atol=1e-6)
    assert fits[0].box is not None and fits[0].box.tolist() == [1, 2, 4, 6]


def test_files_without_smplx_are_refused(tmp_path: Path):
    np.savez(tmp_path / "h.npz", image_path=np.array(["a"]), smpl={"betas": np.zeros((1, 10))})
    with pytest.raises(DataSetError, match="no smplx parameters, only image_path, smpl"):
        read_humandata(tmp_path / "h.npz", tmp_path)
    with pytest.raises(DataSetError, match="no such file"):
        read_humandata(tmp_path / "no.npz", tmp_path)
