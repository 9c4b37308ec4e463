"""The base of records whose fields have a row for each person, crop or photo: length, picking, joining, device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor

from limner.index import Index, rows_of

R = TypeVar("R")
"""A tensor, `Rows`, or a tuple or dict of these."""


@dataclass(frozen=True)
class Rows:
    """A record of tensors and records, tuples and dicts of them, all with as many rows; a field may be None.

    Fields that all rows share are declared with `field(metadata={"shared": True})`.
    """

    def rows(self) -> dict[str, Any]:
        """The fields that have rows, by name."""
        return {name: value for name in _names(self)[0] if (value := getattr(self, name)) is not None}

    def __len__(self) -> int:
        first: Any = next(value for name in _names(self)[0] if (value := getattr(self, name)) is not None)
        while isinstance(first, dict | tuple):
            first = next(iter(first.values() if isinstance(first, dict) else first))
        return len(first)

    def __getitem__(self: R, index: Index) -> R:
        """Some of the rows; a whole number gives that one, still as a row."""
        rows = rows_of(index, len(self))  # type: ignore[arg-type]
        if isinstance(rows, slice) and rows.indices(len(self)) == (0, len(self), 1):  # type: ignore[arg-type]
            return self
        return pick(self, rows)

    def to(self: R, *args: torch.device | torch.dtype | str) -> R:
        """The record's tensors moved or cast, as `Tensor.to`, those that rows share too."""

        def moved(value: Any) -> Any:
            return value.to(*args)

        shared = {name: getattr(self, name) for name in _names(self)[1]}
        tensors = {name: moved(value) for name, value in shared.items() if isinstance(value, Tensor | Rows)}
        return replace(_made(moved, self), **tensors)  # type: ignore[type-var]


def _names(record: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the fields with rows, and of those that rows share."""
    return _names_of_kind(type(record))  # type: ignore[arg-type]


@cache
def _names_of_kind(kind: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    shared = tuple(f.name for f in fields(kind) if f.metadata.get("shared"))
    return tuple(f.name for f in fields(kind) if f.name not in shared), shared


def _made(change: Callable[..., Tensor], *records: R) -> R:
    """The record that a function makes of the tensors of records of one kind, without those that some of them lack;
    what rows share is the first's."""
    first: Any = records[0]
    made: Any
    if isinstance(first, Rows):
        names, shared = _names(first)
        values = {name: getattr(first, name) for name in shared}
        for name in names:
            column = [getattr(record, name) for record in records]
            values[name] = None if any(value is None for value in column) else _made(change, *column)
        made = type(first)(**values)
    elif isinstance(first, tuple):
        made = tuple(_made(change, *column) for column in zip(*records, strict=True))
    elif isinstance(first, dict):
        made = {name: _made(change, *(r[name] for r in records)) for name in first}  # type: ignore[index]
    else:
        made = change(*records)
    return made


def pick(record: R, index: slice | Tensor) -> R:
    """Some of the rows, as tensors are indexed."""
    return _made(lambda value: value[index], record)


def join(parts: Sequence[R]) -> R:
    """The rows of several records of one kind, one after the other; at least one record.

    A field that some of them lack (None) is left out of the result; records without rows do not count.
    """
    parts = [part for part in parts if len(part)] or parts[:1]  # type: ignore[arg-type]
    if len(parts) == 1:
        return parts[0]
    return _made(lambda *values: torch.cat(values), *parts)


def choose(condition: Tensor, yes: R, no: R) -> R:
    """Of each pair of rows the one that `condition` "B" says."""
    return _made(lambda a, b: torch.where(condition.view(-1, *[1] * (a.ndim - 1)), a, b), yes, no)


def put(record: R, index: Tensor, some: R) -> R:
    """The record with `some` in place of the rows `index`, whole numbers."""
    return _made(lambda old, new: old.index_copy(0, index, new), record, some)
