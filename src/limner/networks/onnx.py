"""How does a backbone run under ONNX Runtime? An optional extra of limner."""

import io
import warnings
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.errors import WeightsError
from limner.networks.backbone import Features

CURE = "Install it with `pip install limner[onnx]`, or use the torch runtime."


class _Pooled(nn.Module):
    """The pooled features alone: what the official regressors read."""

    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.backbone = backbone

    def forward(self, pixels: Tensor) -> Tensor:
        return self.backbone(pixels).pooled


def onnx_model(backbone: nn.Module, crop_size: int) -> bytes:
    """An ONNX model of a (folded) backbone: `pixels` "B 3 S S" in [0, 1] to `pooled` "B C", any batch size.

    Raises WeightsError where the `onnx` package is missing.
    """
    target = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter needs more packages and is slower
        try:
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
        except torch.onnx.OnnxExporterError as error:
            raise WeightsError(f"the network cannot be written as ONNX: {error} {CURE}") from error
    return target.getvalue()


class OnnxBackbone(nn.Module):
    """A `Backbone` that runs under ONNX Runtime; its features have no maps. Inference only.

    `model`: what `onnx_model` made, or a file of it. Uses as many threads as torch does when it is built.
    """

    def __init__(self, model: bytes | Path, crop_size: int, num_features: int):
        super().__init__()
        self.crop_size, self.num_features = crop_size, num_features
        self.session = _session(model)

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> Features:
        """RGB crops in [0, 1]."""
        if len(pixels) == 0:
            return Features(pixels.new_zeros(0, self.num_features))
        (pooled,) = self.session.run(None, {"pixels": pixels.contiguous().numpy()})
        return Features(torch.from_numpy(pooled))


def _session(model: bytes | Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise WeightsError(f"the onnx runtime was asked for, but the package onnxruntime is missing. {CURE}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    # its threads would keep the cores busy for a while after each run, and torch's work between the runs would wait
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    content = model if isinstance(model, bytes) else str(model)
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 onnxruntime's own exceptions have no common base
        what = "the model" if isinstance(model, bytes) else str(model)
        raise WeightsError(f"{what} cannot be read by ONNX Runtime ({error}). Convert the .ckpt again.") from error
