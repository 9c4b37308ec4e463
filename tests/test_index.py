"""An index picks rows, and rows stay rows."""

import numpy as np
import pytest
import torch

from limner.index import is_one, rows_of

ROWS = torch.arange(4) * 10


@pytest.mark.parametrize("one", [2, -2, np.int64(2), torch.tensor(2), np.array(-2)])
def test_a_whole_number_is_one_row(one: object):
    assert is_one(one) and ROWS[rows_of(one, 4)].tolist() == [20]


@pytest.mark.parametrize(
    ("some", "rows"),
    [
        (slice(1, 3), [10, 20]),
        ([3, -4], [30, 0]),
        ([], []),
        ([True, False, False, True], [0, 30]),
        (np.array([1, 1]), [10, 10]),
        (np.array([2], np.uint8), [20]),
        (torch.tensor([3, 0]), [30, 0]),
        (torch.tensor([2], dtype=torch.uint8), [20]),
        (ROWS > 5, [10, 20, 30]),
        (torch.zeros(0), []),
    ],
)
def test_slices_lists_and_arrays_are_several(some: object, rows: list[int]):
    assert not is_one(some) and ROWS[rows_of(some, 4)].tolist() == rows


@pytest.mark.parametrize("out", [4, -5, [0, 4], torch.tensor([-5]), [True, False]])
def test_out_of_range(out: object):
    with pytest.raises(IndexError):
        rows_of(out, 4)


@pytest.mark.parametrize("other", ["a", 1.0, [1.5], torch.zeros(2, 2, dtype=torch.long), None])
def test_other_indices_are_refused(other: object):
    with pytest.raises(TypeError):
        ROWS[rows_of(other, 4)]
