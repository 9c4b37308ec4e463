"""How do the shipped weights of others get into their networks?"""

from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

import limner
from limner.errors import WeightsError

Network = TypeVar("Network", bound=nn.Module)


def load_weights(network: Network, name: str, path: Path | None = None) -> Network:
    """Fill `network` from assets/weights/{name}.safetensors (float16, used as float32), or from `path`.

    Strict: every tensor must be there, fit and be used, else WeightsError.
    """
    path = Path(limner.__file__).parent / "assets" / "weights" / f"{name}.safetensors" if path is None else path
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"{path}: cannot be read ({error}), expected a safetensors file made by tools/convert_*.py. "
            "Reinstall limner, or make the file again."
        ) from error
    try:
        network.load_state_dict({key: value.float() for key, value in state.items()}, strict=True)
    except RuntimeError as error:
        raise WeightsError(
            f"{path}: {error}. Expected the tensors of {type(network).__name__}; give the file made for this "
            "network by tools/convert_*.py."
        ) from error
    return network.eval()
