"""Each metric against numbers worked out by hand."""

import math

import pytest
import torch

from limner.body.keypoints import COCO17
from limner.evaluate import metrics
from limner.geometry.rotation import rotation_from_axis_angle

INDEX = {name: i for i, name in enumerate(COCO17)}


def person(**points: tuple[float, float]) -> tuple[torch.Tensor, torch.Tensor]:
    """COCO points by name, others unlabelled."""
    target, valid = torch.zeros(1, 17, 2), torch.zeros(1, 17, dtype=torch.bool)
    for name, xy in points.items():
        target[0, INDEX[name]], valid[0, INDEX[name]] = torch.tensor(xy), True
    return target, valid


def standing() -> torch.Tensor:
    """A plain person seen from the front: the left side is on the right of the picture."""
    y = {"nose": 0, "eye": 0, "ear": 0, "shoulder": 20, "elbow": 40, "wrist": 60, "hip": 60, "knee": 90, "ankle": 120}
    points = torch.zeros(1, 17, 2)
    for name, i in INDEX.items():
        x = 20.0 if name.startswith("left") else -20.0 if name.startswith("right") else 0.0
        points[0, i] = torch.tensor([x, y[name.split("_")[-1]]])
    return points


def test_a_point_is_right_up_to_the_threshold_and_wrong_beyond_or_without_a_number():
    prediction = torch.tensor([[[2.0, 0.0], [0.0, 2.1], [math.nan, 0.0]]])
    hits = metrics.pck_hits(prediction, torch.zeros(1, 3, 2), torch.tensor([10.0]), 0.2)
    assert hits.tolist() == [[True, False, False]]
    assert not metrics.pck_hits(torch.zeros(1, 3, 2), torch.zeros(1, 3, 2), torch.tensor([math.nan]), 0.2).any()


def test_the_torso_is_the_mean_diagonal():
    target, valid = person(left_shoulder=(3, 0), right_shoulder=(0, 0), left_hip=(3, 4), right_hip=(0, 4))
    assert metrics.torso_length(target, valid).item() == pytest.approx(5.0)
    target, valid = person(left_shoulder=(6, 0), right_hip=(0, 8), left_hip=(6, 9))
    assert metrics.torso_length(target, valid).item() == pytest.approx(10.0)  # the one labelled diagonal
    target, valid = person(left_shoulder=(6, 0), left_hip=(6, 9))
    assert metrics.torso_length(target, valid).item() == pytest.approx(9.0)  # no diagonal: the side
    target, valid = person(left_shoulder=(6, 0), right_shoulder=(0, 0))
    assert metrics.torso_length(target, valid).isnan().all()


def test_reference_lengths_of_boxes():
    boxes = torch.tensor([[10.0, 20.0, 13.0, 24.0]])
    assert metrics.box_diagonal(boxes).item() == 5


def test_the_mean_error_leaves_out_what_is_not_labelled():
    prediction, target = torch.tensor([[[3.0, 4.0], [100.0, 0.0], [0.0, 1.0]]]), torch.zeros(1, 3, 2)
    assert metrics.mean_error(prediction, target, torch.tensor([[True, False, True]])).item() == pytest.approx(3.0)
    assert metrics.mean_error(prediction, target, torch.zeros(1, 3, dtype=torch.bool)).isnan().all()


def test_the_nme_is_in_distances_of_the_outer_eye_corners():
    target = torch.zeros(1, 68, 2)
    target[0, 36], target[0, 45] = torch.tensor([0.0, 0.0]), torch.tensor([30.0, 40.0])
    prediction = target + torch.tensor([3.0, 4.0])
    assert metrics.nme(prediction, target).item() == pytest.approx(5 / 50)


def test_a_person_with_sides_exchanged_is_flipped_and_one_moved_is_not():
    target, valid = standing(), torch.ones(1, 17, dtype=torch.bool)
    torso = metrics.torso_length(target, valid)
    exchanged = metrics.swapped(target, metrics.LIMB_PAIRS)
    assert metrics.flipped(exchanged, target, valid, torso).item()
    assert not metrics.flipped(target + 15, target, valid, torso).item()
    legs = metrics.swapped(target, metrics.LEGS)
    assert metrics.flipped(legs, target, valid, torso, metrics.LEGS).item()
    assert not metrics.flipped(legs, target, valid, torso, metrics.ARMS).item()
    # half the pairs exchanged: exchanging all of them gains nothing
    assert not metrics.flipped(legs, target, valid, torso).item()


def test_a_person_seen_from_the_side_is_not_flipped_for_a_pixel():
    target, valid = standing(), torch.ones(1, 17, dtype=torch.bool)
    target[..., 0] /= 20  # left and right two pixels apart
    torso = metrics.torso_length(target, valid)
    exchanged = metrics.swapped(target, metrics.LIMB_PAIRS)
    assert not metrics.flipped(exchanged, target, valid, torso).item()
    assert metrics.flipped(exchanged, target, valid, torso, least_gain=0.0).item()


def test_joints_without_their_partner_do_not_decide_on_flips():
    target, valid = standing(), torch.zeros(1, 17, dtype=torch.bool)
    valid[0, INDEX["left_hip"]] = valid[0, INDEX["right_knee"]] = True
    exchanged = metrics.swapped(target, metrics.LIMB_PAIRS)
    assert not metrics.flipped(exchanged, target, valid, torch.tensor([50.0])).item()


def test_mpjpe_forgives_a_shift_and_pa_mpjpe_a_similarity():
    target = torch.randn(2, 9, 3, generator=torch.Generator().manual_seed(0))
    assert metrics.mpjpe(target + 5, target).amax() < 1e-5
    assert metrics.mpjpe(target + torch.tensor([3.0, 4.0, 0.0]), target, None) == pytest.approx([5.0, 5.0], abs=1e-5)
    turn = rotation_from_axis_angle(torch.tensor([[0.3, 2.0, -1.0], [1.0, 0.0, 0.4]]))
    moved = 1.7 * target @ turn.mT + 2
    assert metrics.pa_mpjpe(moved, target).amax() < 1e-5
    assert metrics.pa_mpjpe(target * torch.tensor([-1.0, 1.0, 1.0]), target).amin() > 0.05  # a mirror is no rotation


def test_pa_mpjpe_of_a_known_residual():
    # two equal crosses, one with an arm's end moved out of their plane along its symmetry axis: worked out by hand, the
    # best similarity of (+-1, 0, 0), (0, +-1, 0) to the same points times (1, 2) keeps axes, scale (2 + 4) / 4 = 1.5
    cross = torch.tensor([[[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]]])
    stretched = cross * torch.tensor([1.0, 2.0, 1.0])
    assert metrics.pa_mpjpe(cross, stretched).item() == pytest.approx(0.5)


def test_scaling_makes_the_bones_as_long_as_the_truth_whatever_the_pose():
    straight = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]])
    bent = torch.tensor([[[0.0, 0, 0], [3, 0, 0], [3, 3, 0]]])
    scaled = metrics.scaled_to(bent, straight, ((0, 1), (1, 2)))
    assert torch.allclose(scaled, bent / 3)


def test_a_ratio_of_sums_weighs_people_by_what_they_have_and_resamples_groups():
    right, labelled = torch.tensor([1.0, 9.0, 0.0]), torch.tensor([1.0, 10.0, 0.0])
    estimate = metrics.ratio_of_sums(right, labelled, ["a", "b", "c"])
    assert estimate.value == pytest.approx(10 / 11) and estimate.people == 2
    assert estimate.low == pytest.approx(0.9) and estimate.high == pytest.approx(1.0)
    one_group = metrics.ratio_of_sums(right, labelled, ["a", "a", "a"])
    assert one_group.low == one_group.high == pytest.approx(10 / 11)


def test_the_interval_is_the_binomial_one_for_independent_people():
    right = (torch.arange(400) % 4 == 0).float()
    estimate = metrics.ratio_of_sums(right, torch.ones(400), [str(i) for i in range(400)])
    half = 1.96 * math.sqrt(0.25 * 0.75 / 400)
    assert estimate.high - estimate.low == pytest.approx(2 * half, rel=0.15)


def test_nothing_to_score_has_no_value():
    nothing = metrics.ratio_of_sums(torch.zeros(2), torch.zeros(2), ["a", "b"])
    assert math.isnan(nothing.value) and nothing.people == 0
    assert math.isnan(metrics.ratio_of_sums(torch.zeros(0), torch.zeros(0), []).value)


def test_each_true_box_is_matched_once_best_found_box_first():
    overlap = torch.tensor([[0.6, 0.8], [0.9, 0.9], [0.7, 0.4], [0.4, 0.4]])
    assert metrics.match_boxes(overlap) == [(0, 1), (1, 0)]
    assert metrics.match_boxes(torch.zeros(0, 3)) == []
