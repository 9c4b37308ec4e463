"""Sampling line by line gives what sampling a pixel at a time gives."""

import pytest
import torch

from limner.expose.crop_kernel import ARGUMENTS, kernel, program, sample, suits
from limner.expose.vector_code import whole_program

PHOTO = torch.randint(0, 256, (3, 40, 57), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
OUTSIDE = (0.2, 0.5, 0.9)


def pixel(photo: torch.Tensor, y: int, x: int) -> torch.Tensor:
    inside = 0 <= y < photo.shape[1] and 0 <= x < photo.shape[2]
    return photo[:, y, x].double() / 255 if inside else torch.tensor(OUTSIDE, dtype=torch.float64)


@pytest.mark.skipif(kernel() is None, reason="no code for this machine")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    ("left", "top", "step"), [(3.2, 4.6, 0.7), (-7.0, 30.1, 1.3), (50.5, -20.0, 0.01), (99.0, 99.0, 1.0)]
)
def test_bilinear_in_and_out_of_the_photo(left: float, top: float, step: float, threads: int, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    at = torch.arange(32) * step
    taps = []
    for position in (left + at, top + at):
        first = position.floor().long()
        taps.append((torch.stack([first, first + 1]), position - first))
    found = sample(PHOTO, *taps[0], *taps[1], outside=OUTSIDE)
    for y, x in ((0, 0), (5, 31), (31, 2), (31, 31), (17, 16)):
        (columns, across), (rows, down) = (
            (index[:, k], weight[k].double()) for (index, weight), k in zip(taps, (x, y), strict=True)
        )
        lines = [
            torch.lerp(pixel(PHOTO, int(r), int(columns[0])), pixel(PHOTO, int(r), int(columns[1])), across)
            for r in rows
        ]
        assert torch.allclose(found[:, y, x].double(), torch.lerp(*lines, down), atol=1e-5)


def test_what_it_cannot_do_is_left_to_torch():
    assert not suits(PHOTO[:, :, :3], 32) and not suits(PHOTO, 31)


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_code_for_other_processors_is_valid(lanes: int):
    llvm = pytest.importorskip("llvmlite.binding")
    llvm.parse_assembly(whole_program(program, "sample", ARGUMENTS, lanes, threads=True)).verify()
