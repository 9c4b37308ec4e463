"""Networks under ONNX Runtime: the shipped ones, which it runs faster on a CPU than torch, and official backbones.

torch is the reference. A shipped network's graph lies in assets/graphs without weights (tools/make_graphs.py); it gets
them from the torch network when it is loaded: there is one file of weights for both, shipped or of one's own training.
"""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

import limner
from limner.errors import WeightsError
from limner.networks.backbone import Features
from limner.networks.blaze.face import BlazeFace, FaceFeatures
from limner.networks.blaze.hand import BlazeHand, HandFeatures
from limner.networks.blaze.pose import BlazePose, PoseFeatures
from limner.networks.movenet import Maps, MoveNet
from limner.threads import usable_threads

Engine = Literal["onnx", "torch"]
"""What runs the networks: ONNX Runtime (the default on a CPU), or torch (the reference; to train, and on GPUs)."""

CURE = "Install `pip install limner[onnx]`, or use the torch runtime."


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


@dataclass(frozen=True)
class Graph:
    """What a shipped graph stands for: the torch network, its record of outputs, and which of the record's fields."""

    network: type[nn.Module]
    record: type
    outputs: tuple[str, ...]
    pixels: tuple[int, int]
    """Height and width of what it looks at; MoveNet takes any multiple of 32."""
    left_out: str = "nothing."
    """Weights whose names begin so serve outputs that the graph leaves out."""


GRAPHS = {
    "blaze_pose": Graph(
        BlazePose, PoseFeatures, ("landmarks", "world", "presence", "heatmaps", "side16"), (256, 256), "mask_head."
    ),
    "blaze_hand": Graph(BlazeHand, HandFeatures, ("landmarks", "world", "presence", "handedness"), (224, 224)),
    "blaze_face": Graph(BlazeFace, FaceFeatures, ("landmarks", "presence"), (192, 192)),
    "movenet": Graph(MoveNet, Maps, ("center", "size", "offset", "heat", "points"), (256, 192)),
}
MOST_AT_ONCE = 8
"""Pictures of one run: bounds the memory in crowds."""


def graph_path(name: str) -> Path:
    """Where the graph of that name lies."""
    return Path(limner.__file__).parent / "assets" / "graphs" / f"{name}.onnx"


class OnnxNetwork(nn.Module):
    """A shipped network under ONNX Runtime: called as the torch network is, with the same record as its answer.

    Inference only, on the CPU. Uses as many threads as torch does when it is built. Raises WeightsError.
    """

    def __init__(self, network: nn.Module):
        """`network`: the torch network (BlazePose, BlazeHand, BlazeFace, MoveNet) whose weights are used."""
        super().__init__()
        (name,) = (name for name, graph in GRAPHS.items() if isinstance(network, graph.network))
        self.graph = GRAPHS[name]
        weights = {k: v for k, v in network.state_dict().items() if not k.startswith(self.graph.left_out)}
        self.session = _session(graph_path(name), weights)

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> Any:
        """RGB pictures in [0, 1] to the network's record."""
        lists = [self._run(some) for some in pixels.split(MOST_AT_ONCE)]
        values = lists[0] if len(lists) == 1 else [torch.cat(parts) for parts in zip(*lists, strict=True)]
        return self.graph.record(**dict(zip(self.graph.outputs, values, strict=True)))

    def _run(self, pixels: Tensor) -> list[Tensor]:
        """No pictures are one, of which nothing is kept: ONNX Runtime takes no empty batch."""
        given = pixels if len(pixels) else pixels.new_zeros(1, *pixels.shape[1:])
        made = self.session.run(None, {"pixels": given.detach().contiguous().numpy()})
        return [torch.from_numpy(array)[: len(pixels)] for array in made]


def _session(model: bytes | Path, weights: dict[str, Tensor] | None = None) -> Any:
    """`weights`: of a graph that lies without them."""
    try:
        import onnxruntime
    except ImportError as error:
        raise WeightsError(
            "the onnx runtime was asked for, but the package onnxruntime is missing. Install limner "
            "again: it brings it."
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(usable_threads(), torch.get_num_threads())
    options.inter_op_num_threads = 1
    # its threads would keep the cores busy for a while after each run, and torch's work between the runs would wait
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    if weights is not None:
        arrays = [value.detach().float().contiguous().numpy() for value in weights.values()]
        options.add_external_initializers(
            list(weights), [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in arrays]
        )
    try:
        content = model if isinstance(model, bytes) else model.read_bytes()
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 onnxruntime's own exceptions have no common base
        what = "the model" if isinstance(model, bytes) else str(model)
        raise WeightsError(f"{what} cannot be read by ONNX Runtime ({error}). Convert the .ckpt again.") from error
