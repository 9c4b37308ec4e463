"""Safetensors files of somebody else. By its own library, which maps it and checks every offset."""

from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from limner.reading.told import check_regular

MOST_BYTES = 2**34
"""16 GB; nothing is unpacked, a file takes as much memory as it is long."""


def read_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a file by name, and its notes (the metadata of its header).

    Raises OSError, SafetensorError, and RefusedError for what is no regular file.
    """
    check_regular(file, MOST_BYTES)
    with safe_open(file, framework="pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata() or {}  # noqa: SIM118
