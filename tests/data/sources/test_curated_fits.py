"""ExPose's curated fits."""

from pathlib import Path

import numpy as np
import pytest
import torch

from limner.data.sources.curated_fits import POINT_NAMES, read_curated_fits
from limner.errors import DataSetError
from limner.geometry.rotation import rotation_from_axis_angle
from tests.data.sources.tiny_sets import write_curated

POSE = np.random.default_rng(0).normal(size=(2, 53, 3))


def test_poses_without_eyes_get_eyes_that_look_ahead(tmp_path: Path):
    write_curated(tmp_path, "train", POSE)
    fits = read_curated_fits(tmp_path, "train")
    assert len(fits) == 2 and fits.photos[1] == tmp_path / "images" / "lsp" / "im0001.jpg"
    params = fits.params(1)
    assert torch.allclose(params.leye_pose[0], torch.eye(3))
    assert torch.allclose(params.jaw_pose[0], rotation_from_axis_angle(torch.tensor(POSE[1, 22]).float()), atol=1e-6)
    whole = rotation_from_axis_angle(torch.tensor(POSE[1, -15:]).float())
    assert torch.allclose(params.right_hand_pose[0], whole, atol=1e-6)
    assert fits.points.shape == (2, 135, 3) and POINT_NAMES[8] == "pelvis"


def test_truth_of_the_validation_split(tmp_path: Path):
    write_curated(tmp_path, "val", POSE, vertices=np.ones((2, 9, 3)), joints=np.zeros((2, 14, 3)))
    fits = read_curated_fits(tmp_path, "val")
    assert fits.vertices is not None and fits.vertices.shape == (2, 9, 3)
    assert fits.joints is not None and fits.joints.shape == (2, 14, 3)


def test_other_files_are_refused(tmp_path: Path):
    with pytest.raises(DataSetError, match="expose.is.tue.mpg.de"):
        read_curated_fits(tmp_path, "val")
    write_curated(tmp_path, "val", POSE[:, :24])
    with pytest.raises(DataSetError, match="53 or 55"):
        read_curated_fits(tmp_path, "val")
    np.savez(tmp_path / "val.npz", betas=np.zeros(1))
    with pytest.raises(DataSetError, match="it lacks expression"):
        read_curated_fits(tmp_path, "val")
