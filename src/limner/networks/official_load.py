"""How does a file on disk become the official network, ready to run? Loading, folding, converting."""

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
from limner.io.atomic import atomic_write
from limner.networks.fold import folded, fused
from limner.networks.hrnet import HRNet
from limner.networks.layers import bare_layers, fill
from limner.networks.official import CropNet, OfficialExpose, official_layouts
from limner.networks.official_body import assets_from_arrays, assets_to_arrays, official_assets
from limner.networks.official_file import CURE, OfficialCheckpoint, read_official
from limner.networks.onnx import OnnxBackbone, onnx_model
from limner.networks.regressor import AffineRegressor, IterativeRegressor, ParamLayout
from limner.networks.resnet import ResNet
from limner.reading.json_file import parsed_json
from limner.reading.tensor_file import read_tensors
from limner.reading.told import told_as

KIND = "official ExPose, folded"
VERSION = 2
READABLE = (1, 2)
"""Versions of converted files that can be read; version 1 lacks the keypoints' body model, which is then worked out."""
HIDDEN = (1024, 1024)


def load_official(
    path: str | Path,
    body_model_path: str | Path | None = None,
    fold: bool = True,
    runtime: Literal["torch", "onnx"] = "torch",
) -> OfficialExpose:
    """The official network from its checkpoint, or from what `convert_official` made of it.

    `body_model_path`: the user's SMPL-X file, for what the checkpoint lacks of the body model (usually nothing that
    changes a number). `fold`: batch norms and the linear body regressor folded, convolutions fused: the same function,
    faster. Without it the network is as in the paper's code, layer by layer; converted files are always folded.
    `runtime`: "onnx" runs the backbones under ONNX Runtime (an extra); from a .ckpt, or where the
    converted file has no ONNX models beside it, they are made at every loading, which takes seconds.

    Raises WeightsError and BodyModelError; warns (CheckpointWarning) about names it does not know.
    """
    file = Path(path).expanduser()
    converted = file.suffix == ".safetensors"
    if not fold and (converted or runtime == "onnx"):
        why = f"{file} is a converted file" if converted else "the onnx runtime was asked for"
        raise WeightsError(f"{why}, which is folded for good: give the .ckpt and the torch runtime for fold=False.")
    if converted:
        network = _read_converted(file)
    else:
        network = _built(read_official(file), _users(body_model_path))
        network = folded_official(network) if fold else network
    if runtime == "onnx":
        return onnx_official(network, file)
    return fused_official(network) if fold else network


def convert_official(
    path: str | Path, out: str | Path, body_model_path: str | Path | None = None, onnx: bool = False
) -> Path:
    """Write an official checkpoint once as a folded safetensors file with its body model; returns the path.

    `onnx`: also write the backbones as ONNX models beside it, for `load_official(runtime="onnx")`.

    Raises WeightsError for a name that does not end in .safetensors, OutputError where nothing can be written, and as
    `load_official`.
    """
    target = Path(out).expanduser()
    if target.suffix != ".safetensors":
        raise WeightsError(f"the converted file must end in .safetensors, got {target.name or out}. Name it so.")
    network = folded_official(_built(read_official(path), _users(body_model_path)))
    tensors = {name: tensor.contiguous() for name, tensor in _net_tensors(network).items()}
    for prefix, model in (("body_model", network.body_model), ("keypoint_model", network.keypoint_model)):
        for name, array in assets_to_arrays(model.assets).items():
            tensors[f"{prefix}.{name}"] = torch.tensor(_stored_order(name, array))  # a copy: both share some
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


def _nets(network: OfficialExpose) -> dict[str, CropNet]:
    return {"body": network.body_net, "hand": network.hand_net, "head": network.head_net}


def _built(checkpoint: OfficialCheckpoint, users: BodyAssets | None) -> OfficialExpose:
    """As `build_official`; WeightsError too for arrays of a body that do not fit together."""
    with told_as(WeightsError, checkpoint.path, CURE):
        return build_official(checkpoint, users)


def build_official(checkpoint: OfficialCheckpoint, users: BodyAssets | None = None) -> OfficialExpose:
    """The network of a checkpoint, layer by layer as its names say. Raises WeightsError for missing or odd tensors."""
    network = _hollow(official_assets(checkpoint, users))
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


def folded_official(network: OfficialExpose) -> OfficialExpose:
    """The same function: batch norms folded into the convolutions, the body regressor into one matrix a stage."""
    return _with_nets(network, lambda net: CropNet(folded(net.backbone), _folded_regressor(net), net.layout))


def _folded_regressor(net: CropNet) -> IterativeRegressor | AffineRegressor:
    regressor = net.regressor
    if isinstance(regressor, IterativeRegressor) and regressor.activation == "none":
        return regressor.folded()
    return regressor


def fused_official(network: OfficialExpose, winograd: bool = True) -> OfficialExpose:
    """A folded network with fast convolutions (see `fused`), for CPUs; the first photo takes a little longer."""
    return _with_nets(network, lambda net: CropNet(fused(net.backbone, winograd), net.regressor, net.layout))


def onnx_official(network: OfficialExpose, file: Path) -> OfficialExpose:
    """A folded network whose backbones run under ONNX Runtime; models beside the converted `file` are used, if any."""

    def exchange(net: CropNet) -> CropNet:
        name = next(name for name, candidate in _nets(network).items() if candidate is net)
        stored, size = _onnx_path(file, name), net.backbone.crop_size
        model = stored if stored.is_file() else onnx_model(net.backbone, size)
        return CropNet(OnnxBackbone(model, size, net.backbone.num_features), net.regressor, net.layout)

    return _with_nets(network, exchange)


def _with_nets(network: OfficialExpose, change: Callable[[CropNet], CropNet]) -> OfficialExpose:
    """The same body model, other networks."""
    twin = copy.copy(network)
    twin._modules = dict(network._modules)
    for name in ("body_net", "hand_net", "head_net"):
        twin._modules[name] = change(getattr(network, name)).eval()
    return twin


def _hollow(assets: BodyAssets) -> OfficialExpose:
    """The unfolded network with its shapes, but without numbers (no time lost on initial values)."""
    body, hand, head = official_layouts()
    with torch.device("meta"):
        nets = (
            _hollow_net(HRNet(256), body, "none"),
            _hollow_net(ResNet(18, 224), hand, "relu"),
            _hollow_net(ResNet(18, 256), head, "relu"),
        )
    return OfficialExpose(nets, assets).eval()


def _hollow_net(backbone: HRNet | ResNet, layout: ParamLayout, activation: Literal["none", "relu"]) -> CropNet:
    regressor = IterativeRegressor(backbone.num_features, torch.empty(layout.size), HIDDEN, activation)
    return CropNet(backbone, regressor, layout)


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


def _check(network: OfficialExpose, tensors: dict[str, Tensor], path: Path) -> None:
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


def _net_tensors(network: OfficialExpose) -> dict[str, Tensor]:
    """All tensors of the three networks that a file must hold."""
    return {name: t for name, t in network.state_dict().items() if not name.endswith("num_batches_tracked")}


def _users(path: str | Path | None) -> BodyAssets | None:
    return None if path is None else read_body_assets(path)


def _stored_order(name: str, array: np.ndarray) -> np.ndarray:
    """Pose directions go to the file as the body model wants them in memory (486 V 3), all else as it is."""
    return np.ascontiguousarray(array.transpose(2, 0, 1) if name == "pose_directions" else array)


def _read_converted(file: Path) -> OfficialExpose:
    if not file.is_file():
        raise WeightsError(f"no file at {file}. {CURE}")
    again = "Convert the .ckpt again with `limner weights convert`."
    with told_as(WeightsError, file, f"It is cut off. {again}"):
        tensors, notes = read_tensors(file)
        header = parsed_json(notes.get("limner", "{}"))
        if header.get("kind") != KIND or header.get("version") not in READABLE:
            raise WeightsError(
                f"{file} is not an official checkpoint converted by this version of limner (it says {header!r:.200}, "
                f"readable are versions {', '.join(map(str, READABLE))} of {KIND!r}). {again}"
            )
        return _network_of(file, tensors)


def _network_of(file: Path, tensors: dict[str, Tensor]) -> OfficialExpose:
    """The network of a converted file."""
    body, keypoints = (_stored_assets(file, tensors, f"{name}_model.") for name in ("body", "keypoint"))
    if body is None:
        raise WeightsError(f"{file} holds no body model. Convert the .ckpt again with `limner weights convert`.")
    network = _folded_shape(body, keypoints)
    tensors = {name: t for name, t in tensors.items() if "_model." not in name}
    _check(network, tensors, file)
    fill(network, tensors)
    return network.requires_grad_(False)


def _stored_assets(file: Path, tensors: dict[str, Tensor], prefix: str) -> BodyAssets | None:
    arrays = {name.removeprefix(prefix): t.numpy() for name, t in tensors.items() if name.startswith(prefix)}
    if not arrays:
        return None
    if "pose_directions" in arrays:
        arrays["pose_directions"] = arrays["pose_directions"].transpose(1, 2, 0)
    assets = assets_from_arrays(file, arrays)
    if prefix == "body_model.":  # the keypoints' body is cut down: its vertices are no body
        check_assets(assets)
    return assets


def _folded_shape(assets: BodyAssets, keypoints: BodyAssets | None) -> OfficialExpose:
    """The folded network with its shapes, but without numbers."""
    with bare_layers():
        backbones = HRNet(256), ResNet(18, 224), ResNet(18, 256)
    body, hand, head = official_layouts()
    with torch.device("meta"):
        affine = AffineRegressor(torch.empty(3, body.size, backbones[0].num_features), torch.empty(3, body.size))
        nets = (
            CropNet(backbones[0], affine, body),
            _hollow_net(backbones[1], hand, "relu"),
            _hollow_net(backbones[2], head, "relu"),
        )
    return OfficialExpose(nets, assets, keypoints).eval()
