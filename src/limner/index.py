"""Indices of records: which rows they mean. The same for every record with a row a person."""

import operator
from typing import SupportsIndex

import numpy as np
import torch
from torch import Tensor

Index = SupportsIndex | slice | list[int] | list[bool] | np.ndarray | Tensor


def is_one(index: Index) -> bool:
    """Whether an index is a single whole number, of Python, numpy or torch."""
    if isinstance(index, Tensor | np.ndarray):
        return index.ndim == 0
    return hasattr(index, "__index__")


def rows_of(index: Index, count: int) -> slice | Tensor:
    """What to index tensors of `count` rows with, so that rows stay rows: a slice, or row numbers "N".

    A whole number means that one row, negative ones count from the end; lists and arrays hold whole numbers, or a
    truth value for each row. Raises IndexError out of range, TypeError for any other index.
    """
    if isinstance(index, slice):
        return index
    if is_one(index):
        row = operator.index(index)  # type: ignore[arg-type]
        if not -count <= row < count:
            raise IndexError(f"row {row} of {count}: expected {-count} to {count - 1}")
        return slice(row % count, row % count + 1)
    if not isinstance(index, list | tuple | np.ndarray | Tensor):
        raise TypeError(f"index of type {type(index).__name__}, expected a whole number, a slice, a list or an array")
    wanted = index if isinstance(index, Tensor) else torch.from_numpy(np.asarray(index))
    if not wanted.numel() and wanted.dtype != torch.bool:
        return wanted.long()
    if wanted.ndim != 1 or wanted.is_floating_point() or wanted.is_complex():
        raise TypeError(f"index of {wanted.dtype} with {wanted.ndim} axes, expected one axis of whole numbers or bools")
    return torch.arange(count, device=wanted.device)[wanted if wanted.dtype == torch.bool else wanted.long()]
