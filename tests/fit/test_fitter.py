"""The whole fit: finds people again, says who cannot be fitted, mirrors, swaps, and never calls a monster fitted."""

import pytest
import torch

from limner.fit.fitter import FitOptions, Fitter
from limner.fit.records import ARMS, LEGS, SCORES, FitTargets, swapped_targets
from limner.fit.search import mean_hypotheses
from limner.geometry.rotation import rotation_from_axis_angle
from limner.records import join
from tests.fit.made import exact_targets, people

QUICK = FitOptions(views=4, extra=0, kept=2, finalists=1)


@pytest.fixture(scope="module")
def fitter(body):
    return Fitter(body, QUICK)


@pytest.fixture(scope="module")
def scene(fitter):
    params, camera = people(fitter.model, 3)
    return params, exact_targets(fitter.model, params, camera)


@pytest.fixture(scope="module")
def alone(fitter, scene):
    return fitter(scene[1])


def joints_off_mm(fitter, said, true):
    a, b = (fitter.model.joints(p) for p in (said, true))
    return 1000 * ((a - a[:, :1]) - (b - b[:, :1])).norm(dim=-1).mean(1)


def test_finds_people_from_typical_poses(fitter, scene, alone):
    true, _ = scene
    assert alone.status == ("fitted",) * 3 and alone.fitted.all()
    assert (alone.scores["reprojection"] < 0.006).all()
    assert (joints_off_mm(fitter, alone.params, true) < 40).all()
    assert set(alone.scores) == set(SCORES) and (alone.scores["swapped"] == 0).all()


def test_an_estimate_is_a_better_start(fitter, scene, alone):
    true, targets = scene
    turn = rotation_from_axis_angle(0.15 * torch.randn(3, 21, 3, generator=torch.Generator().manual_seed(3)))
    start = true.replace(body_pose=true.body_pose @ turn, betas=torch.zeros_like(true.betas))
    near = fitter(targets, start)
    assert near.status == ("fitted",) * 3
    assert joints_off_mm(fitter, near.params, true).mean() < joints_off_mm(fitter, start, true).mean() / 2


def test_mirrored_points_give_the_mirrored_person(body, scene):
    _, targets = scene
    sides = tuple({*ARMS, *LEGS})
    mirrored = swapped_targets(targets, tuple(name for name in all_names()))
    width = 2 * targets.camera.center_px[:, :1]
    points = mirrored.keypoints_px * torch.tensor([-1.0, 1.0]) + torch.stack([width, 0 * width], -1)
    # the jaw line's rows and the face's triangles are not exactly symmetric: limbs alone
    confidence = torch.zeros_like(mirrored.confidence)
    confidence[:, [all_names().index(name) for name in sides]] = 1
    plain = FitTargets(targets.keypoints_px, confidence, targets.camera, targets.boxes)
    flipped = FitTargets(points, confidence, targets.camera, targets.boxes)
    straight = Fitter(body, FitOptions(views=4, extra=0, kept=2, finalists=1, try_swaps=False))
    one, two = straight(plain), straight(flipped)
    assert torch.allclose(one.scores["reprojection"], two.scores["reprojection"], atol=3e-3)


def all_names():
    from limner.body.keypoints import KEYPOINT_NAMES

    return list(KEYPOINT_NAMES)


def test_who_cannot_be_fitted_is_named_and_disturbs_nobody(fitter, scene, alone):
    _, targets = scene
    blank = FitTargets(targets.keypoints_px, torch.zeros_like(targets.confidence), targets.camera, targets.boxes)
    lost = FitTargets(
        torch.full_like(targets.keypoints_px, torch.nan), targets.confidence, targets.camera, targets.boxes
    )
    heap = FitTargets(torch.full_like(targets.keypoints_px, 300.0), targets.confidence, targets.camera, targets.boxes)
    flat = FitTargets(targets.keypoints_px, targets.confidence, targets.camera, torch.zeros(3, 4))
    mixed = join([blank[:1], lost[:1], targets, heap[:1], flat[:1]])
    fits = fitter(mixed)
    assert fits.status[0] == fits.status[1] == "not fitted: no confident torso"
    assert fits.status[2:5] == ("fitted",) * 3
    assert fits.status[5] == "not fitted: all keypoints in one place"
    assert fits.status[6] == "not fitted: an empty box"
    assert torch.isfinite(fits.params.full_pose()).all() and torch.isinf(fits.objective[[0, 1, 5, 6]]).all()
    assert torch.allclose(fits.scores["reprojection"][2:5], alone.scores["reprojection"], atol=2e-3)


def test_some_nan_points_are_points_that_are_not_there(fitter, scene):
    _, targets = scene
    points = targets.keypoints_px.clone()
    points[:, 30:40] = torch.nan
    fits = fitter(FitTargets(points, targets.confidence, targets.camera, targets.boxes))
    assert fits.status == ("fitted",) * 3 and (fits.scores["points"] == 134).all()


def test_exchanged_limbs_are_noticed(fitter, scene):
    true, targets = scene
    fits = fitter(swapped_targets(targets[:1], ARMS + LEGS))
    assert fits.status == ("fitted",) and float(fits.scores["swapped"][0]) == 1
    assert float(joints_off_mm(fitter, fits.params, true[:1])) < 40


def test_two_people_in_one_box_are_no_success(body, scene):
    _, targets = scene
    fitter = Fitter(body, FitOptions(views=4, extra=0, kept=2, finalists=1, try_swaps=False))
    points = targets.keypoints_px[:1].clone()
    points[:, ::2] += torch.tensor([260.0, 40.0])
    fits = fitter(FitTargets(points, targets.confidence[:1], targets.camera[:1], targets.boxes[:1]))
    assert fits.status[0].startswith("implausible: ")


def test_batches_do_not_matter_and_progress_is_told(body, fitter, scene, alone):
    _, targets = scene
    told = []
    small = Fitter(body, FitOptions(batch=2, views=4, extra=0, kept=2, finalists=1))
    fits = small(targets, progress=lambda done, total: told.append((done, total)))
    assert told == [(2, 3), (3, 3)]
    assert torch.allclose(fits.scores["reprojection"], alone.scores["reprojection"], atol=2e-3)


def test_nobody_is_nobody(fitter, scene):
    none = fitter(scene[1][torch.zeros(0, dtype=torch.int64)])
    assert len(none) == 0 and none.status == ()


def test_every_tensor_is_made_where_its_inputs_are(fitter, scene, alone):
    """What names no device is made on `meta`, where it would break a fit as the CPU would break one on a GPU."""
    true, targets = scene[0][:1], scene[1][:1]
    with torch.device("meta"):
        fits = fitter(targets, true)
        tried = mean_hypotheses(fitter.model, targets, fitter.coarse, fitter.priors, 1, 1)
    assert fits.status == ("fitted",) and torch.allclose(fits.params.transl, alone.params.transl[:1], atol=0.1)
    assert len(tried) == 2 and torch.isfinite(tried.objective).all()
