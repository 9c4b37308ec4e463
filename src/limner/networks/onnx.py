"""The shipped networks under ONNX Runtime, which runs them faster on a CPU than torch.

torch is the reference. A shipped network's graph lies in assets/graphs without weights (tools/make_graphs.py); it gets
them from the torch network when it is loaded: there is one file of weights for both, shipped or of one's own training.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

import limner
from limner.errors import WeightsError
from limner.networks.blaze.face import BlazeFace, FaceFeatures
from limner.networks.blaze.hand import BlazeHand, HandFeatures
from limner.networks.blaze.pose import BlazePose, PoseFeatures
from limner.networks.movenet import Maps, MoveNet
from limner.threads import usable_threads

Engine = Literal["onnx", "torch"]
"""What runs the networks: ONNX Runtime (the default on a CPU), or torch (the reference; to train, and on GPUs)."""


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
        self.session = onnx_session(graph_path(name), weights)
        self._nothing: dict[tuple[int, ...], list[Tensor]] = {}

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> Any:
        """RGB pictures in [0, 1] to the network's record."""
        lists = [self._run(some) for some in pixels.split(MOST_AT_ONCE)]
        values = lists[0] if len(lists) == 1 else [torch.cat(parts) for parts in zip(*lists, strict=True)]
        return self.graph.record(**dict(zip(self.graph.outputs, values, strict=True)))

    def _run(self, pixels: Tensor) -> list[Tensor]:
        """No pictures are one, of which nothing is kept: ONNX Runtime takes no empty batch. It is asked only once."""
        if not len(pixels):
            size = tuple(pixels.shape[1:])
            if size not in self._nothing:
                self._nothing[size] = [made[:0] for made in self._run(pixels.new_zeros(1, *size))]
            return self._nothing[size]
        made = self.session.run(None, {"pixels": pixels.detach().contiguous().numpy()})
        return [torch.from_numpy(array) for array in made]


def onnx_session(model: bytes | Path, weights: dict[str, Tensor] | None = None) -> Any:
    """A model (its content, or the file) ready to run on the CPU, on as many threads as torch uses now.

    `weights`: of a graph that lies without them. Raises WeightsError.
    """
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
        raise WeightsError(f"{what} cannot be read by ONNX Runtime ({error}). Make it again.") from error
