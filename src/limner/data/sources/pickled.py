"""Pickled arrays of public data sets, read without running what is pickled in them.

Numbers, strings and containers are taken; any other class is refused (`limner.reading.pickle_file.NumbersOnly`).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from limner.errors import DataSetError
from limner.reading import npz_file
from limner.reading.pickle_file import NumbersOnly
from limner.reading.told import told_as, whole_file

Content = TypeVar("Content")
MOST_BYTES = 2**33
"""8 GB: some public sets are one large archive."""


def read_pickle(file: Path) -> Any:
    """The content of a pickle of Python 2 or 3 that holds numpy arrays, numbers, texts, lists, tuples and dicts.

    Raises DataSetError for a missing, damaged or cut-off file and for one that asks for any other class.
    """
    cure = (
        "Only arrays, numbers and texts are read from pickles. Copy it again from its source, or convert it to .npz "
        "yourself if you trust it."
    )
    return unpickled(file, lambda content: NumbersOnly(content).load(), cure)


def unpickled(file: Path, load: Callable[[bytes], Content], cure: str) -> Content:
    """What `load` (a restricted unpickler) makes of the file; DataSetError with the cure for whatever goes wrong."""
    with told_as(DataSetError, file, cure):
        return load(whole_file(file, MOST_BYTES))


def read_npz(file: Path) -> dict[str, Any]:
    """All arrays of an .npz by name; arrays of objects are unpickled as `read_pickle` does, one object as itself.

    Raises DataSetError as `read_pickle`, and for an archive that unpacks to more than its size accounts for.
    """
    with told_as(DataSetError, file, "Expected an .npz archive of arrays. Copy it again."):
        return npz_file.read_npz(file, "numbers", most_bytes=MOST_BYTES)


def names_in_npz(file: Path) -> set[str]:
    """Which arrays an .npz holds, without reading them. Raises DataSetError."""
    with told_as(DataSetError, file, "Expected an .npz archive of arrays. Copy it again."):
        return npz_file.names_in_npz(file)


def read_npy(file: Path) -> Any:
    """One .npy file, as `read_npz`."""
    with told_as(DataSetError, file, "Expected an .npy array. Copy it again."):
        return npz_file.read_npy(file, "numbers", MOST_BYTES)
