"""The base of records whose fields have a row for each person, crop or photo: length, picking, joining, device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from limner.index import Index, rows_of

R = TypeVar("R", bound="Rows")


@dataclass(frozen=True)
class Rows:
    """A record of tensors, tuples of tensors and records, all with as many rows; a field may be None.

    Fields that all rows share are declared with `field(metadata={"shared": True})`.
    """

    def rows(self) -> dict[str, Any]:
        """The fields that have rows, by name."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if not f.metadata.get("shared")}
        return {name: value for name, value in values.items() if value is not None}

    def __len__(self) -> int:
        return len(next(iter(self.rows().values())))

    def __getitem__(self: R, index: Index) -> R:
        """Some of the rows; a whole number gives that one, still as a row."""
        rows = rows_of(index, len(self))
        return _changed(self, lambda value: value[rows])

    def to(self: R, *args: torch.device | torch.dtype | str) -> R:
        """The record's tensors moved or cast, as `Tensor.to`."""
        shared = {f.name: getattr(self, f.name).to(*args) for f in fields(self) if f.metadata.get("shared")}
        return replace(_changed(self, lambda value: value.to(*args)), **shared)


def _changed(record: R, change: Callable[[Any], Any]) -> R:
    rows = record.rows().items()
    return replace(record, **{name: tuple(map(change, v)) if isinstance(v, tuple) else change(v) for name, v in rows})


def join(parts: Sequence[R]) -> R:
    """The rows of several records of one kind, one after the other; at least one record."""
    return replace(parts[0], **{name: _joined([getattr(p, name) for p in parts]) for name in parts[0].rows()})


def _joined(values: list[Any]) -> Any:
    if isinstance(values[0], tuple):
        return tuple(_joined(list(column)) for column in zip(*values, strict=True))
    return torch.cat(values) if isinstance(values[0], Tensor) else join(values)


def choose(condition: Tensor, yes: R, no: R) -> R:
    """Of each pair of rows the one that `condition` "B" says."""
    index = torch.arange(len(condition), device=condition.device)
    return join([yes, no])[torch.where(condition, index, index + len(condition))]


def put(record: R, index: Tensor, some: R) -> R:
    """The record with `some` in place of the rows `index`, whole numbers."""
    order = torch.arange(len(record), device=index.device)
    order[index] = len(record) + torch.arange(len(index), device=index.device)
    return join([record, some])[order]
