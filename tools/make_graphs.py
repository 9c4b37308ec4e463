"""Writes the graphs that ONNX Runtime runs: src/limner/assets/graphs/*.onnx, without weights.

python tools/make_graphs.py      (needs the extra `onnx`)

A graph names its weights as the torch network does, and gets them when it is loaded: the weights are shipped once, and
those of one's own training run as well. Two things are said otherwise than torch's exporter says them, because ONNX
Runtime is slow at them: uneven padding is a property of the convolution that follows, and PReLU is
a x + (1 - a) relu(x), as two depthwise convolutions, which stay in the convolutions' memory layout.
"""

import io
import warnings

import onnx
import onnx.reference
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from limner.networks.movenet import MoveNet
from limner.networks.onnx import GRAPHS, Graph, graph_path


class SplitPReLU(nn.Module):
    """PReLU by operations that ONNX Runtime runs fast."""

    def __init__(self, weight: Tensor):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        slope = self.weight[:, None, None, None]
        return conv2d(x, slope, groups=len(slope)) + conv2d(torch.relu(x), 1 - slope, groups=len(slope))


class Outputs(nn.Module):
    """The network's outputs as a plain tuple."""

    def __init__(self, network: nn.Module, names: tuple[str, ...]):
        super().__init__()
        self.network, self.names = network, names

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        answer = self.network(pixels)
        return tuple(getattr(answer, name) for name in self.names)


def exported(graph: Graph) -> onnx.ModelProto:
    """The graph of a network, with its weights."""
    network = graph.network.load()  # type: ignore[attr-defined]
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.PReLU):
                setattr(module, name, SplitPReLU(child.weight.data))
    for tensor in network.parameters():
        tensor.data.uniform_(0.1, 0.2)  # the exporter makes one of weights that are the same, as biases of zeros are
    target = io.BytesIO()
    axes = {0: "batch", 2: "height", 3: "width"} if graph.network is MoveNet else {0: "batch"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Outputs(network, graph.outputs).eval(),
            (torch.rand(2, 3, *graph.pixels),),
            target,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=17,
            do_constant_folding=False,
            input_names=["pixels"],
            output_names=list(graph.outputs),
            dynamic_axes={"pixels": axes} | {name: axes for name in graph.outputs},
        )
    return onnx.load_from_string(target.getvalue())


def pads_inside(graph: onnx.GraphProto) -> None:
    """Zero padding in height and width becomes a property of the convolution that alone reads it."""
    made = {output: node for node in graph.node for output in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for pad in [node for node in graph.node if node.op_type == "Pad"]:
        (reader, *others) = readers[pad.output[0]]
        amounts = constant(pad.input[1], made)
        if others or reader.op_type != "Conv" or amounts is None or any(amounts[i] for i in (0, 1, 4, 5)):
            continue
        (own,) = [a for a in reader.attribute if a.name == "pads"]
        own.ints[:] = [a + int(b) for a, b in zip(own.ints, (*amounts[2:4], *amounts[6:8]), strict=True)]
        reader.input[0] = pad.input[0]
        graph.node.remove(pad)


def constant(name: str, made: dict[str, onnx.NodeProto]) -> list[int] | None:
    """Numbers that follow from constants alone, by onnx's own reference evaluator; None for others."""
    needed: list[onnx.NodeProto] = []
    waiting = [name]
    while waiting:
        node = made.get(waiting.pop())
        if node is None:
            return None
        needed.insert(0, node)
        waiting += [i for i in node.input if i]
    out = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, None)
    unique = list({id(node): node for node in needed}.values())
    graph = onnx.helper.make_graph(unique, "constant", [], [out])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    (value,) = onnx.reference.ReferenceEvaluator(model).run(None, {})  # type: ignore[misc]
    return [int(v) for v in value]


def without_weights(model: onnx.ModelProto) -> None:
    """Weights are named as in the torch network and lie outside."""
    for tensor in model.graph.initializer:
        own = tensor.name.removeprefix("network.")
        for node in model.graph.node:
            for i, name in enumerate(node.input):
                if name == tensor.name:
                    node.input[i] = own
        tensor.name = own
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights")
    model.graph.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""


def main() -> None:
    for name, graph in GRAPHS.items():
        model = exported(graph)
        pads_inside(model.graph)
        del model.graph.value_info[:]
        without_weights(model)
        path = graph_path(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(model.SerializeToString(deterministic=True))
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB, {len(model.graph.node)} nodes")


if __name__ == "__main__":
    main()
