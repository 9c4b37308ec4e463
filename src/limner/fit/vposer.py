"""An owner's VPoser in the place of limner's pose prior.

VPoser (Pavlakos et al., CVPR 2019) is licensed for research by its authors; limner ships none of it and reads the
owner's checkpoint of version 2 (`human_body_prior`, V02_05) as plain numbers. The prior of a pose is how far it is from
what VPoser makes of it (encoded and decoded again), plus the squared length of its code.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from limner.errors import WeightsError
from limner.fit.prior import PosePriors, Residual, shipped_priors
from limner.geometry.rotation import rotation_from_6d, rotation_from_axis_angle, rotation_to_axis_angle
from limner.io.torch_file import read_torch_numbers
from limner.reading.tensor_file import read_tensors
from limner.reading.told import RefusedError, told_as

LAYERS = {
    "norm_in": "encoder_net.1",
    "enter": "encoder_net.2",
    "norm_mid": "encoder_net.4",
    "enter2": "encoder_net.6",
    "enter3": "encoder_net.7",
    "code": "encoder_net.8.mu",
    "leave": "decoder_net.0",
    "leave2": "decoder_net.3",
    "pose": "decoder_net.5",
}
"""Where version 2 keeps its layers; the checkpoint's own prefix (`vp_model.`) may stand before them."""
NORM = ("weight", "bias", "running_mean", "running_var")
CURE = (
    "Download V02_05 from https://smpl-x.is.tue.mpg.de and give its folder, or the checkpoint "
    "V02_05/snapshots/V02_05_*.ckpt."
)
USUAL_DISTANCE = 0.12
"""How far a joint usually is from what VPoser makes of its pose, as a change of rotation matrix entries."""


@dataclass(frozen=True)
class VPoser:
    """The networks' numbers, by layer and kind: `tensors["enter.weight"]` and so on."""

    tensors: dict[str, Tensor]

    def encode(self, pose: Float[Tensor, "B 21 3 3"]) -> Float[Tensor, "B Z"]:
        """The mean code of poses."""
        x = self._normed("norm_in", rotation_to_axis_angle(pose).flatten(1))
        x = self._normed("norm_mid", functional.leaky_relu(self._linear("enter", x)))
        return self._linear("code", self._linear("enter3", self._linear("enter2", x)))

    def decode(self, code: Float[Tensor, "B Z"]) -> Float[Tensor, "B 21 3 3"]:
        """Poses of codes."""
        x = functional.leaky_relu(self._linear("leave", code))
        x = functional.leaky_relu(self._linear("leave2", x))
        return rotation_from_6d(self._linear("pose", x).unflatten(1, (-1, 6)))

    def __call__(self, pose: Float[Tensor, "B 21 3 3"]) -> Residual:
        """As a prior of a fit: code, and distance from the decoded pose; slopes by forward differentiation."""
        turn = torch.zeros(*pose.shape[:2], 3, dtype=pose.dtype, device=pose.device).flatten(1)

        def residual(one_turn: Tensor, one_pose: Tensor) -> tuple[Tensor, Tensor]:
            moved = one_pose @ rotation_from_axis_angle(one_turn.unflatten(0, (-1, 3)))
            code = self.encode(moved[None])
            apart = (moved - self.decode(code)[0]) / USUAL_DISTANCE
            value = torch.cat([code[0], apart.flatten()])
            return value, value

        slope, value = torch.func.vmap(torch.func.jacfwd(residual, has_aux=True))(turn, pose)
        return Residual(value, slope)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return functional.linear(x, self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"])

    def _normed(self, name: str, x: Tensor) -> Tensor:
        weight, bias, mean, variance = (self.tensors[f"{name}.{kind}"] for kind in NORM)
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


def load_vposer(path: str | Path) -> VPoser:
    """Read an owner's VPoser 2: `.safetensors`, the official `.ckpt`, or the folder of the download.

    Only tensors are taken from a checkpoint; nothing that is pickled in it runs. Raises WeightsError for a missing,
    damaged or other file.
    """
    file = _checkpoint(Path(path).expanduser())
    with told_as(WeightsError, file, f"Only tensors are read. {CURE}"):
        raw = read_tensors(file)[0] if file.suffix == ".safetensors" else _numbers(file)
        flat = {key.removeprefix("vp_model."): value.float() for key, value in raw.items()}
    wanted = {f"{short}.{kind}": f"{name}.{kind}" for short, name in LAYERS.items() for kind in _kinds(short)}
    missing = [name for name in wanted.values() if name not in flat]
    if missing:
        raise WeightsError(
            f"{file} is no VPoser of version 2: it lacks {missing[0]} (and {len(missing) - 1} more). Version 1 is not "
            f"read. {CURE}"
        )
    vposer = VPoser({short: flat[name] for short, name in wanted.items()})
    _check(vposer, file)
    return vposer


def owned_priors(vposer: str | Path | None) -> PosePriors:
    """limner's priors, with an owner's VPoser for the body if there is one. Raises WeightsError."""
    return shipped_priors() if vposer is None else replace(shipped_priors(), body=load_vposer(vposer))


def _kinds(layer: str) -> tuple[str, ...]:
    return NORM if layer.startswith("norm") else NORM[:2]


def _checkpoint(path: Path) -> Path:
    """The checkpoint that a path means: itself, or the last one of the download's folder."""
    if path.is_file():
        return path
    found = sorted(path.glob("snapshots/*.ckpt"), key=lambda file: file.stat().st_mtime)
    if not found:
        raise WeightsError(f"no VPoser at {path}. {CURE}")
    return found[-1]


def _numbers(file: Path) -> dict[str, Tensor]:
    content = read_torch_numbers(file)
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise RefusedError("it holds no dict of tensors")
    return {str(key): value for key, value in state.items() if isinstance(value, Tensor)}


def _check(vposer: VPoser, file: Path) -> None:
    """Try it: layers of other sizes or numbers that are none would end a fit much later."""
    upright = torch.eye(3).expand(1, 21, 3, 3)
    try:
        pose = vposer.decode(vposer.encode(upright))
        why = "" if pose.shape == upright.shape and bool(torch.isfinite(pose).all()) else "it decodes to no pose"
    except (RuntimeError, IndexError, ValueError) as error:
        why = str(error).splitlines()[0]
    if why:
        raise WeightsError(f"{file} has VPoser's layers, but not of its sizes, or broken ones ({why}). {CURE}")
