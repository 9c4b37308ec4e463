"""Numpy's files of somebody else. Header first, then no more bytes than the file has."""

import io
import math
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from limner.reading.pickle_file import NumbersOnly
from limner.reading.told import MOST_BYTES, RefusedError, check_regular
from limner.reading.zip_file import open_zip

Objects = Literal["refuse", "leave out", "numbers"]
"""What becomes of arrays of pickled objects: an error, nothing, or what `NumbersOnly` takes from them."""
_NOTHING = object()


def read_npz(
    file: Path | io.BytesIO,
    objects: Objects = "refuse",
    names: Collection[str] | None = None,
    most_bytes: int = MOST_BYTES,
) -> dict[str, Any]:
    """The arrays of an `.npz` by name (`names`: only these, where they are there).

    With objects="numbers" an array of one object is that object. Raises OSError and ValueError (RefusedError among
    them), and BadZipFile and zlib.error for damage.
    """
    found = {}
    with open_zip(file, most_bytes) as archive:
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            if name == entry.filename or (names is not None and name not in names):
                continue
            array = _read(partial(archive.open, entry.filename), entry.file_size, objects)
            if array is not _NOTHING:
                found[name] = array
    return found


def names_in_npz(file: Path) -> set[str]:
    """Which arrays an `.npz` holds, none of them read. Raises as `read_npz`."""
    with open_zip(file, 2**40) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()}


def read_npy(file: Path, objects: Objects = "refuse", most_bytes: int = MOST_BYTES) -> Any:
    """The array of an `.npy`, as `read_npz`."""
    array = _read(lambda: file.open("rb"), check_regular(file, most_bytes), objects)
    if array is _NOTHING:
        raise RefusedError("it holds pickled objects")
    return array


def _read(opened: Callable[[], AbstractContextManager[IO[bytes]]], size: int, objects: Objects) -> Any:
    """One array of `size` bytes with its header, or _NOTHING."""
    with opened() as stream:
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(stream)
        start = stream.tell()
        if dtype.hasobject:
            if objects == "leave out":
                return _NOTHING
            if objects == "refuse":
                raise RefusedError("it holds pickled objects, expected arrays of numbers")
            found = NumbersOnly(stream.read()).load()
            return found.item() if isinstance(found, np.ndarray) and found.shape == () else found
    count = int(math.prod(shape))
    if any(length < 0 for length in shape) or start + count * dtype.itemsize != size or (count and not dtype.itemsize):
        raise RefusedError(f"an array says that it is {shape} of {dtype}, but has {size - start} bytes")
    with opened() as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def packed_arrays(content: bytes) -> dict[str, Any]:
    """The arrays of an `.npz` in memory. Raises as `read_npz`."""
    return read_npz(io.BytesIO(content))
