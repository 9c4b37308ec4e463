"""Official ExPose checkpoints, read without running what is pickled in them."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limner.body.keypoints import KEYPOINT_SETS, indices_of
from limner.body.skeleton import PARENTS, chain_to_root
from limner.errors import WeightsError
from limner.expose.keys import PREFIX, Fate, names_by_fate
from limner.io.torch_file import read_torch_numbers
from limner.networks.regressor import body_layout, hand_layout, head_layout
from limner.reading.told import told_as, whole_file

CURE = (
    "Download the ExPose model data from https://expose.is.tue.mpg.de and give the path of its "
    "checkpoints/model.ckpt (or of a file that `limner weights convert` wrote)."
)


class CheckpointWarning(UserWarning):
    """An official checkpoint holds something that limner does not expect; the message names it."""


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of an official checkpoint that inference needs, by their official names less the leading `smplx.`."""

    path: Path
    tensors: Mapping[str, Tensor]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Tensors below a prefix, by the rest of their names."""
        return {name.removeprefix(prefix): t for name, t in self.tensors.items() if name.startswith(prefix)}


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read an official checkpoint: `model.ckpt`, the `latest_checkpoint` beside it, or the folder they lie in.

    Files of torch before and after 1.6 are read, and files saved on a GPU. Only numbers are taken from the pickle;
    objects of any other kind become empty shells and nothing of them runs.

    Warns (CheckpointWarning) about names that no rule knows and about constants that differ from limner's. Raises
    WeightsError for a missing, damaged or foreign file.
    """
    file = find_checkpoint(Path(path).expanduser())
    state = _state_dict(file)
    with told_as(WeightsError, file, CURE):
        return _checkpoint(file, state)


def _checkpoint(file: Path, state: Mapping[str, Any]) -> Checkpoint:
    fates = names_by_fate(state)
    if not fates[Fate.USED]:
        found = ", ".join(list(state)[:5]) or "none"
        raise WeightsError(f"{file} is no ExPose checkpoint: none of its tensor names ({found}, ...) fit. {CURE}")
    tensors = {name.removeprefix(PREFIX): _tensor(file, name, state[name]) for name in fates[Fate.USED]}
    odd = _deviating(state, fates[Fate.DERIVED])
    for what, names in (("names that limner does not know", fates[Fate.UNKNOWN]), ("unusual constants", odd)):
        if names:
            warnings.warn(f"{file} holds {len(names)} {what}: {', '.join(names)}", CheckpointWarning, stacklevel=3)
    return Checkpoint(file, tensors)


def find_checkpoint(path: Path) -> Path:
    """The checkpoint file that a path means: itself, what a `latest_checkpoint` text names, or what a folder holds."""
    if path.is_dir():
        for inner in ("latest_checkpoint", "checkpoints/latest_checkpoint", "model.ckpt", "checkpoints/model.ckpt"):
            if (path / inner).is_file():
                return find_checkpoint(path / inner)
        raise WeightsError(f"{path} is a folder without latest_checkpoint or model.ckpt. {CURE}")
    if not path.is_file():
        raise WeightsError(f"no checkpoint at {path}. {CURE}")
    if path.name != "latest_checkpoint":
        return path
    named = Path(whole_file(path, 2**16).decode(errors="replace").strip())
    for candidate in (named, path.parent / named, path.parent / named.name):
        if candidate.is_file():
            return candidate
    raise WeightsError(f"{path} names {named}, which does not exist here. Give the path of model.ckpt itself. {CURE}")


def _state_dict(file: Path) -> Mapping[str, Any]:
    """The `model` (or `state_dict`) entry of a checkpoint, or the whole of it, where it is a bare state dict."""
    cure = f"It cannot be read as a torch checkpoint: it is damaged, cut off or of another kind. {CURE}"
    with told_as(WeightsError, f"{file} ({file.stat().st_size} bytes)", cure):
        content = read_torch_numbers(file)
    model = content.get("model", content.get("state_dict", content)) if isinstance(content, dict) else None
    if not isinstance(model, dict) or not all(isinstance(name, str) for name in model):
        raise WeightsError(f"{file} holds a {type(content).__name__}, expected a dict with `model` in it. {CURE}")
    return _official_names(model)


def _official_names(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """A state dict under the names of the release: without DataParallel's `module.` in front, with `smplx.`."""
    state = {name.removeprefix("module."): value for name, value in state.items()}
    if any(name.startswith(PREFIX) for name in state):
        return state
    prefixed = {PREFIX + name: value for name, value in state.items()}
    return prefixed if names_by_fate(prefixed)[Fate.USED] else state


def _tensor(file: Path, name: str, value: object) -> Tensor:
    """One entry as a float32 or integer tensor."""
    if isinstance(value, np.ndarray | np.generic):
        value = torch.from_numpy(np.array(value))
    if not isinstance(value, Tensor):
        raise WeightsError(f"{file}: {name} is a {type(value).__name__}, expected a tensor. {CURE}")
    value = value.detach()
    return value.float() if value.is_floating_point() else value


def _deviating(state: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, ...]:
    """Derived constants in the file whose value is not the one that limner works with."""
    expected = _expected(state)
    odd = []
    for name in names:
        if name in expected:
            want, got = expected[name], torch.as_tensor(np.asarray(state[name])).double().flatten()
            if got.shape != want.shape or not torch.allclose(got, want, atol=1e-4):
                odd.append(name)
    return tuple(odd)


def _expected(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Official names of constants and the values that limner works with, flat: joints, places, means.

    Means are kept twice by the original, as slices of the regressors' mean_param too, which it would use.
    """
    joints: dict[str, list[int]] = {"body_model.parents": list(PARENTS)}
    for joint in ("left_wrist", "right_wrist", "neck"):
        joints[f"{joint}_kin_chain"] = chain_to_root(joint)[::-1]
    joints["body_model.neck_kin_chain"] = joints["neck_kin_chain"]
    for side in ("left", "right"):
        joints[f"{side}_hand_idxs"] = sorted(indices_of(KEYPOINT_SETS[f"{side}_hand21"]))
    expected = {PREFIX + name: torch.tensor(value).double() for name, value in joints.items()}
    layouts = (("", body_layout()), ("hand_predictor.", hand_layout()), ("head_predictor.", head_layout()))
    for part, layout in layouts:
        whole = state.get(f"{PREFIX}{part}regressor.mean_param")
        mean = None if whole is None else torch.as_tensor(np.asarray(whole)).double().flatten()
        for name, where in layout.slices.items():
            official = f"{PREFIX}{part}{'shape' if name == 'betas' else name}"
            expected[f"{official}_idxs"] = torch.arange(where.start, where.stop).double()
            if mean is not None:
                expected[f"{official}_mean"] = mean[where]
    return expected
