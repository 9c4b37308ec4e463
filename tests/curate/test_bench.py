"""The bench without a browser: pictures of the right place, edits that can be."""

import io

import numpy as np
import pytest
from PIL import Image

from limner.body.keypoints import KEYPOINT_NAMES
from limner.curate.bench import GROUPS, POINTS, Bench, EditError

NOSE = KEYPOINT_NAMES.index("nose")


def pixels(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg))).astype(float)


def test_pictures_show_what_the_views_say(bench: Bench):
    views = bench.person(1)["views"]
    assert views.keys() == GROUPS.keys()
    for name, view in views.items():
        plain, drawn = pixels(bench.picture(1, name, False)), pixels(bench.picture(1, name, True))
        assert plain.shape == drawn.shape == (view["shown"][1], view["shown"][0], 3)
        changed = np.abs(plain - drawn).max(-1) > 40
        assert changed.any(), name
        # the points lie on the mesh, or at its edge
        x, y, *_ = np.array(bench.person(1)["points"])[POINTS["groups"][name]].T
        column = ((x - view["left"]) * view["scale"]).astype(int).clip(0, view["shown"][0] - 1)
        row = ((y - view["top"]) * view["scale"]).astype(int).clip(0, view["shown"][1] - 1)
        near = [changed[max(0, r - 9) : r + 10, max(0, c - 9) : c + 10].any() for r, c in zip(row, column, strict=True)]
        assert np.mean(near) > 0.9, name
    assert pixels(bench.picture(1, "side", True)).shape == (640, 400, 3)


def test_a_moved_point_moves_the_fit_and_only_that_view(bench: Bench):
    before = bench.person(1)
    x, y, *_ = before["points"][NOSE]
    after = bench.move_points(1, 0, {NOSE: (x + 15, y, 1.0)}, "Anna")
    assert after["fit"][NOSE][0] > before["fit"][NOSE][0] + 3 and after["version"] == 1
    assert after["history"][0]["action"] == "moved nose"
    assert bench.move_points(1, 1, {NOSE: (x, y, 0.0)}, "Anna")["history"][0]["action"] == "hid nose"


@pytest.mark.parametrize(
    "edits", [{}, {144: (1.0, 1.0, 1.0)}, {0: (float("nan"), 1.0, 1.0)}, {0: (9e9, 1.0, 1.0)}, {0: (1.0, 1.0, 7.0)}]
)
def test_points_that_cannot_be_are_refused(bench: Bench, edits: dict[int, tuple[float, float, float]]):
    with pytest.raises(EditError):
        bench.move_points(1, 0, edits, "Anna")
    assert bench.person(1)["version"] == 0
