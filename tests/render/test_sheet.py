"""The composed result picture."""

import math

import torch

from limner.geometry.box import Squares
from limner.geometry.camera import Camera
from limner.render.sheet import Layout, draw_regions, sheet
from tests.render.shapes import ball

SMALL = Layout(panel_height=120, panel_width=160, gap=4, margin=6, caption=10)


def squares(x: float, y: float, size: float, angle: float, count: int = 1) -> Squares:
    center = torch.tensor([[float(x), float(y)]]).repeat(count, 1)
    return Squares(center, torch.full((count,), float(size)), torch.full((count,), float(angle)))


def test_regions_are_drawn_as_thin_outlines():
    image = torch.full((3, 100, 100), 128, dtype=torch.uint8)
    boxes = torch.tensor([[10.0, 20.0, 60.0, 90.0]])
    drawn = draw_regions(image, boxes, [("face", squares(66, 50, 30, math.pi / 4))])
    changed = (drawn != 128).any(0)
    assert image.eq(128).all()
    assert changed[50, 10] and changed[80, 59] and changed[20, 30] and changed[89, 30]  # the four sides
    assert not changed[80, 30] and not changed[10, 50]
    half_diagonal = 30 / math.sqrt(2)
    assert changed[50, round(66 + half_diagonal - 0.5)] and changed[round(50 - half_diagonal - 0.5), 66]
    assert not changed[50, 70] and not changed[35, 51]  # inside, and where an unturned square would have its corner


def test_a_sheet_has_a_row_of_panels_and_a_row_of_parts_for_each_person():
    vertices, faces = ball(2)
    people = torch.cat([vertices * 0.2 + torch.tensor([x, 0, 2.0]) for x in (-0.4, 0.4)])
    camera = Camera(torch.full((2,), 100.0), torch.tensor([[40.0, 30.0]] * 2))
    photo = torch.full((3, 60, 80), 90, dtype=torch.uint8)
    boxes = torch.tensor([[10.0, 20, 30, 40], [50, 20, 70, 40]])
    parts = [("left hand", squares(20, 30, 10, 0.2, 2)), ("face", squares(60, 30, 16, 0, 2))]
    page = sheet(photo, people, faces, camera, boxes, parts, SMALL)
    width = 160 + 160 + int(0.62 * 120) + 2 * 4 + 2 * 6
    tile = (width - 12 - 4 * 3) // 4
    assert page.dtype == torch.uint8
    assert page.shape == (3, 120 + 20 + 2 * (tile + 20 + 4) + 12, width)
    second_tile = page[:, 6 + 20 + 120 + 4 + 20 + tile // 2, 6 + tile + 4 + tile // 2]
    assert (second_tile != 90).any()  # person 0's left hand: the mesh fills the crop
    other = page[:, 6 + 20 + 120 + 4 + 20 + tile // 2, 6 + 3 * (tile + 4) + tile // 2]
    assert other.eq(90).all()  # person 0's face crop lies over person 1, who is not drawn


def test_a_sheet_without_people_shows_the_photo():
    vertices, faces = ball(1)
    camera = Camera(torch.zeros(0), torch.zeros(0, 2))
    photo = torch.full((3, 60, 80), 90, dtype=torch.uint8)
    none = Squares(torch.zeros(0, 2), torch.zeros(0), torch.zeros(0))
    page = sheet(photo, vertices[:0], faces, camera, torch.zeros(0, 4), [("face", none)], SMALL)
    assert page.shape[1] == 120 + 20 + 12
    assert page[:, 80, 80].eq(90).all() and page[:, 80, 250].eq(90).all() and page[:, 80, -20].eq(255).all()
