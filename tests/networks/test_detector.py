"""People are found, boxed whole, counted once, and nobody is seen where nobody is; frames of a batch alone."""

from dataclasses import replace

import pytest
import torch

from limner.geometry.box import iou, squares_around
from limner.geometry.warp import Frames
from limner.networks.detector import (
    MOST_TILES,
    Detections,
    PersonDetector,
    distinct,
    fills_frame,
    search,
    square_tiles,
    stretched,
)
from tests.networks.figures import as_photo, blank, draw_person

FIRST = torch.zeros(1, dtype=torch.int64)


def frames(image) -> Frames:
    return Frames((as_photo(image),))


@pytest.fixture(scope="module")
def detector():
    return PersonDetector.load().requires_grad_(False)


@pytest.mark.parametrize(("x", "top", "height"), [(320, 60, 360), (150, 220, 180), (560, 20, 440)])
def test_one_person_is_boxed_from_head_to_feet(detector, x, top, height):
    image = blank(640, 480)
    truth = draw_person(image, x, top, height)
    found = detector(frames(image))
    assert len(found) == 1 and found.scores[0] > 0.5
    assert iou(found.boxes, truth[None]).item() > 0.7
    assert found.boxes[0, 1] < truth[1] + 0.04 * height, "hair included"
    assert found.boxes[0, 3] > truth[3] - 0.04 * height, "feet included"


def test_several_people_are_counted_once_each_best_first(detector):
    image = blank(900, 500)
    truth = torch.stack(
        [draw_person(image, x, top, h) for x, top, h in ((200, 60, 400), (480, 90, 350), (720, 200, 200))]
    )
    found = detector(frames(image))
    assert len(found) == 3
    assert (iou(found.boxes, truth).amax(0) > 0.6).all()
    assert (found.scores[:-1] >= found.scores[1:]).all()


def test_small_people_are_found_in_the_second_look(detector):
    image = blank(1600, 900)
    truth = torch.stack([draw_person(image, x, 500, 110) for x in (300, 1200)])
    found = detector(frames(image))
    assert len(found) == 2 and (iou(found.boxes, truth).amax(0) > 0.5).all()


def test_person_cut_by_the_edge_is_boxed_inside_the_photo(detector):
    image = blank(480, 480)
    draw_person(image, 240, 60, 900)
    found = detector(frames(image))
    assert len(found) == 1
    assert found.boxes.min() >= 0 and found.boxes.max() <= 480
    assert found.boxes[0, 3] > 440 and found.boxes[0, 1] < 110


def test_threshold_is_a_floor_of_the_scores(detector):
    image = blank(640, 480)
    draw_person(image, 320, 60, 360)
    assert len(detector(frames(image), threshold=0.9999)) == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (9, 200), (200, 9), (8, 8), (300, 200)])
def test_empty_photos_of_any_shape_hold_nobody(detector, size):
    noise = torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    for photo in (torch.zeros(3, *size, dtype=torch.uint8), noise):
        found = detector(Frames((photo,)))
        assert found.boxes.shape == (0, 4) and found.scores.shape == (0,)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (4000, 1000), (700, 3000)])
def test_square_tiles_cover_the_photo_and_overlap(size):
    tiles = square_tiles(*size)
    low, high = tiles.center_px - tiles.size_px[:, None] / 2, tiles.center_px + tiles.size_px[:, None] / 2
    points = torch.rand(500, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor(size)
    hit = ((points[:, None] >= low) & (points[:, None] <= high)).all(-1)
    assert hit.any(1).all()
    assert (len(tiles) == 1) == (max(size) <= 2 * min(size))
    assert low.min() == 0, "the first starts in the corner, so that what lies beyond the photo can be cut off"
    starts = low[:, size.index(max(size))].tolist()
    assert all(b - a <= 0.7 * float(tiles.size_px[0]) + 1e-3 for a, b in zip(starts, starts[1:], strict=False))


def test_a_strip_is_looked_at_in_a_bounded_number_of_tiles():
    for size in ((20000, 9), (9, 2000), (3000, 60)):
        tiles = square_tiles(*size)
        assert len(tiles) <= MOST_TILES
        assert float(tiles.center_px.amax() + tiles.size_px[0] / 2) >= max(size) - 1e-2


def test_only_a_lone_clear_large_person_ends_the_search(detector):
    def fills(*boxes: list[int], score: float = 0.9) -> bool:
        table, pose = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), nobody[[0] * len(boxes)]
        people = Detections(pose.frame, table, torch.full((len(boxes),), score), pose)
        return fills_frame(people, torch.tensor([100.0, 100.0]))

    nobody = detector._observe(frames(blank(16, 16)), FIRST, square_tiles(16, 16))

    assert fills([10, 10, 60, 90])
    assert not fills([10, 10, 60, 50]), "small"
    assert not fills([10, 10, 60, 90], score=0.45), "doubtful"
    assert not fills([0, 0, 40, 90], [50, 0, 90, 90]), "two"
    assert not fills()


def test_doubles_and_limbs_are_dropped_neighbours_and_children_stay():
    torso = torch.tensor([[40.0, 20.0], [60.0, 20.0], [42.0, 60.0], [58.0, 60.0]])
    boxes = torch.tensor(
        [[20.0, 0, 80, 140], [22, 2, 82, 138], [90, 0, 150, 140], [30, 80, 60, 130], [25, 70, 60, 135]]
    )
    torsos = torch.stack([torso, torso + 1, torso + 70, torso / 4 + 60, torso / 3 + 40])
    scores = torch.tensor([0.95, 0.9, 0.85, 0.55, 0.8])
    frame = torch.zeros(5, dtype=torch.int64)
    assert distinct(frame, boxes, scores) == distinct(frame, boxes, scores, torsos) == [0, 2, 4]
    assert distinct(torch.arange(5), boxes, scores, torsos) == [0, 1, 2, 4, 3], "of different frames"


def test_two_boxes_about_one_torso_are_one_person():
    torso = torch.tensor([[40.0, 20.0], [60.0, 20.0], [42.0, 60.0], [58.0, 60.0]])
    boxes = torch.tensor([[20.0, 0, 80, 100], [20, 40, 80, 140]])  # down to the knees; from the chest on
    scores = torch.tensor([0.9, 0.8])
    frame = torch.zeros(2, dtype=torch.int64)
    assert distinct(frame, boxes, scores) == [0, 1]
    assert distinct(frame, boxes, scores, torch.stack([torso, torso + 1])) == [0]


def test_a_box_reaches_to_the_points_that_were_seen(detector):
    image = blank(640, 480)
    truth = draw_person(image, 320, 60, 360)
    looks = detector._observe_twice(frames(image), search(detector.movenet, frames(image), [0], 256, 0.3)[:1])
    upper = truth.clone()[None]
    upper[:, 3] = 240
    assert stretched(upper, looks)[0, 3] > 0.9 * truth[3]
    dim = replace(looks, seen=replace(looks.seen, heatmaps=torch.zeros_like(looks.seen.heatmaps)))
    assert torch.equal(stretched(upper, dim), upper)


def test_a_square_that_shows_somebody_badly_is_replaced(detector):
    image = blank(480, 480)
    boxes = draw_person(image, 240, 40, 400)[None]
    about = squares_around(boxes, 1.25)
    upside_down = replace(about, angle_rad=about.angle_rad + torch.pi)
    better = detector.better_observed(frames(image), FIRST, boxes, upside_down)
    assert abs(better.crops.squares.angle_rad.item()) < 0.3
    assert better.confidence > detector._observe(frames(image), FIRST, upside_down).confidence
    nobody = torch.tensor([[5.0, 300, 60, 470]])
    elsewhere = squares_around(nobody, 1.25)
    kept = detector.better_observed(frames(image), FIRST, nobody, elsewhere).crops.squares
    assert torch.equal(kept.center_px, elsewhere.center_px)


def test_a_good_square_of_a_given_box_is_kept(detector):
    image = blank(480, 480)
    boxes = draw_person(image, 240, 40, 400)[None]
    looks = detector._observe_twice(frames(image), search(detector.movenet, frames(image), [0], 256, 0.3)[:1])
    again = detector.better_observed(frames(image), FIRST, boxes, looks.crops.squares)
    assert torch.equal(again.crops.squares.center_px, looks.crops.squares.center_px)


def test_who_lies_is_found_with_the_photo_turned(detector):
    image = blank(480, 480)
    x0, y0, x1, y1 = draw_person(image, 240, 40, 400).tolist()
    upright = detector._in_box(frames(image), FIRST, torch.tensor([[x0, y0, x1, y1]]), 0)
    lying = as_photo(image).rot90(-1, (1, 2))  # clockwise: (x, y) goes to (480 - y, x)
    found = detector._in_box(Frames((lying,)), FIRST, torch.tensor([[480 - y1, x0, 480 - y0, x1]]), 1)
    assert len(upright) == len(found) == 1 and abs(upright.scores - found.scores) < 0.02
    x, y = upright.points_px[0].unbind(-1)
    assert (found.points_px[0] - torch.stack([480 - y, x], -1)).norm(dim=-1).max() < 3
    left, top, right, bottom = upright.boxes[0].tolist()
    assert (found.boxes[0] - torch.tensor([480 - bottom, left, 480 - top, right])).abs().max() < 3


def test_frames_of_a_batch_give_what_they_give_alone(detector):
    images = [blank(640, 480), blank(480, 480), blank(9, 7), blank(640, 480), blank(900, 500)]
    draw_person(images[0], 320, 60, 360)
    for x, top, height in ((200, 60, 400), (480, 90, 350)):
        draw_person(images[4], x, top, height)
    batch = Frames(tuple(as_photo(image) for image in images))
    found = detector(batch)
    assert found.frame.tolist() == [0, 4, 4]
    for row, image in ((slice(0, 1), images[0]), (slice(1, 3), images[4])):
        alone = detector(frames(image))
        assert torch.allclose(found[row].boxes, alone.boxes, atol=0.05)
        assert torch.allclose(found[row].pose.points_px, alone.pose.points_px, atol=0.05)
    assert detector(batch, which=[1, 2, 3]).boxes.shape == (0, 4)
