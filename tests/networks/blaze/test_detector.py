"""Are anchors where the graph wants them, and detections decoded to where people are?"""

import pytest
import torch

from limner.geometry.box import squares_around
from limner.geometry.warp import crop
from limner.networks.blaze.detector import BlazeDetector, anchor_centers, decode
from tests.networks.figures import as_photo, blank, draw_person


@pytest.fixture(scope="module")
def detector():
    return BlazeDetector.load()


def test_anchors_lie_at_cell_centres_row_by_row():
    centers = anchor_centers()
    assert centers.shape == (2254, 2)
    first = torch.tensor([[0.5, 0.5], [0.5, 0.5], [1.5, 0.5], [1.5, 0.5]]) / 28
    torch.testing.assert_close(centers[:4], first)
    assert torch.allclose(centers[1568], torch.tensor([0.5 / 14] * 2))
    assert torch.allclose(centers[-1], torch.tensor([6.5 / 7] * 2))


def test_decode_adds_the_anchor_and_scales_by_the_input():
    scores, boxes = torch.full((2254,), -9.0), torch.zeros(2254, 12)
    scores[1568] = 2.0
    boxes[1568] = torch.tensor([22.4, 0, 44.8, 22.4, 0, 112, 0, 0, 0, 0, -22.4, 0])
    found = decode(scores, boxes, 0.5)
    start = 0.5 / 14
    assert len(found) == 1 and found.scores[0] == pytest.approx(0.8808, abs=1e-4)
    expected = torch.tensor([start, start - 0.05, start + 0.2, start + 0.05])
    torch.testing.assert_close(found.faces[0], expected)
    torch.testing.assert_close(found.points[0, 0], torch.tensor([start, start + 0.5]))
    torch.testing.assert_close(found.points[0, 3], torch.tensor([start - 0.1, start]))


def test_points_of_a_drawn_person_lie_on_hips_and_head(detector):
    image = blank(480, 480)
    truth = draw_person(image, 200, 60, 360)
    square = squares_around(torch.tensor([[0.0, 0.0, 480.0, 480.0]]), 1.0)
    with torch.inference_mode():
        (found,) = detector.detect(crop(as_photo(image), square, 224).pixels)
    assert len(found) == 1 and found.scores[0] > 0.8
    hips, top, shoulders, _ = found.points[0] * 480
    assert (hips - torch.tensor([200.0, 240.0])).norm() < 40
    assert (shoulders - torch.tensor([200.0, 135.0])).norm() < 30
    assert abs(top[0] - 200) < 40 and top[1] < truth[1] + 30
    radius = (top - hips).norm()
    assert radius > 0.9 * (truth[3] - hips[1]), "the circle about the hips reaches the feet"


def test_nobody_gives_an_empty_record_for_each_picture(detector):
    with torch.inference_mode():
        found = detector.detect(torch.full((2, 3, 224, 224), 0.5))
    assert [len(f) for f in found] == [0, 0]
    assert found[0].points.shape == (0, 4, 2)
