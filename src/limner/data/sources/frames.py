"""Pickled pandas tables, read without pandas and without running what is pickled in them.

Plain records take the place of pandas' classes (pandas 1.0 to 3.1); besides them, numbers, texts and containers are
taken as in `limner.data.sources.pickled`, and any other class is refused.
"""

import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from limner.data.sources.pickled import unpickled
from limner.reading.pickle_file import MOST_VALUES, Finish, NumbersOnly, Shell

Table = dict[str, list[Any]]
"""Columns by name, each with a value a row."""


def read_frame(file: Path) -> Table:
    """A table that `DataFrame.to_pickle` or `pickle.dump` has written, uncompressed.

    Raises DataSetError for a missing, damaged or cut-off file, for one that asks for any class but pandas' own, and for
    one that holds something else than a table.
    """
    cure = "Only pandas tables of arrays, numbers and texts are read. Copy it again from its source."
    return unpickled(file, _columns, cure)


def _columns(content: bytes) -> Table:
    table = _FramesOnly(content).load()
    if not isinstance(table, _Frame):
        raise pickle.UnpicklingError(f"it holds a {type(table).__name__}, expected a table")
    return table.columns()


class _Frame(Shell):
    """In the place of DataFrame."""

    def columns(self) -> Table:
        manager: _Manager = self.state["_mgr"] if "_mgr" in self.state else self.state["_data"]
        names = [str(name) for name in manager.axes[0]]
        if manager.rows.keys() != set(range(len(names))):
            raise pickle.UnpicklingError("columns are missing")
        return {name: list(manager.rows[i]) for i, name in enumerate(names)}


class _Manager(Shell):
    """In the place of BlockManager: `rows` are columns by number, put together from blocks of columns of one kind."""

    def made(self, finish: Finish) -> "_Manager":
        """pandas before 1.3 keeps a tuple whose last part is a dict of blocks; later versions say all at once."""
        super().made(finish)
        if isinstance(self.state, tuple) and len(self.state) > 3:
            newest = self.state[3]["0.14.1"]
            blocks, axes = [(block["values"], block["mgr_locs"]) for block in newest["blocks"]], newest["axes"]
        else:
            blocks, axes = (*self.given, (), ())[:2]
        self.axes, self.rows = list(axes), _rows(blocks)
        return self


def _rows(blocks: Iterable[tuple[Any, Any]]) -> dict[int, Any]:
    rows: dict[int, Any] = {}
    for values, where in blocks:
        array = _plain(values)
        if array.ndim == 1:  # one column of a kind of its own
            array = array[None]
        limit = where.stop if isinstance(where, slice) else 0
        places = range(*where.indices(limit)) if isinstance(where, slice) else np.ravel(where).tolist()
        if len(places) != len(array):
            raise pickle.UnpicklingError("a block has not as many columns as places")
        rows |= {int(place): row for place, row in zip(places, array, strict=True)}
    return rows


class _Held(Shell):
    """In the place of pandas' own arrays (texts) and their kinds: what they hold, as it comes."""


def _plain(values: Any) -> np.ndarray:
    """A numpy array, also where it lies in the state of one of pandas' own."""
    if isinstance(values, np.ndarray):
        return values
    held = values
    if isinstance(values, _Held):
        held = values.given if values.state is None else values.state
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


class _Block(Shell):
    """In the place of the functions that make a block: its values and where they belong."""

    def made(self, finish: Finish) -> tuple[Any, Any]:
        return finish(self.given[0]), finish(self.given[1])


class _Slice(Shell):
    """In the place of slice."""

    def made(self, finish: Finish) -> slice:
        return slice(*self.given)


class _Labels(Shell):
    """In the place of the function that makes an index: labels of rows or columns."""

    def made(self, finish: Finish) -> list[Any]:
        content = finish(self.given[1])
        if "data" in content:
            return _plain(content["data"]).tolist()
        numbers = range(content.get("start") or 0, content["stop"], content.get("step") or 1)
        if len(numbers) > MOST_VALUES:
            raise pickle.UnpicklingError(f"it has {len(numbers)} rows")
        return list(numbers)


_INTERNALS = ("pandas.core.internals", "pandas.core.internals.managers", "pandas.core.internals.blocks")
_INDEXES = ("base", "range", "numeric", "api")
_ARRAYS = ("pandas.arrays", *(f"pandas.core.arrays.{m}" for m in ("string_", "string_arrow", "numpy_", "numpy_string")))
_PLACES: tuple[tuple[tuple[str, ...], tuple[str, ...], Any], ...] = (
    (("pandas", "pandas.core.frame"), ("DataFrame",), _Frame),
    (_INTERNALS, ("BlockManager",), _Manager),
    (("pandas._libs.internals", *_INTERNALS), ("_unpickle_block", "new_block"), _Block),
    (
        ("pandas.core.index", *(f"pandas.{core}indexes.{m}" for core in ("", "core.") for m in _INDEXES)),
        ("_new_Index",),
        _Labels,
    ),
    (("pandas._libs.arrays",), ("__pyx_unpickle_NDArrayBacked",), _Held),
    (
        ("pandas", "pandas.core.index", *(f"pandas.{core}indexes.{m}" for core in ("", "core.") for m in _INDEXES)),
        ("Index", "RangeIndex", "Int64Index", "UInt64Index", "Float64Index", "NumericIndex"),
        _Held,
    ),
    (("pandas", *_ARRAYS), ("StringArray", "ArrowStringArray", "StringDtype"), _Held),
    (("pandas", *_ARRAYS), ("PandasArray", "NumpyExtensionArray"), _Held),
    (("builtins", "__builtin__"), ("slice",), _Slice),
)
"""Modules of pandas' releases, names in them, and what takes their place."""


class _FramesOnly(NumbersOnly):
    """Admits plain records in the place of pandas' classes, and what `NumbersOnly` admits."""

    ADMITTED = NumbersOnly.ADMITTED | {  # type: ignore[operator]
        (module, name): shell for modules, names, shell in _PLACES for module in modules for name in names
    }
