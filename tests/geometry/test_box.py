"""Squares and boxes."""

import numpy as np
import pytest
import torch

from limner.errors import BoxError
from limner.geometry.box import (
    Squares,
    as_boxes,
    bounds_of,
    box_of_points,
    boxes_of_each,
    check_boxes,
    iou,
    share_inside,
    squares_around,
)
from limner.records import choose, join


def test_square_coordinates_round_trip():
    squares = Squares(torch.tensor([[10.0, 20.0]]), torch.tensor([8.0]), torch.tensor([0.7]))
    points = torch.randn(1, 5, 2)
    assert torch.allclose(squares.unit_from_photo(squares.photo_from_unit(points)), points, atol=1e-5)


def test_angle_turns_the_x_axis_clockwise_in_the_image():
    quarter = Squares(torch.zeros(1, 2), torch.tensor([2.0]), torch.tensor([torch.pi / 2]))
    assert torch.allclose(
        quarter.photo_from_unit(torch.tensor([[[1.0, 0.0]]])), torch.tensor([[[0.0, 1.0]]]), atol=1e-5
    )


def test_squares_around_and_corners():
    squares = squares_around(torch.tensor([[0.0, 0.0, 10.0, 20.0]]), margin=1.2)
    assert squares.size_px.tolist() == [24.0] and squares.center_px.tolist() == [[5.0, 10.0]]
    assert bounds_of(squares.corners_px()).tolist() == [[-7.0, -2.0, 17.0, 22.0]]


def test_iou():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5], [20, 20, 30, 30], [1, 0, 11, 10]])
    assert iou(boxes, boxes)[0].tolist() == pytest.approx([1.0, 0.5, 0.0, 90 / 110])


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([5.0, 5, 5, 9], "at least 1 x 1"),
        ([9.0, 9, 5, 5], "not x y width height"),
        ([200.0, 5, 300, 50], "outside the photo of 100 x 80"),
        ([float("nan"), 0, 1, 1], "finite"),
    ],
)
def test_bad_boxes(box, message):
    with pytest.raises(BoxError, match=message):
        check_boxes(torch.tensor([box]), width=100, height=80)


def test_squares_are_joined_and_picked():
    one, two = (Squares(torch.rand(3, 2), torch.rand(3), torch.rand(3)) for _ in range(2))
    both = join([one, two])
    assert len(both) == 6 and torch.equal(both[3:].center_px, two.center_px)
    picked = choose(torch.tensor([True, False, True]), one, two)
    assert torch.equal(picked[1:2].size_px, two.size_px[1:2])
    assert torch.equal(picked[[0, 2]].angle_rad, one.angle_rad[[0, 2]])


def test_share_of_a_box_inside_another():
    a, b = torch.tensor([[0.0, 0, 4, 2]]), torch.tensor([[2.0, 0, 10, 1], [0, 0, 9, 9], [5, 5, 6, 6]])
    assert torch.allclose(share_inside(a, b), torch.tensor([[0.25, 1.0, 0.0]]))


@pytest.mark.parametrize(
    "given",
    [
        [[1, 2, 30, 40]],
        [1, 2, 30, 40],
        (1.0, 2.0, 30.0, 40.0),
        np.array([1, 2, 30, 40], np.int64),
        np.array([[1, 2, 30, 40]], np.float64),
        torch.tensor([1, 2, 30, 40]),
        torch.tensor([[1.0, 2.0, 30.0, 40.0]], requires_grad=True),
        [torch.tensor([1, 2, 30, 40])],
        [np.array([1, 2, 30, 40])],
    ],
)
def test_boxes_are_taken_as_lists_and_arrays(given: object):
    assert torch.equal(as_boxes(given), torch.tensor([[1.0, 2.0, 30.0, 40.0]]))


@pytest.mark.parametrize("none", [[], (), np.zeros((0, 4)), torch.zeros(0, 4), [[]]])
def test_no_boxes_are_no_boxes(none: object):
    assert as_boxes(none).shape == (0, 4)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ([1, 2, 3], "shape 3"),
        ([[1, 2, 3]], "shape 1 x 3"),
        ([[1, 2, 3, 4, 0.9]], r"boxes\[:, :4\]"),
        (5, "one number"),
        ("box", "no table of numbers"),
        ({"x": 1}, "no table of numbers"),
        ([[1, 2, 3, 4], [1, 2]], "no table of numbers"),
        ([[1, 2, 3, None]], "finite"),
        (np.zeros((1, 1, 4)), "1 x 1 x 4"),
    ],
)
def test_other_boxes_are_refused(given: object, match: str):
    with pytest.raises(BoxError, match=match):
        check_boxes(as_boxes(given), 100, 100)


def test_several_photos_have_an_entry_of_boxes_each():
    assert boxes_of_each(None, 2) == [None, None]
    assert boxes_of_each([None, [1, 2, 3, 4]], 2) == [None, [1, 2, 3, 4]]
    for wrong in ([None], [1, 2, 3, 4], 5):
        with pytest.raises(BoxError, match="one entry a photo"):
            boxes_of_each(wrong, 2)


def test_a_box_is_about_the_seen_points():
    points = torch.tensor([[0.0, 0], [10, 20], [500, 500]])
    seen = torch.tensor([1.0, 0.5, 0.0])
    assert box_of_points(points, seen).tolist() == pytest.approx([-1, -2, 11, 22])
    assert box_of_points(points[:2], margin=1.0).tolist() == [0, 0, 10, 20]
    assert bool(box_of_points(points, torch.zeros(3)).isnan().all())
