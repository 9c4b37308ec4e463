"""Weights: networks built from numbers, saved with them, and loaded again."""

import json
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from limner.errors import WeightsError
from limner.io.atomic import atomic_write
from limner.networks.backbone import Backbone, CompactBackbone
from limner.networks.blaze.backbones import BlazeFaceBackbone, BlazeHandBackbone, BlazePoseBackbone
from limner.networks.blaze.depth import DepthBranch
from limner.networks.blaze.face import BlazeFace
from limner.networks.blaze.hand import BlazeHand
from limner.networks.blaze.pose import BlazePose
from limner.networks.hrnet import HRNet
from limner.networks.onnx import Engine, OnnxNetwork
from limner.networks.part_net import PARTS, BodyEstimate, FaceEstimate, HandEstimate, Part, PartNet
from limner.networks.regressor import (
    BODY_CAMERA_SCALE,
    HAND_CAMERA_SCALE,
    HEAD_CAMERA_SCALE,
    IterativeRegressor,
    ParamLayout,
    body_layout,
    hand_layout,
    head_layout,
)
from limner.networks.resnet import ResNet
from limner.networks.shipped import digest
from limner.reading.json_file import parsed_json
from limner.reading.tensor_file import read_tensors
from limner.reading.told import RefusedError, told_as

BACKBONES = ("blaze", "blaze_depth", "blaze_tuned", "compact", "resnet18", "resnet50", "hrnet_w48")
DEPTH_FILE = "depth.safetensors"
"""A depth branch of one's own, beside the body.safetensors that was trained with it."""
MOVENET_FILE = "movenet.safetensors"
"""A detector of one's own (`limner train detector`), beside the part networks or alone."""
MOST_SIZE = 8192
"""Numbers of a hidden layer, of coefficients or of stages that a weights file may ask for."""
NUM_KEYPOINTS: dict[Part, int] = {"body": 33, "hand": 21, "face": 68}
"""Keypoints of a backbone that has heat-maps of our own training."""


@dataclass(frozen=True)
class NetSpec:
    """The numbers that build one part network; stored in its weights file.

    backbone: one of BACKBONES. A blaze backbone is frozen: its own file is shipped once and the part's file holds only
    the regressor; blaze_depth (body) has a branch for depth beside it (`networks.blaze.depth`), a file of its own that
    goes with the weights; blaze_tuned is the same
    network as blaze, trained further.
    """

    part: Part
    backbone: str = "blaze"
    hidden: tuple[int, ...] = (1024, 1024)
    stages: int = 3
    dropout: float = 0.1
    num_betas: int = 10
    num_expression: int = 20

    def layout(self) -> ParamLayout:
        """The part's parameter vector."""
        match self.part:
            case "body":
                return body_layout(self.num_betas, self.num_expression)
            case "hand":
                return hand_layout(self.num_betas)
            case "face":
                return head_layout(self.num_betas, self.num_expression)


@dataclass(frozen=True)
class Networks:
    """The three part networks of one set of weights."""

    body: PartNet[BodyEstimate]
    hand: PartNet[HandEstimate]
    face: PartNet[FaceEstimate]

    def to(self, device: torch.device | str) -> "Networks":
        """The same, moved to a device."""
        return Networks(self.body.to(device), self.hand.to(device), self.face.to(device))


def weights_folder() -> Path:
    """Where the weights that limner ships lie."""
    return Path(str(files("limner.assets") / "weights"))


def build_backbone(spec: NetSpec, depth: Path | None = None) -> Backbone:
    """The backbone a spec names; blaze ones come with their shipped weights, others untrained.

    `depth`: file of the depth branch, for blaze_depth. Raises WeightsError.
    """
    match spec.backbone, spec.part:
        case ("blaze" | "blaze_tuned") as name, "body":
            return BlazePoseBackbone(BlazePose.load(), both_ways=True, tuned=name == "blaze_tuned").eval()
        case "blaze_depth", "body":
            if depth is None:
                raise WeightsError(f"these weights need the {DEPTH_FILE} they were trained with: put it beside them.")
            return BlazePoseBackbone(BlazePose.load(), both_ways=True, depth=DepthBranch.load(depth)).eval()
        case "blaze" | "blaze_tuned", "hand":
            return BlazeHandBackbone(BlazeHand.load())
        case "blaze" | "blaze_tuned", "face":
            return BlazeFaceBackbone(BlazeFace.load())
        case "compact", part:
            return CompactBackbone(NUM_KEYPOINTS[part], crop_size=256 if part == "body" else 128)
        case ("resnet18" | "resnet50") as name, _:
            return ResNet(int(name.removeprefix("resnet")), 256 if spec.part == "body" else 224)
        case "hrnet_w48", _:
            return HRNet()
    raise WeightsError(f"unknown backbone {spec.backbone!r} of the {spec.part}: known are {', '.join(BACKBONES)}.")


CAMERA_SCALE: dict[Part, float] = {
    "body": BODY_CAMERA_SCALE,
    "hand": HAND_CAMERA_SCALE,
    "face": HEAD_CAMERA_SCALE,
}


def frozen_spec(part: Part, depth: Path | None = None) -> NetSpec:
    """The network that looks with Blaze's frozen backbone; bodies with a depth branch, if there is one."""
    return NetSpec(part, "blaze_depth" if part == "body" and depth is not None else "blaze")


def build_net(spec: NetSpec, mean: Tensor | None = None, depth: Path | None = None) -> PartNet:
    """One part network, its regressor untrained; `mean` is where the regression starts (default: rest pose).

    `depth`: as for `build_backbone`.
    """
    backbone, layout = build_backbone(spec, depth), spec.layout()
    start = layout.mean(CAMERA_SCALE[spec.part]) if mean is None else mean
    regressor = IterativeRegressor(backbone.num_features, start, spec.hidden, "relu", spec.dropout, spec.stages)
    return PartNet(spec.part, backbone, regressor, layout, NUM_KEYPOINTS["body"])


def _own_tensors(spec: NetSpec, net: nn.Module) -> dict[str, Tensor]:
    """What a weights file holds: everything, but not a frozen backbone that is shipped in a file of its own."""
    frozen = "backbone." if spec.backbone in ("blaze", "blaze_depth") else None
    return {k: v for k, v in net.state_dict().items() if frozen is None or not k.startswith(frozen)}


def net_to_bytes(spec: NetSpec, net: PartNet) -> bytes:
    """A weights file: float16 tensors (integers as they are), the spec and a hash in the header."""
    tensors = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in _own_tensors(spec, net).items()}
    header = {"limner": json.dumps({"spec": asdict(spec), "sha256": digest(tensors)})}
    return save(tensors, header)


def write_net(folder: Path, spec: NetSpec, net: PartNet) -> None:
    """{part}.safetensors in a folder of weights, whole or not at all. Raises OutputError."""
    with atomic_write(folder / f"{spec.part}.safetensors") as file:
        file.write(net_to_bytes(spec, net))


def load_net(path: Path) -> tuple[NetSpec, PartNet]:
    """A part network from its file, strict, in evaluation mode; with the depth.safetensors beside it, if it needs one.

    Raises WeightsError for a missing, truncated or altered file, or one that is not limner's.
    """
    cure = "Reinstall limner, or give a folder of weights that limner has written (limner train)."
    if not path.exists():
        raise WeightsError(f"no weights at {path}. {cure}")
    with told_as(WeightsError, path, f"It is cut off, or no weights file of limner. {cure}"):
        tensors, notes = read_tensors(path)
        header = parsed_json(notes["limner"])
        spec = _spec(header["spec"])
        expected, found = header["sha256"], digest(tensors)
    if found != expected:
        raise WeightsError(f"{path}: the tensors do not match the file's hash: it was altered or damaged. {cure}")
    depth = path.with_name(DEPTH_FILE)
    with told_as(WeightsError, path, cure):
        net = build_net(spec, depth=depth if depth.exists() else None)
    wanted = _own_tensors(spec, net)
    if wanted.keys() != tensors.keys() or any(wanted[k].shape != tensors[k].shape for k in wanted):
        odd = sorted(wanted.keys() ^ tensors.keys())[:5] or [k for k in wanted if wanted[k].shape != tensors[k].shape]
        raise WeightsError(f"{path} does not fit a {spec.backbone} {spec.part} network; odd tensors: {odd}. {cure}")
    floats = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    net.load_state_dict(net.state_dict() | floats)
    return spec, net.eval()


def _spec(stored: dict[str, Any]) -> NetSpec:
    """The numbers of a header, each of its kind and no larger than a network that a photo can wait for."""
    numbers: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in stored.items()}
    spec = NetSpec(**numbers)
    if not isinstance(spec.hidden, tuple) or not 0 < len(spec.hidden) < 9:
        raise RefusedError(f"it says that it is a network of {stored!r:.200}")
    sizes = (*spec.hidden, spec.stages, spec.num_betas, spec.num_expression)
    if spec.part not in PARTS or not all(isinstance(n, int) and 0 < n <= MOST_SIZE for n in sizes):
        raise RefusedError(f"it says that it is a network of {stored!r:.200}")
    if not isinstance(spec.dropout, float | int) or not 0 <= spec.dropout < 1 or not isinstance(spec.backbone, str):
        raise RefusedError(f"it says that it is a network of {stored!r:.200}")
    return spec


def weights_paths(weights: str | Path = "limner") -> dict[Part, Path]:
    """Files of the body, hand and face network: "limner" (shipped), or a folder with body/hand/face.safetensors.

    A folder that holds a person finder alone goes with the shipped ones. Raises WeightsError.
    """
    folder = Path(weights).expanduser()
    shipped = {part: weights_folder() / f"limner_{part}.safetensors" for part in PARTS}
    if str(weights) == "limner":
        return shipped
    if not folder.is_dir():
        raise WeightsError(
            f"unknown weights {str(weights)!r}: give `limner` (shipped with the package) or a folder that holds "
            f"body.safetensors, hand.safetensors and face.safetensors, or {MOVENET_FILE}. An official ExPose "
            "checkpoint is for `limner expose --weights PATH`."
        )
    own = {part: folder / f"{part}.safetensors" for part in PARTS}
    alone = movenet_path(weights) is not None and not any(path.exists() for path in own.values())
    return shipped if alone else own


def movenet_path(weights: str | Path = "limner") -> Path | None:
    """The person finder that a folder of weights holds; None: the shipped one."""
    path = Path(weights).expanduser() / MOVENET_FILE
    return path if str(weights) != "limner" and path.exists() else None


def load_networks(weights: str | Path = "limner", engine: Engine = "onnx") -> Networks:
    """Body, hand and face network; `weights` as for `weights_paths`. To train them further, load them for torch."""
    nets: dict[Part, PartNet] = {}
    for part, path in weights_paths(weights).items():
        spec, net = load_net(path)
        if spec.part != part:
            raise WeightsError(f"{path} holds a {spec.part} network, expected {part}: are two files swapped?")
        if engine == "onnx" and spec.backbone in ("blaze", "blaze_depth", "blaze_tuned"):
            assert isinstance(net.backbone, BlazePoseBackbone | BlazeHandBackbone | BlazeFaceBackbone)
            net.backbone.network = OnnxNetwork(net.backbone.network)
        nets[part] = net
    return Networks(**nets)


def shipped_pose(networks: Networks) -> nn.Module | None:
    """BlazePose with its shipped weights, as the body network has it; None where that looks with something else."""
    backbone = networks.body.backbone
    return backbone.network if isinstance(backbone, BlazePoseBackbone) and not backbone.tuned else None
