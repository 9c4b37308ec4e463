"""The whole flow gives the results that it gave: vertices within 1 mm and points within 0.2 px.

Another processor's rounding tips the refinement of a few people (four of 77 here) into a neighbouring minimum: a tenth
of them may move further, but never as far as anybody would see.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from limner.estimator import Estimator
from tests.golden import NUMBERS, Case, bundled_cases, numbers, shared_cases

USUAL_M, USUAL_PX, USUAL_SHARE = 0.001, 0.2, 0.9
MOST_M, MOST_PX = 0.1, 2.0


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator.load()


def moved(estimator: Estimator, cases: Iterable[Case]) -> np.ndarray:
    """How far each person has moved, "N 2": metres (largest of the vertices), pixels (largest of the points)."""
    rows = []
    with np.load(NUMBERS) as golden:
        for case in cases:
            now = numbers(estimator(case.photo, case.boxes))
            then = {key: golden[f"{case.name}.{key}"] for key in now}
            assert len(now["points_px"]) == len(then["points_px"]), f"{case.name}: other people"
            apart = [np.linalg.norm(now[key] - then[key], axis=-1).max(1) for key in ("vertices", "points_px")]
            rows.append(np.stack(apart, -1))
    return np.concatenate(rows)


def check(apart: np.ndarray) -> None:
    usual = (apart <= (USUAL_M, USUAL_PX)).all(1)
    assert usual.mean() >= USUAL_SHARE, apart[~usual]
    assert (apart <= (MOST_M, MOST_PX)).all(), apart.max(0)


def test_bundled_photos(estimator: Estimator) -> None:
    check(moved(estimator, bundled_cases()))


def test_photos_of_the_shared_data(estimator: Estimator, shared: Path) -> None:
    check(moved(estimator, shared_cases(shared)))
