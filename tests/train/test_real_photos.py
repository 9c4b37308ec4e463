"""Real crops with 2D labels: read from the published layout, bounded loss, missing data names the cure."""

import io
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from limner.errors import LimnerError
from limner.networks.backbone import Features
from limner.networks.part_net import PartNet
from limner.networks.regressor import IterativeRegressor
from limner.networks.weights import NetSpec
from limner.pipeline.predicted import BODY_POINTS, PredictedPoints
from limner.train.real_photos import LIMB_JOINTS, MOST_OFF, PREDICTED, Real2D, observe_real, real_loss


class SeesLight(torch.nn.Module):
    """A backbone that sees a person where the crop is bright."""

    crop_size, num_features = 64, 3

    def forward(self, pixels: torch.Tensor) -> Features:
        return Features(pixels.mean((2, 3)), presence=(pixels.amax((1, 2, 3)) > 0.5).float())


@pytest.fixture()
def net() -> PartNet:
    layout = NetSpec("body").layout()
    return PartNet("body", SeesLight(), IterativeRegressor(3, layout.mean(1.0), (8,), "relu", 0.0, 1), layout)


def write_set(folder, dark: int) -> np.ndarray:
    """Four crops in the published layout; number `dark` shows nothing."""
    joints = np.zeros((4, 17, 2), np.float32)
    joints[:, 5:] = np.random.default_rng(0).uniform(60, 160, (4, 12, 2))
    visible = np.zeros((4, 17), np.uint8)
    visible[:, 5:] = 2
    visible[1, 5:12] = 0  # five joints only: left out
    names = np.array([f"lspet_{i}.jpg" for i in range(4)])
    ratio = np.array([1.0, 1.0, 1.1, 1.2], np.float32)
    np.savez(
        folder / "annotations.npz",
        name=names,
        shard=np.zeros(4, np.uint8),
        coco17=joints,
        coco_vis17=visible,
        limb_ratio=ratio,
    )
    with zipfile.ZipFile(folder / "crops_0.zip", "w") as archive:
        for i, name in enumerate(names):
            data = io.BytesIO()
            Image.new("RGB", (224, 224), (0, 0, 0) if i == dark else (250, 250, 250)).save(data, "JPEG")
            archive.writestr(str(name), data.getvalue())
    return joints


def test_labels_follow_their_crops(net, tmp_path):
    joints = write_set(tmp_path, dark=3)
    real = observe_real(tmp_path, net, tmp_path / "cache.safetensors")
    assert len(real) == 2  # one has too few joints, of one nothing is seen
    # the crop is a square about the joints: distances keep their ratios
    said = (real.joints[1, 3] - real.joints[1, 0]).norm() / (real.joints[1, 7] - real.joints[1, 0]).norm()
    true = np.linalg.norm(joints[2, 8] - joints[2, 5]) / np.linalg.norm(joints[2, 12] - joints[2, 5])
    assert float(said) == pytest.approx(float(true), rel=1e-4)
    assert torch.equal(observe_real(tmp_path / "gone", net, tmp_path / "cache.safetensors").joints, real.joints)


def test_missing_data_names_what_is_expected(net, tmp_path):
    with pytest.raises(LimnerError, match="expected annotations.npz"):
        observe_real(tmp_path, net, tmp_path / "cache.safetensors")


def test_right_joints_cost_nothing_and_swapped_ones_little(body):
    layout = NetSpec("body").layout()
    points = PredictedPoints("body", body, layout)
    vector = layout.mean(1.0)[None]
    assert [BODY_POINTS[i] for i in PREDICTED] == list(LIMB_JOINTS)
    projected = layout.camera(vector).project(points(vector)[:, PREDICTED])
    exact = Real2D(torch.zeros(1, 4), projected, torch.ones(1, 12))
    assert float(real_loss(vector, exact, layout, points)) < 1e-6
    far = Real2D(torch.zeros(1, 4), projected + 5, torch.ones(1, 12))
    assert float(real_loss(vector, far, layout, points)) == pytest.approx(MOST_OFF)
    unlabelled = Real2D(torch.zeros(1, 4), projected + 5, torch.zeros(1, 12))
    assert float(real_loss(vector, unlabelled, layout, points)) == 0
