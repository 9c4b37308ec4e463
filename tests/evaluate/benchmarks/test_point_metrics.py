"""Metrics against hand-computed numbers, and self-checks that catch what is wrong."""

from dataclasses import replace

import pytest
import torch

from limner.evaluate.benchmarks.point_metrics import (
    AreaUnderPck,
    FScore,
    MeanError,
    PointError,
    SelfCheckError,
)
from limner.evaluate.person_points import NotComparable, PersonPoints, grown, shifted

SQUARE = torch.tensor([[0.0, 0, 2], [1, 0, 2], [1, 1, 2], [0, 1, 2]])
TRUTH = PersonPoints(vertices=SQUARE)


def first(prediction: PersonPoints) -> torch.Tensor:
    return prediction.mesh()[:1]


def test_without_alignment_by_hand():
    metric = PointError("error", lambda prediction: prediction.mesh(), "none")
    prediction = replace(TRUTH, vertices=SQUARE + torch.tensor([[0.0, 0, 0], [0, 0, 0.01], [0.03, 0, 0.04], [0, 0, 0]]))
    assert metric(prediction, TRUTH).values["error"] == pytest.approx((0 + 10 + 50 + 0) / 4, abs=1e-3)


def test_from_the_root_by_hand():
    metric = PointError("error", lambda prediction: prediction.mesh(), "root", first)
    assert metric.value(shifted(TRUTH, 500.0), TRUTH) == pytest.approx(0, abs=1e-3)
    # the root off by 10 mm: every other point is off by 10 mm
    prediction = replace(TRUTH, vertices=SQUARE + torch.tensor([[0.01, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]))
    assert metric.value(prediction, TRUTH) == pytest.approx(7.5, abs=1e-3)


def test_after_similarity_by_hand():
    metric = PointError("error", lambda prediction: prediction.mesh(), "similarity")
    assert metric.value(grown(shifted(TRUTH, 70.0), 3.0), TRUTH) == pytest.approx(0, abs=1e-3)
    # a square whose corners go up and down by h in turn: nothing but a smaller scale helps a little:
    # s = a / (a + h^2) with a = |corner|^2 = 1/2, so the distance is sqrt((1 - s)^2 a + s^2 h^2)
    h, a = 0.1, 0.5
    bent = SQUARE + torch.tensor([[0.0, 0, h], [0, 0, -h], [0, 0, h], [0, 0, -h]])
    s = a / (a + h * h)
    by_hand = ((1 - s) ** 2 * a + s**2 * h**2) ** 0.5
    assert metric.value(replace(TRUTH, vertices=bent), TRUTH) == pytest.approx(1000 * by_hand, rel=1e-4)


def test_the_mean_of_two_hands():
    left = PointError("left", lambda prediction: prediction.mesh()[:2], "none")
    right = PointError("right", lambda prediction: prediction.mesh()[2:], "none")
    both = MeanError("hands", (left, right))
    prediction = replace(
        TRUTH, vertices=SQUARE + torch.tensor([[0.01, 0, 0], [0.01, 0, 0], [0, 0.03, 0], [0, 0.03, 0]])
    )
    assert both(prediction, TRUTH).values == {"hands": pytest.approx(20, abs=1e-3)}


def test_f_score_and_area_of_a_known_answer():
    points = torch.randn(21, 3, generator=torch.Generator().manual_seed(0)) * 0.05
    target = PersonPoints(joints=points, joint_names=tuple(map(str, range(21))))
    moved = grown(shifted(target, 30.0), 0.5)
    for metric in (FScore("f", lambda a: a.joints, 5.0), AreaUnderPck("a", lambda a: a.joints)):
        metric.check(target)
        assert metric(moved, target).values[metric.name] == pytest.approx(1.0, abs=0.006)
        wrong = replace(target, joints=points.flip(0))
        assert metric(wrong, target).values[metric.name] < 0.6


def test_every_alignment_passes_its_own_check():
    for align, root in (("none", None), ("root", first), ("similarity", None)):
        PointError("error", lambda prediction: prediction.mesh(), align, root).check(TRUTH)


def test_a_root_that_does_not_move_with_the_body_is_caught():
    # regressor rows that do not sum to one, as those of another model
    def wrong_root(prediction: PersonPoints) -> torch.Tensor:
        return 0.7 * prediction.mesh()[:1]

    with pytest.raises(SelfCheckError, match="10 mm aside scores 3.0000"):
        PointError("V2V", lambda prediction: prediction.mesh(), "root", wrong_root).check(TRUTH)


def test_points_in_millimetres_are_caught_where_they_stand():
    def in_millimetres(prediction: PersonPoints) -> torch.Tensor:
        return 1000 * prediction.mesh()

    with pytest.raises(SelfCheckError, match="expected 10.0000"):
        PointError("error", in_millimetres, "none").check(TRUTH)


def test_other_vertices_are_not_compared():
    metric = PointError("V2V", lambda prediction: prediction.mesh(4), "similarity")
    with pytest.raises(NotComparable, match="the mesh has 9 vertices, the truth 4.*bring SMPL-X"):
        metric(PersonPoints(vertices=torch.zeros(9, 3)), TRUTH)
    with pytest.raises(NotComparable, match="no mesh"):
        metric(PersonPoints(), TRUTH)
    with pytest.raises(NotComparable, match="no joint called neck"):
        PersonPoints(joints=torch.zeros(1, 3), joint_names=("head",)).named(("neck",))
