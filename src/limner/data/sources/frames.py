"""How is a pickled pandas table read without pandas, and without running what is pickled in it?

Plain records take the place of pandas' classes (pandas 1.0 to 3.1); besides them, numbers, texts and containers are
taken as in `limner.data.sources.pickled`, and any other class is refused.
"""

import io
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from limner.body.assets import NumbersOnly
from limner.data.sources.pickled import unpickled

Table = dict[str, list[Any]]
"""Columns by name, each with a value a row."""


def read_frame(file: Path) -> Table:
    """A table that `DataFrame.to_pickle` or `pickle.dump` has written, uncompressed.

    Raises DataSetError for a missing, damaged or cut-off file, for one that asks for any class but pandas' own, and for
    one that holds something else than a table.
    """
    cure = "Only pandas tables of arrays, numbers and texts are read. Copy it again from its source."
    return unpickled(file, _columns, cure)


def _columns(content: io.BytesIO) -> Table:
    table = _FramesOnly(content, encoding="latin1").load()
    if not isinstance(table, _Frame):
        raise pickle.UnpicklingError(f"it holds a {type(table).__name__}, expected a table")
    return table.columns()


class _Frame:
    """In the place of DataFrame."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.manager: _Manager = state["_mgr"] if "_mgr" in state else state["_data"]

    def columns(self) -> Table:
        names = [str(name) for name in self.manager.axes[0]]
        if self.manager.rows.keys() != set(range(len(names))):
            raise pickle.UnpicklingError("columns are missing")
        return {name: list(self.manager.rows[i]) for i, name in enumerate(names)}


class _Manager:
    """In the place of BlockManager: `rows` are columns by number, put together from blocks of columns of one kind."""

    def __init__(self, blocks: Iterable[tuple[Any, Any]] = (), axes: Any = (), *_: Any):
        self.axes, self.rows = list(axes), _rows(blocks)

    def __setstate__(self, state: Any) -> None:
        """pandas before 1.3 keeps a tuple whose last part is a dict of blocks."""
        if not isinstance(state, tuple) or len(state) < 4:
            return  # later versions have said everything to __init__
        newest = state[3]["0.14.1"]
        self.axes = list(newest["axes"])
        self.rows = _rows((block["values"], block["mgr_locs"]) for block in newest["blocks"])


def _rows(blocks: Iterable[tuple[Any, Any]]) -> dict[int, Any]:
    rows: dict[int, Any] = {}
    for values, where in blocks:
        array = _plain(values)
        if array.ndim == 1:  # one column of a kind of its own
            array = array[None]
        limit = where.stop if isinstance(where, slice) else 0
        places = list(range(*where.indices(limit))) if isinstance(where, slice) else np.ravel(where).tolist()
        if len(places) != len(array):
            raise pickle.UnpicklingError("a block has not as many columns as places")
        rows |= {int(place): row for place, row in zip(places, array, strict=True)}
    return rows


class _Held:
    """In the place of pandas' own arrays (texts) and their kinds: what they hold, as it comes."""

    def __init__(self, *given: Any):
        self.given: Any = given

    def __setstate__(self, state: Any) -> None:
        self.given = state


def _plain(values: Any) -> np.ndarray:
    """A numpy array, also where it lies in the state of one of pandas' own."""
    if isinstance(values, np.ndarray):
        return values
    held = values.given if isinstance(values, _Held) else values
    arrays = [part for part in _flat(held) if isinstance(part, np.ndarray)]
    if len(arrays) != 1:
        raise pickle.UnpicklingError(f"a block is a {type(values).__name__}, expected an array")
    return arrays[0]


def _flat(values: Any) -> Iterable[Any]:
    if isinstance(values, tuple | list):
        for value in values:
            yield from _flat(value)
    elif isinstance(values, dict):
        yield from _flat(list(values.values()))
    else:
        yield values


def _block(values: Any, where: Any, *_: Any) -> tuple[Any, Any]:
    return values, where


def _own_array(*_: Any) -> _Held:
    """An array of pandas' own: its state follows."""
    return _Held()


def _index(_: Any, content: dict[str, Any]) -> list[Any]:
    """Labels of rows or columns."""
    if "data" in content:
        return _plain(content["data"]).tolist()
    return list(range(content.get("start") or 0, content["stop"], content.get("step") or 1))


class _FramesOnly(NumbersOnly):
    """Admits plain records in the place of pandas' classes, and what `NumbersOnly` admits."""

    _INDEXES = ("Index", "RangeIndex", "Int64Index", "UInt64Index", "Float64Index", "NumericIndex")
    _ARRAYS = ("StringArray", "ArrowStringArray", "StringDtype", "PandasArray", "NumpyExtensionArray")
    _PANDAS: dict[str, Any] = {
        "DataFrame": _Frame,
        "BlockManager": _Manager,
        "_unpickle_block": _block,
        "new_block": _block,
        "_new_Index": _index,
        "__pyx_unpickle_NDArrayBacked": _own_array,
        **dict.fromkeys((*_INDEXES, *_ARRAYS), _Held),
    }

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "pandas" and name in self._PANDAS:
            return self._PANDAS[name]
        if (module, name) in {("builtins", "slice"), ("__builtin__", "slice")}:
            return slice
        return super().find_class(module, name)
