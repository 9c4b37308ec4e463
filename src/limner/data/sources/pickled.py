"""How are pickled arrays of public data sets read without running what is pickled in them?

Numbers, strings and containers are taken; any other class is refused (`limner.body.assets.NumbersOnly`).
"""

import io
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from limner.body.assets import NumbersOnly
from limner.errors import DataSetError

Content = TypeVar("Content")


def read_pickle(file: Path) -> Any:
    """The content of a pickle of Python 2 or 3 that holds numpy arrays, numbers, texts, lists, tuples and dicts.

    Raises DataSetError for a missing, damaged or cut-off file and for one that asks for any other class.
    """
    cure = (
        "Only arrays, numbers and texts are read from pickles. Copy it again from its source, or convert it to .npz "
        "yourself if you trust it."
    )
    return unpickled(file, lambda content: NumbersOnly(content, encoding="latin1").load(), cure)


def unpickled(file: Path, load: Callable[[io.BytesIO], Content], cure: str) -> Content:
    """What `load` (a restricted unpickler) makes of the file; DataSetError with the cure for whatever goes wrong."""
    try:
        return load(io.BytesIO(file.read_bytes()))
    except FileNotFoundError as error:
        raise DataSetError(f"{file} does not exist. Check the path.") from error
    except Exception as error:  # noqa: BLE001 a damaged pickle can raise nearly anything
        raise DataSetError(f"{file} is refused or damaged: {error or type(error).__name__}. {cure}") from error


def read_npz(file: Path) -> dict[str, Any]:
    """All arrays of an .npz by name; arrays of objects are unpickled as `read_pickle` does, one object as itself.

    Raises DataSetError as `read_pickle`.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return {
                name.removesuffix(".npy"): _array(archive.read(name))
                for name in archive.namelist()
                if name.endswith(".npy")
            }
    except FileNotFoundError as error:
        raise DataSetError(f"{file} does not exist. Check the path.") from error
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, pickle.PickleError) as error:
        raise DataSetError(
            f"{file} is refused or damaged ({error}): expected an .npz archive of arrays. Copy it again."
        ) from error


def names_in_npz(file: Path) -> set[str]:
    """Which arrays an .npz holds, without reading them. Raises DataSetError."""
    try:
        with zipfile.ZipFile(file) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except FileNotFoundError as error:
        raise DataSetError(f"{file} does not exist. Check the path.") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise DataSetError(f"{file} is damaged ({error}): expected an .npz archive. Copy it again.") from error


def read_npy(file: Path) -> Any:
    """One .npy file, as `read_npz`."""
    try:
        return _array(file.read_bytes())
    except FileNotFoundError as error:
        raise DataSetError(f"{file} does not exist. Check the path.") from error
    except (ValueError, OSError, EOFError, pickle.PickleError) as error:
        raise DataSetError(f"{file} is refused or damaged ({error}): expected an .npy array. Copy it again.") from error


def _array(content: bytes) -> Any:
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    dtype = read_header(stream)[2]
    if not dtype.hasobject:
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)
    objects = NumbersOnly(stream, encoding="latin1").load()
    return objects.item() if isinstance(objects, np.ndarray) and objects.shape == () else objects
