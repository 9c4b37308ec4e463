"""Errors of points are measured: exact ones are seen to be exact, few ones say nothing."""

import torch

from limner.fit.fitter import Fitter
from limner.fit.points import KeypointLayer
from limner.fit.stage import EXPECTED, measured_sigma
from tests.fit.made import exact_targets, people


def test_measured_errors_are_those_of_the_points(body):
    model = Fitter(body).model
    params, camera = people(model, 8)
    exact = exact_targets(model, params, camera)
    side = (exact.boxes[:, 2:] - exact.boxes[:, :2]).amax(1)[:, None, None]
    noise = torch.randn(exact.keypoints_px.shape, generator=torch.Generator().manual_seed(0))
    layer = KeypointLayer(model)
    for sigma in (0.01, 0.02):
        noisy = type(exact)(exact.keypoints_px + sigma * side * noise, exact.confidence, camera, exact.boxes)
        measured = measured_sigma(layer, noisy, params).mean(0)
        assert (measured > 0.75 * sigma).all() and (measured < 1.5 * sigma).all()
    assert (measured_sigma(layer, exact, params) < 0.0035).all()
    few = torch.zeros_like(exact.confidence)
    few[:, :4] = 1
    alone = type(exact)(exact.keypoints_px, few, camera, exact.boxes)
    assert torch.allclose(measured_sigma(layer, alone, params)[:, 0], torch.tensor(EXPECTED["body"]))
