"""Are cells where the graph wants them, faces decoded to where they are, and is nothing seen where no face is?"""

import pytest
import torch

from limner.geometry.box import squares_around
from limner.geometry.warp import crop
from limner.networks.blaze.face_detector import CROP_SIZE, FACE_POINTS, BlazeFaceDetector, decode_faces
from tests.networks.figures import as_photo, blank, draw_person


@pytest.fixture(scope="module")
def faces():
    return BlazeFaceDetector.load()


def test_decode_adds_the_cell_row_by_row():
    scores, boxes = torch.full((2304,), -9.0), torch.zeros(2304, 16)
    cell = 2 * 48 + 5
    scores[cell] = 2.0
    boxes[cell] = torch.tensor([0.0, 4, 20, 10] + [0.0, 0, 8, 0] + [0.0] * 8)
    found = decode_faces(scores, boxes, 0.5)
    x, y = 5.5 * 4, 2.5 * 4
    assert len(found) == 1 and found.scores[0] == pytest.approx(0.8808, abs=1e-4)
    torch.testing.assert_close(found.boxes[0] * CROP_SIZE, torch.tensor([x - 10, y - 1, x + 10, y + 9]))
    torch.testing.assert_close(found.points[0, 1] * CROP_SIZE, torch.tensor([x + 8, y]))


def test_face_of_a_drawn_person_is_found(faces):
    image = blank(400, 400)
    draw_person(image, 180, 60, 900)  # the head is 112 px high
    square = squares_around(torch.tensor([[0.0, 0.0, 400.0, 400.0]]), 1.0)
    with torch.inference_mode():
        (found,) = faces.detect(crop(as_photo(image), square, CROP_SIZE).pixels)
    assert len(found) == 1
    x0, y0, x1, y1 = (found.boxes[0] * 400).tolist()
    assert x0 < 180 < x1 and y0 < 125 < y1 and 40 < x1 - x0 < 130
    points = dict(zip(FACE_POINTS, (found.points[0] * 400).tolist(), strict=True))
    assert points["right_eye"][0] < 180 < points["left_eye"][0], "the person's own sides"
    assert points["left_eye"][1] < points["mouth"][1]


def test_nobody_gives_an_empty_record_for_each_picture(faces):
    with torch.inference_mode():
        found = faces.detect(torch.full((2, 3, CROP_SIZE, CROP_SIZE), 0.5))
    assert [len(f) for f in found] == [0, 0]
    assert found[0].points.shape == (0, 6, 2)
