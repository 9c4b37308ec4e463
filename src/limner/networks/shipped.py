"""The shipped weights of others, and how they get into their networks."""

import hashlib
from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn

import limner
from limner.errors import WeightsError
from limner.reading.tensor_file import read_tensors
from limner.reading.told import told_as

Network = TypeVar("Network", bound=nn.Module)


def load_weights(network: Network, name: str, path: Path | None = None) -> Network:
    """Fill `network` from assets/weights/{name}.safetensors (float16, used as float32), or from `path`.

    Strict: every tensor must be there, fit, be used and, where the file holds a hash of them (`tensors_sha256`), be
    what it was, else WeightsError.
    """
    path = Path(limner.__file__).parent / "assets" / "weights" / f"{name}.safetensors" if path is None else path
    with told_as(
        WeightsError,
        path,
        "Expected a safetensors file made by tools/convert_*.py. Reinstall limner, or make the file again.",
    ):
        state, metadata = read_tensors(path)
        found = digest(state)
    given = metadata.get("tensors_sha256")
    if given is not None and given != found:
        raise WeightsError(
            f"{path}: the tensors do not match the file's hash: it was altered or damaged. Copy or train it again."
        )
    try:
        network.load_state_dict({key: value.float() for key, value in state.items()}, strict=True)
    except RuntimeError as error:
        raise WeightsError(
            f"{path}: {error}. Expected the tensors of {type(network).__name__}; give the file made for this "
            "network by tools/convert_*.py."
        ) from error
    return network.eval()


def digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of all names and values."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(name.encode() + tensors[name].contiguous().numpy().tobytes())
    return total.hexdigest()
