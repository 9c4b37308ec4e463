"""Scores move the right way: blur, cut-off, disagreement, verdicts."""

import math
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from limner.body.model import BodyModel
from limner.curate.score import BOUNDS, Bound, blur, judge
from limner.fit.records import FITTED, Fits
from limner.geometry.rotation import rotation_from_axis_angle
from limner.io.image import read_photo
from tests.curate.fakes import seen_people

PHOTOS = Path(__file__).parents[2] / "src" / "limner" / "assets" / "photos"


def fits_of(seen, params=None, verdicts=None, **scores: list[float]) -> Fits:
    count = len(seen)
    return Fits(
        seen.estimate if params is None else params,
        seen.targets.camera,
        torch.zeros(count),
        verdicts or (FITTED,) * count,
        {name: torch.tensor(values) for name, values in scores.items()},
    )


def test_bounds_run_from_fine_to_useless_either_way():
    rising, falling = Bound(1.0, 3.0), Bound(100.0, 50.0)
    assert rising.share(torch.tensor([0.0, 1.0, 2.0, 9.0, math.nan])).tolist() == [1, 1, 0.5, 0, 1]
    assert falling.share(torch.tensor([200.0, 75.0, 10.0])).tolist() == [1, 0.5, 0]


def test_a_good_fit_is_good_and_a_wrong_hand_is_named(body: BodyModel):
    seen = seen_people(body, 2)
    judged = judge(body, seen, fits_of(seen, reprojection_body=[0.005, 0.005], reprojection_left_hand=[0.002, 0.04]))
    assert judged.quality[0] > 0.9 and judged.flags[0] == ()
    assert judged.quality[1] < 0.4 and judged.flags[1] == ("reprojection_left_hand",)


def test_who_was_not_fitted_has_no_quality(body: BodyModel):
    seen = seen_people(body, 2)
    judged = judge(body, seen, fits_of(seen, verdicts=("not fitted: no confident torso", FITTED)))
    assert judged.quality[0] == 0 and judged.quality[1] > 0.9


def test_agreement_is_measured_from_the_pelvis(body: BodyModel):
    seen = seen_people(body, 2)
    moved = seen.estimate.replace(transl=seen.estimate.transl + 1.0)
    turn = rotation_from_axis_angle(torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.2]]))
    bent = moved.with_joint_pose("left_shoulder", turn @ moved.joint_pose("left_shoulder"))
    agreement = judge(body, seen, fits_of(seen, bent)).scores["agreement_mm"]
    assert agreement[0] < 1e-2 and agreement[1] > 50


def test_people_cut_off_small_or_unseen_are_named(body: BodyModel):
    seen = seen_people(body, 1)
    cut = seen.estimate.replace(transl=seen.estimate.transl + torch.tensor([0.0, 1.8, 0.0]))
    assert judge(body, seen, fits_of(seen)).scores["cut_off"] == 0
    judged = judge(body, seen, fits_of(seen, cut))
    assert judged.scores["cut_off"] > 0.4 and "cut_off" in judged.flags[0]
    far = replace(seen, targets=replace(seen.targets, boxes=torch.tensor([[0.0, 0.0, 20.0, 45.0]])))
    assert "height_px" in judge(body, far, fits_of(far)).flags[0]
    unseen = replace(seen, targets=replace(seen.targets, confidence=seen.targets.confidence * 0.1))
    assert judge(body, unseen, fits_of(unseen)).quality[0] == 0


def test_a_blurred_photo_is_told_from_a_sharp_one_at_any_size():
    photo = read_photo(PHOTOS / "eileen_collins.jpg").pixels
    box = torch.tensor([60.0, 10.0, 440.0, 510.0])
    measured = [blur(blurred(photo, sigma), box) for sigma in (0.0, 1.0, 2.0, 4.0)]
    assert measured == sorted(measured)
    assert measured[0] < 0.4 and BOUNDS["blur"].share(torch.tensor(measured)).tolist()[0] == 1
    assert measured[3] > 0.8  # no face can be told any more
    large = interpolate(photo[None].float(), scale_factor=3.0, mode="bicubic")[0].clamp(0, 255).to(torch.uint8)
    assert blur(large, 3 * box) == pytest.approx(measured[0], abs=0.1)  # sharp at the size that counts
    assert math.isnan(blur(photo, torch.tensor([5000.0, 500.0, 6000.0, 600.0])))


def blurred(photo: Tensor, sigma: float) -> Tensor:
    if not sigma:
        return photo
    return torch.from_numpy(cv2.GaussianBlur(photo.permute(1, 2, 0).numpy(), (0, 0), sigma)).permute(2, 0, 1)


def test_nobody_gives_nothing(body: BodyModel):
    nobody = seen_people(body, 1)[:0]
    judged = judge(body, nobody, fits_of(nobody))
    assert len(judged) == 0 and judged.quality.shape == (0,)


@pytest.mark.parametrize("name", BOUNDS)
def test_every_bound_belongs_to_a_score(body: BodyModel, name: str):
    from limner.fit.records import Fits as record

    seen = seen_people(body, 1)
    assert name in judge(body, seen, fits_of(seen)).scores or name in (record.__doc__ or "")
