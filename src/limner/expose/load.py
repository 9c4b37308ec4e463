"""From a file on disk to the official network, ready to run: loading, folding, converting."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from limner.body.assets import BodyAssets, check_assets, read_body_assets
from limner.errors import WeightsError
from limner.expose.body_assets import assets_from_arrays, assets_to_arrays, checkpoint_assets
from limner.expose.checkpoint import CURE, Checkpoint, read_checkpoint
from limner.expose.fold import AffineRegressor, folded, folded_regressor, fused
from limner.expose.network import LAYOUTS, CropNet, ExposeNetwork
from limner.expose.onnx_backbone import OnnxBackbone, onnx_model
from limner.io.atomic import atomic_write
from limner.networks.hrnet import HRNet
from limner.networks.layers import bare_layers, fill
from limner.networks.regressor import IterativeRegressor
from limner.networks.resnet import ResNet
from limner.reading.json_file import parsed_json
from limner.reading.tensor_file import read_tensors
from limner.reading.told import RefusedError, told_as

KIND = "official ExPose, folded"
VERSION = 2
BODY = "body_model."
"""Tensors of the body model begin so."""
HIDDEN = (1024, 1024)


def load_network(
    path: str | Path, body_model_path: str | Path | None = None, runtime: Literal["torch", "onnx"] = "torch"
) -> ExposeNetwork:
    """The official network from its checkpoint, or from what `convert_checkpoint` made of it.

    `body_model_path`: the user's SMPL-X file, for what the checkpoint lacks of the body model (usually nothing that
    changes a number). `runtime`: "torch", convolutions fused; "onnx" runs the backbones under ONNX Runtime: from a
    .ckpt, or where the converted file has no ONNX models beside it, they are made at every loading, which takes seconds
    and the extra `onnx`.

    Raises WeightsError and BodyModelError; warns (CheckpointWarning) about names it does not know.
    """
    file = Path(path).expanduser()
    converted = file.suffix == ".safetensors"
    network = _read_converted(file) if converted else _read_folded(file, body_model_path)
    return onnx_network(network, file) if runtime == "onnx" else fused_network(network)


def convert_checkpoint(
    path: str | Path, out: str | Path, body_model_path: str | Path | None = None, onnx: bool = False
) -> Path:
    """Write an official checkpoint once as a folded safetensors file with its body model; returns the path.

    `onnx`: also write the backbones as ONNX models beside it, for the runtime "onnx".

    Raises WeightsError for a name that does not end in .safetensors, OutputError where nothing can be written, and as
    `load_network`.
    """
    target = Path(out).expanduser()
    if target.suffix != ".safetensors":
        raise WeightsError(f"the converted file must end in .safetensors, got {target.name or out}. Name it so.")
    network = _read_folded(path, body_model_path)
    tensors = {name: tensor.contiguous() for name, tensor in _net_tensors(network).items()}
    for name, array in assets_to_arrays(network.body_model.assets).items():
        tensors[f"{BODY}{name}"] = torch.tensor(_stored_order(name, array))
    header = {"limner": json.dumps({"kind": KIND, "version": VERSION, "source": Path(path).name})}
    with atomic_write(target) as file:
        file.write(save(tensors, header))
    if onnx:
        for name, net in _nets(network).items():
            with atomic_write(_onnx_path(target, name)) as file:
                file.write(onnx_model(net.backbone, net.backbone.crop_size))
    return target


def _onnx_path(file: Path, net: str) -> Path:
    """Where the ONNX model of one network lies beside a converted file."""
    return file.with_suffix(f".{net}.onnx")


def _nets(network: ExposeNetwork) -> dict[str, CropNet]:
    return {"body": network.body_net, "hand": network.hand_net, "head": network.head_net}


def _read_folded(path: str | Path, body_model_path: str | Path | None) -> ExposeNetwork:
    """The folded network of a checkpoint; WeightsError too for arrays of a body that do not fit together."""
    checkpoint = read_checkpoint(path)
    users = None if body_model_path is None else read_body_assets(body_model_path)
    with told_as(WeightsError, checkpoint.path, CURE):
        return folded_network(build_network(checkpoint, users))


def build_network(checkpoint: Checkpoint, users: BodyAssets | None = None) -> ExposeNetwork:
    """The network of a checkpoint, layer by layer as its names say. Raises WeightsError for missing or odd tensors."""
    network = _hollow(False, checkpoint_assets(checkpoint, users))
    tensors: dict[str, Tensor] = {}
    for net, prefix in (("body_net", ""), ("hand_net", "hand_predictor."), ("head_net", "head_predictor.")):
        backbone = checkpoint.part(f"{prefix}backbone.")
        tensors |= {f"{net}.backbone.{name}": tensor for name, tensor in backbone.items()}
        features = getattr(network, net).backbone.num_features
        regressor = _regressor_tensors(checkpoint.part(f"{prefix}regressor."), features)
        tensors |= {f"{net}.regressor.{name}": tensor for name, tensor in regressor.items()}
    _check(network, tensors, checkpoint.path)
    network.load_state_dict(tensors, strict=False, assign=True)
    return network.requires_grad_(False)


def folded_network(network: ExposeNetwork) -> ExposeNetwork:
    """The same function: batch norms folded into the convolutions, the body regressor into one matrix a stage."""

    def fold(_: str, net: CropNet) -> CropNet:
        assert isinstance(net.regressor, IterativeRegressor)
        return CropNet(folded(net.backbone), folded_regressor(net.regressor), net.layout)

    return _with_nets(network, fold)


def fused_network(network: ExposeNetwork) -> ExposeNetwork:
    """A folded network with fast convolutions (see `fused`), for CPUs; the first photo takes a little longer."""
    return _with_nets(network, lambda _, net: CropNet(fused(net.backbone), net.regressor, net.layout))


def onnx_network(network: ExposeNetwork, file: Path) -> ExposeNetwork:
    """A folded network whose backbones run under ONNX Runtime; models beside the converted `file` are used, if any."""

    def exchange(name: str, net: CropNet) -> CropNet:
        stored, size = _onnx_path(file, name), net.backbone.crop_size
        model = stored if stored.is_file() else onnx_model(net.backbone, size)
        return CropNet(OnnxBackbone(model, size, net.backbone.num_features), net.regressor, net.layout)

    return _with_nets(network, exchange)


def _with_nets(network: ExposeNetwork, change: Callable[[str, CropNet], CropNet]) -> ExposeNetwork:
    """The same body model, other networks: each made by `change` of its name and what it was."""
    twin = copy.copy(network)
    twin._modules = dict(network._modules)
    for name, net in _nets(network).items():
        twin._modules[f"{name}_net"] = change(name, net).eval()
    return twin


def _hollow(folded: bool, assets: BodyAssets) -> ExposeNetwork:
    """The network with its shapes but without numbers: no time is lost on initial values. Folded, or as in a .ckpt."""
    with bare_layers() if folded else torch.device("meta"):
        backbones: list[HRNet | ResNet] = [HRNet(256), ResNet(18, 224), ResNet(18, 256)]
    with torch.device("meta"):
        regressors = _hollow_regressors(folded)
    nets = [CropNet(*parts) for parts in zip(backbones, regressors, LAYOUTS, strict=True)]
    return ExposeNetwork(nets, assets).eval()


def _hollow_regressors(folded: bool) -> list[IterativeRegressor | AffineRegressor]:
    """Of body, hand and head; the body's has no activations, so that folding makes it affine."""
    sizes = [layout.size for layout in LAYOUTS]
    body = AffineRegressor(torch.empty(3, sizes[0], 2048), torch.empty(3, sizes[0]))
    parts = [IterativeRegressor(512, torch.empty(size), HIDDEN) for size in sizes[1:]]
    return [body if folded else IterativeRegressor(2048, torch.empty(sizes[0]), HIDDEN, "none"), *parts]


def _regressor_tensors(official: dict[str, Tensor], num_features: int) -> dict[str, Tensor]:
    """Names of IterativeRegressor for the official ones; the first layer is stored in two there."""
    first = official.get("module.layer_000.0.weight")
    named = {
        "from_features.weight": None if first is None else first[:, :num_features],
        "from_state.weight": None if first is None else first[:, num_features:],
        "from_features.bias": official.get("module.layer_000.0.bias"),
        "hidden.0.weight": official.get("module.layer_001.0.weight"),
        "hidden.0.bias": official.get("module.layer_001.0.bias"),
        "output.weight": official.get("module.output_layer.weight"),
        "output.bias": official.get("module.output_layer.bias"),
        "mean": official["mean_param"].flatten() if "mean_param" in official else None,
    }
    return {name: tensor for name, tensor in named.items() if tensor is not None}


def _check(network: ExposeNetwork, tensors: dict[str, Tensor], path: Path) -> None:
    """Every tensor must have its place, and every place its tensor."""
    wanted = {name: t.shape for name, t in _net_tensors(network).items()}
    odd = [f"{name} is missing" for name in wanted if name not in tensors]
    odd += [f"{name} has no place" for name in tensors if name not in wanted]
    odd += [
        f"{name} is {tuple(t.shape)}, expected {tuple(wanted[name])}"
        for name, t in tensors.items()
        if name in wanted and t.shape != wanted[name]
    ]
    if odd:
        shown = "; ".join(odd[:5]) + (f"; and {len(odd) - 5} more" if len(odd) > 5 else "")
        raise WeightsError(f"{path} does not fit the released ExPose network: {shown}. {CURE}")


def _net_tensors(network: ExposeNetwork) -> dict[str, Tensor]:
    """All tensors of the three networks that a file must hold."""
    return {name: t for name, t in network.state_dict().items() if not name.endswith("num_batches_tracked")}


def _stored_order(name: str, array: np.ndarray) -> np.ndarray:
    """Pose directions go to the file as the body model wants them in memory (486 V 3), all else as it is."""
    return np.ascontiguousarray(array.transpose(2, 0, 1) if name == "pose_directions" else array)


def _read_converted(file: Path) -> ExposeNetwork:
    if not file.is_file():
        raise WeightsError(f"no file at {file}. {CURE}")
    again = "Convert the .ckpt again with `limner weights convert`."
    with told_as(WeightsError, file, f"It is cut off. {again}"):
        tensors, notes = read_tensors(file)
        header = parsed_json(notes.get("limner", "{}"))
        if header.get("kind") != KIND or header.get("version") != VERSION:
            raise WeightsError(
                f"{file} is not an official checkpoint converted by this version of limner (it says {header!r:.200}, "
                f"expected version {VERSION} of {KIND!r}). {again}"
            )
        return _network_of(file, tensors)


def _network_of(file: Path, tensors: dict[str, Tensor]) -> ExposeNetwork:
    """The network of a converted file."""
    arrays = {name.removeprefix(BODY): t.numpy() for name, t in tensors.items() if name.startswith(BODY)}
    if not arrays:
        raise RefusedError("it holds no body model")
    if "pose_directions" in arrays:
        arrays["pose_directions"] = arrays["pose_directions"].transpose(1, 2, 0)
    assets = assets_from_arrays(file, arrays)
    check_assets(assets)
    network = _hollow(True, assets)
    tensors = {name: t for name, t in tensors.items() if "_model." not in name}
    _check(network, tensors, file)
    fill(network, tensors)
    return network.requires_grad_(False)
