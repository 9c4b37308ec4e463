"""How were the blaze_*.safetensors weights and their golden values made? From the TFLite graphs in MediaPipe's wheel.

    python tools/convert_mediapipe.py --wheel mediapipe-0.10.21-*.whl

reads three graphs (Apache-2.0), writes src/limner/assets/weights/blaze_*.safetensors (float16, as in the graphs) and
tests/networks/blaze/golden.npz (outputs of the TFLite interpreter, which the tests compare with). Needs the
`dev` extra (tflite, ai-edge-litert). Weights are matched to module names by their order in the graph; shapes are
checked, and nothing may be left over on either side.
"""

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tflite
import torch
import tyro
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import interpolate

from limner.networks.blaze.face import BlazeFace
from limner.networks.blaze.hand import BlazeHand
from limner.networks.blaze.layers import Trunk
from limner.networks.blaze.pose import BlazePose

REPOSITORY = Path(__file__).parent.parent
LICENCE = "Apache-2.0, Copyright The MediaPipe Authors"


@dataclass(frozen=True)
class Source:
    """One graph of the wheel and the network it becomes."""

    graph: str
    network: type[nn.Module]


SOURCES = {
    "blaze_pose": Source("mediapipe/modules/pose_landmark/pose_landmark_full.tflite", BlazePose),
    "blaze_hand": Source("mediapipe/modules/hand_landmark/hand_landmark_full.tflite", BlazeHand),
    "blaze_face": Source("mediapipe/modules/face_landmark/face_landmark.tflite", BlazeFace),
}


# --- names of the weighted layers, in the order of the graphs ---------------------------------------------------


def separable(name: str) -> list[str]:
    return [f"{name}.depthwise.conv", f"{name}.pointwise.conv"]


def trunk_names(trunk: Trunk, sides: dict[int, str]) -> Iterator[str]:
    """`sides`: separable block that reads the input of a stage; the graph has it after that stage's first layer."""
    yield from ("trunk.stem.conv", "trunk.first_depthwise.conv", "trunk.first_project.conv")
    for i, stage in enumerate(trunk.stages):
        for k in range(len(stage)):  # type: ignore[arg-type]
            yield f"trunk.stages.{i}.{k}.expand.conv"
            if k == 0 and i in sides:
                yield from separable(sides[i])
            yield from (f"trunk.stages.{i}.{k}.depthwise.conv", f"trunk.stages.{i}.{k}.project.conv")
    yield from ("trunk.top_expand.conv", "trunk.top_depthwise.conv")


def pose_names(network: BlazePose) -> Iterator[str]:
    sides = {0: "mask_head.lateral"} | {i + 1: f"decoder.lateral.{i}" for i in range(3)}
    yield from trunk_names(network.trunk, sides)
    yield from separable("decoder.top")
    yield from separable("mask_head.reduce")
    for grid in ("blocks2", "blocks1"):  # strides 2 and 1
        for i in range(2):
            yield from separable(f"mask_head.{grid}.{i}")
    yield from ("mask_head.output.conv", "heatmap_output.conv")
    yield from separable("point_head.reduce")
    for i in range(len(network.point_head.blocks)):
        yield from separable(f"point_head.blocks.{i}")
    yield from ("landmark_output", "world_output", "presence_output")


def hand_names(network: BlazeHand) -> Iterator[str]:
    yield from trunk_names(network.trunk, {})
    yield from ("handedness_output", "presence_output", "landmark_output", "world_output")


def face_names(network: BlazeFace) -> Iterator[str]:
    yield from ("stem.conv", "stem_activation")
    blocks = [f"blocks.{i}" for i in range(len(network.blocks))]
    for block in blocks + [f"mesh_blocks.{i}" for i in range(len(network.mesh_blocks))]:
        yield from (*separable(block), f"{block}.activation")
    parts = (
        "first.depthwise.conv",
        "first.pointwise.conv",
        "first.activation",
        "reduce.conv",
        "reduce_activation",
    )
    parts += ("last.depthwise.conv", "last.pointwise.conv", "last.activation", "output")
    for part in parts:  # the two branches alternate in the graph
        yield from (f"presence.{part}", f"mesh.{part}")


NAMES = {
    BlazePose: pose_names,
    BlazeHand: hand_names,
    BlazeFace: face_names,
}


# --- reading the graph ------------------------------------------------------------------------------------------


def open_graph(graph: bytes) -> Interpreter:
    """Plain reference kernels that keep every tensor, so that weights can be read after decompression."""
    interpreter = Interpreter(
        model_content=graph,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    return interpreter


def torch_layout(operator: int, weight: np.ndarray) -> np.ndarray:
    """TFLite's weight layout to torch's."""
    if operator == tflite.BuiltinOperator.CONV_2D:
        return weight.transpose(0, 3, 1, 2)  # out, height, width, in
    if operator == tflite.BuiltinOperator.DEPTHWISE_CONV_2D:
        return weight.transpose(3, 0, 1, 2)  # 1, height, width, out
    return weight.reshape(-1) if operator == tflite.BuiltinOperator.PRELU else weight


def read_layers(graph: bytes) -> list[list[np.ndarray]]:
    """[weight, bias] or [slopes] of each weighted operator, in graph order and torch's layout."""
    interpreter = open_graph(graph)
    interpreter.invoke()  # fills the decompressed (dequantised, densified) weights
    model = tflite.Model.GetRootAsModel(graph, 0)
    subgraph = model.Subgraphs(0)
    codes = tflite.BuiltinOperator
    layers = []
    for i in range(subgraph.OperatorsLength()):
        operator = subgraph.Operators(i)
        entry = model.OperatorCodes(operator.OpcodeIndex())
        code = max(entry.BuiltinCode(), entry.DeprecatedBuiltinCode())
        if code in (codes.CONV_2D, codes.DEPTHWISE_CONV_2D, codes.FULLY_CONNECTED, codes.PRELU):
            weight, *bias = (interpreter.get_tensor(t) for t in operator.InputsAsNumpy()[1:])
            layers.append([torch_layout(code, weight), *bias])
    return layers


def state_of(network: nn.Module, layers: list[list[np.ndarray]]) -> dict[str, Tensor]:
    """The network's state dict from the graph's layers."""
    names = list(NAMES[type(network)](network))  # type: ignore[operator]
    state = {}
    for name, tensors in zip(names, layers, strict=True):
        for key, tensor in zip(("weight", "bias"), tensors, strict=False):
            state[f"{name}.{key}"] = torch.from_numpy(np.ascontiguousarray(tensor))
    network.load_state_dict(state, strict=True)
    return state


def as_half(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Float16 copies; the graphs hold float16 numbers, so nothing may change."""
    half = {key: value.half().contiguous() for key, value in state.items()}
    for key, value in half.items():
        if not torch.equal(value.float(), state[key]):
            raise ValueError(f"{key} is not a float16 tensor in the graph; save it in float32.")
    return half


# --- golden values ----------------------------------------------------------------------------------------------


def golden_input(size: int, seed: int) -> tuple[np.ndarray, Tensor]:
    """A coarse random colour grid (to store) and the smooth picture "1 3 size size" it grows into."""
    grid = np.random.default_rng(seed).integers(0, 256, (3, 8, 8)).astype(np.uint8)
    coarse = torch.from_numpy(grid)[None].float() / 255
    return grid, interpolate(coarse, size=(size, size), mode="bilinear", align_corners=False)


def run_graph(graph: bytes, pixels: Tensor) -> dict[str, np.ndarray]:
    """Outputs of the TFLite interpreter by tensor name."""
    interpreter = open_graph(graph)
    nhwc = pixels.permute(0, 2, 3, 1).contiguous().numpy()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], nhwc)
    interpreter.invoke()
    return {o["name"]: interpreter.get_tensor(o["index"]) for o in interpreter.get_output_details()}


def sample(values: np.ndarray, count: int = 200) -> np.ndarray:
    """About `count` numbers at even distance, so that golden values stay small."""
    return values.reshape(-1)[:: max(1, values.size // count)].astype(np.float32)


def main(wheel: Path) -> None:
    """Write all weights and golden values.

    Args:
        wheel: the file mediapipe-0.10.21-*.whl (from the package index; only read, never installed).
    """
    golden: dict[str, np.ndarray] = {}
    for seed, (name, source) in enumerate(SOURCES.items()):
        graph = zipfile.ZipFile(wheel).read(source.graph)
        network = source.network().eval()
        state = state_of(network, read_layers(graph))
        metadata = {
            "origin": f"{wheel.name}: {source.graph}",
            "licence": LICENCE,
            "sha256": hashlib.sha256(graph).hexdigest(),
            "changes": "layout and names for torch; values unchanged",
        }
        path = REPOSITORY / "src/limner/assets/weights" / f"{name}.safetensors"
        save_file(as_half(state), path, metadata)
        size = int(open_graph(graph).get_input_details()[0]["shape"][1])
        grid, pixels = golden_input(size, seed)
        golden[f"{name}/grid"] = grid
        for key, values in run_graph(graph, pixels).items():
            golden[f"{name}/{key}"] = sample(values)
        print(f"{path.name}: {len(state)} tensors, {sum(t.numel() for t in state.values()):,} numbers")
    np.savez_compressed(REPOSITORY / "tests/networks/blaze/golden.npz", **golden)


if __name__ == "__main__":
    tyro.cli(main)
