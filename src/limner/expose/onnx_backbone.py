"""The official network's backbones under ONNX Runtime: how they become ONNX models, and run as those."""

import io
import warnings
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.extras import extra
from limner.networks.backbone import Features
from limner.networks.onnx import onnx_session


class _Pooled(nn.Module):
    """The pooled features alone: what the official regressors read."""

    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.backbone = backbone

    def forward(self, pixels: Tensor) -> Tensor:
        return self.backbone(pixels).pooled


def onnx_model(backbone: nn.Module, crop_size: int) -> bytes:
    """An ONNX model of a (folded) backbone: `pixels` "B 3 S S" in [0, 1] to `pooled` "B C", any batch size.

    Raises LimnerError where the `onnx` package is missing.
    """
    with extra("onnx", "Writing ONNX"):
        import onnx  # noqa: F401
    target = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter needs more packages and is slower
        torch.onnx.export(
            _Pooled(backbone).eval(),
            (torch.zeros(1, 3, crop_size, crop_size),),
            target,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=17,
            input_names=["pixels"],
            output_names=["pooled"],
            dynamic_axes={"pixels": {0: "batch"}, "pooled": {0: "batch"}},
        )
    return target.getvalue()


class OnnxBackbone(nn.Module):
    """A `Backbone` that runs under ONNX Runtime; its features have no maps. Inference only.

    `model`: what `onnx_model` made, or a file of it.
    """

    def __init__(self, model: bytes | Path, crop_size: int, num_features: int):
        super().__init__()
        self.crop_size, self.num_features = crop_size, num_features
        self.session = onnx_session(model)

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> Features:
        """RGB crops in [0, 1]."""
        if len(pixels) == 0:
            return Features(pixels.new_zeros(0, self.num_features))
        (pooled,) = self.session.run(None, {"pixels": pixels.contiguous().numpy()})
        return Features(torch.from_numpy(pooled))
