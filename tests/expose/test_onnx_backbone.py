"""Backbones under ONNX Runtime are the same function."""

import sys

import pytest
import torch

from limner.errors import WeightsError
from limner.expose.fold import folded
from limner.expose.onnx_backbone import OnnxBackbone, onnx_model
from limner.networks.resnet import ResNet


@pytest.fixture(scope="module")
def resnet() -> ResNet:
    torch.manual_seed(0)
    return folded(ResNet(18, crop_size=64).eval())


def test_onnx_backbone_is_the_same_function_at_any_batch_size(resnet, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    model = onnx_model(resnet, 64)
    path = tmp_path / "resnet.onnx"
    path.write_bytes(model)
    for given in (model, path):
        backbone = OnnxBackbone(given, 64, resnet.num_features)
        for count in (1, 3):
            pixels = torch.rand(count, 3, 64, 64)
            with torch.no_grad():
                assert torch.allclose(backbone(pixels).pooled, resnet(pixels).pooled, atol=1e-4)
    assert backbone(torch.zeros(0, 3, 64, 64)).pooled.shape == (0, 512)


def test_a_damaged_model_is_refused(tmp_path):
    pytest.importorskip("onnxruntime")
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(WeightsError, match=r"broken.onnx cannot be read"):
        OnnxBackbone(path, 64, 512)


def test_missing_packages_are_named_with_the_cure(monkeypatch, resnet):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(WeightsError, match="onnxruntime is missing. Install limner again"):
        OnnxBackbone(b"", 64, 512)
