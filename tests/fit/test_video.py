"""Frames hold on to each other: one shape, less jitter, absent frames stay absent."""

import torch

from limner.fit.fitter import FitOptions, Fitter
from limner.fit.records import FitTargets
from limner.fit.video import fit_video
from limner.geometry.rotation import rotation_from_axis_angle
from tests.fit.made import exact_targets, people


def test_one_shape_and_smooth_frames(body):
    fitter = Fitter(body, FitOptions(views=2, extra=0, kept=1, finalists=1, try_swaps=False))
    first, camera = people(fitter.model, 1)
    frames = 7
    wave = torch.zeros(frames, 21, 3)
    wave[:, 16, 2] = torch.linspace(0, 0.6, frames)  # the right shoulder
    rows = torch.zeros(frames, dtype=torch.int64)
    true = first[rows]
    true = true.replace(body_pose=true.body_pose @ rotation_from_axis_angle(wave))
    exact = exact_targets(fitter.model, true, camera[rows])
    noise = 5 * torch.randn(exact.keypoints_px.shape, generator=torch.Generator().manual_seed(0))
    seen = exact.confidence.clone()
    seen[3] = 0
    targets = FitTargets(exact.keypoints_px + noise, seen, exact.camera, exact.boxes)
    alone, film = fitter(targets, true), fit_video(fitter, targets, true)
    there = torch.tensor([0, 1, 2, 4, 5, 6])
    assert film.status[3] == "not fitted: no confident torso"
    assert all(film.status[k] == "fitted" for k in there.tolist())
    assert float(film.params.betas[there].std(0).max()) < 1e-6 < float(alone.params.betas[there].std(0).max())

    def jitter(fits):
        joints = fitter.model.joints(fits.params)
        return float(sum((joints[k - 1] - 2 * joints[k] + joints[k + 1]).norm(dim=-1).mean() for k in (1, 5)))

    assert jitter(film) < 0.7 * jitter(alone)
    assert (film.scores["reprojection"][there] < 0.03).all()
