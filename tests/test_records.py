"""Records with rows are picked, joined and moved as one."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from limner.geometry.box import Squares
from limner.records import Rows, choose, join, put


@dataclass(frozen=True)
class Sample(Rows):
    value: Tensor
    square: Squares
    maps: tuple[Tensor, ...] = ()
    depth: Tensor | None = None
    named: dict[str, Tensor] = field(default_factory=dict)
    table: Tensor = field(default_factory=lambda: torch.arange(7), metadata={"shared": True})


def sample(*values: float) -> Sample:
    column = torch.tensor(values, dtype=torch.float32)
    square = Squares(column[:, None].expand(-1, 2), column, column)
    return Sample(column, square, (column, 2 * column), named={"third": 3 * column})


def values(record: Sample) -> list[float]:
    square, maps = record.square, record.maps
    for other in (square.size_px, square.center_px[:, 1], maps[0], maps[1] / 2, record.named["third"] / 3):
        assert torch.equal(other, record.value)
    assert record.depth is None and len(record.table) == 7
    return record.value.tolist()


def test_picking_by_slice_list_mask_and_index():
    record = sample(1, 2, 3)
    assert len(record) == 3
    for index in (slice(1, None), [1, 2], torch.tensor([False, True, True]), torch.tensor([1, 2])):
        assert values(record[index]) == [2, 3]
    assert values(record[:0]) == []


def test_joining_choosing_and_putting():
    record, other = sample(1, 2, 3), sample(4, 5, 6)
    assert values(join([record, other, record[:1]])) == [1, 2, 3, 4, 5, 6, 1]
    assert values(choose(torch.tensor([True, False, True]), record, other)) == [1, 5, 3]
    assert values(put(record, torch.tensor([2, 0]), other[:2])) == [5, 2, 4]
    assert values(put(record, torch.tensor([], dtype=torch.long), other[:0])) == [1, 2, 3]


def test_to_moves_everything():
    record = sample(1, 2).to("meta")
    assert record.value.is_meta and record.square.angle_rad.is_meta and record.maps[1].is_meta
    assert record.table.is_meta, "shared ones, too"
