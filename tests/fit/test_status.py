"""Status: what may be believed, and what a person would laugh at."""

import torch

from limner.fit.points import KeypointLayer
from limner.fit.records import SCORES
from limner.fit.status import reprojections, status_of, usable
from tests.fit.made import exact_targets, people


def good_scores(count):
    return {name: torch.zeros(count) for name in SCORES}


def test_each_kind_of_monster_has_its_word(body):
    params, _ = people(body.keypoints_only(), 6)
    scores = good_scores(6)
    scores["reprojection"][1] = 0.2
    scores["shape_surprise"][2] = 4.0
    scores["pose_surprise"][3] = 400.0
    scores["penetration_m"][4] = 0.5
    far = params.replace(transl=params.transl * torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 100.0])[:, None])
    status = status_of(far, scores)
    assert status[0] == "fitted"
    words = ("off by 20.0 %", "4.0 standard deviations", "far from all known", "50 cm inside", "m from the camera")
    for one, word in zip(status[1:], words, strict=True):
        assert one.startswith("implausible: ") and word in one


def test_reprojection_is_zero_at_the_truth_and_scored_by_part(body):
    model = body.keypoints_only()
    params, camera = people(model, 2)
    targets = exact_targets(model, params, camera)
    points = KeypointLayer(model)(params).points
    assert float(reprojections(points, targets)["reprojection"].max()) < 1e-5
    hands_only = torch.zeros_like(targets.confidence)
    hands_only[:, 25:40] = 1
    some = type(targets)(targets.keypoints_px + 5, hands_only, camera, targets.boxes)
    scores = reprojections(points, some)
    assert scores["reprojection_face"].isnan().all() and (scores["reprojection_left_hand"] > 0.005).all()
    assert usable(some) == ["no confident torso"] * 2
