"""Lines and dots against what geometry says they cover."""

import math

import torch

from limner.render.lines import draw_lines

GREY = torch.full((3, 40, 60), 100, dtype=torch.uint8)


def test_a_line_covers_its_width_times_its_length_and_no_more():
    start, end = torch.tensor([[10.3, 20.0]]), torch.tensor([[50.0, 31.7]])
    drawn = draw_lines(GREY, start, end, 3, (200, 100, 0))
    assert GREY.eq(100).all()
    assert drawn[1].eq(100).all()
    length = (end - start).norm().item()
    assert math.isclose((drawn[0].float() - 100).sum().item() / 100, 3 * length + math.pi * 1.5**2, rel_tol=0.02)
    assert drawn[:, 25, 30].tolist() == [200, 100, 0]
    assert drawn[:, 25, 36].tolist() == drawn[:, 20, 30].tolist() == [100, 100, 100]


def test_a_dot_is_round_and_crossing_lines_are_laid_on_once():
    middle = torch.tensor([[30.0, 20.0]])
    dot = draw_lines(GREY, middle, middle, 10, (0, 0, 0), opacity=0.5)
    assert math.isclose((100 - dot[0].float()).sum().item() / 50, math.pi * 25, rel_tol=0.02)
    starts, ends = torch.tensor([[10.0, 20.0], [30, 5]]), torch.tensor([[50.0, 20.0], [30, 35]])
    assert draw_lines(GREY, starts, ends, 4, (0, 0, 0), opacity=0.5)[0].min() == 50


def test_what_lies_outside_the_picture_is_cut_off():
    starts, ends = torch.tensor([[-1000.0, 20.0], [70, 0]]), torch.tensor([[1000.0, 20.0], [90, 90]])
    drawn = draw_lines(GREY, starts, ends, 2, (0, 0, 0))
    assert drawn[:, 19:21].eq(0).all() and drawn[:, :19].eq(100).all() and drawn[:, 21:].eq(100).all()
    none = torch.zeros(0, 2)
    assert torch.equal(draw_lines(GREY, none, none, 2, (0, 0, 0)), GREY)
