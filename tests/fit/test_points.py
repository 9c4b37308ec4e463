"""Keypoints without a mesh: the model's own, and derivatives that finite differences confirm."""

import pytest
import torch

from limner.body.model import BodyModel
from limner.fit.points import KeypointLayer
from limner.fit.unknowns import WHOLE_TURNS, Unknowns
from tests.conftest import random_people


@pytest.fixture(scope="module")
def double():
    return BodyModel.load(dtype=torch.float64).keypoints_only()


def test_points_are_the_models(double):
    params = random_people(3, double.num_betas, double.num_expression)
    ours = KeypointLayer(double)(params).points
    theirs = double.keypoints144(double(params), params)
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_points_of_an_smplx_file_with_pose_correctives(smplx_file):
    model = BodyModel.load(smplx_file, dtype=torch.float64)
    params = random_people(2, model.num_betas, model.num_expression)
    ours = KeypointLayer(model)(params).points[:, :127]
    assert torch.allclose(ours, model.keypoints144(model(params), params)[:, :127], atol=1e-9)


def test_some_points_are_the_same_points(double):
    params = random_people(2, double.num_betas, double.num_expression)
    some = (0, 15, 60, 100, 130, 143)
    assert torch.allclose(KeypointLayer(double, some)(params).points, KeypointLayer(double)(params).points[:, some])


@pytest.mark.parametrize("keypoints", [tuple(range(144)), (3, 16, 58, 80)])
def test_derivatives_equal_finite_differences(double, keypoints):
    layer = KeypointLayer(double, keypoints)
    params = random_people(2, double.num_betas, double.num_expression, size=0.4)
    unknowns = Unknowns(WHOLE_TURNS, double.num_betas, double.num_expression)
    posed = layer(params)
    axes = torch.randn(2, len(keypoints), 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours = layer.along(posed, unknowns, axes)
    size = 1e-6
    for column in range(0, unknowns.count, 7):
        step = torch.zeros(2, unknowns.count, dtype=torch.float64)
        step[:, column] = size
        ahead, behind = (layer(unknowns.moved(params, s)).points for s in (step, -step))
        slope = ((ahead - behind) / (2 * size))[:, :, None]
        assert torch.allclose(ours[..., column], (slope * axes).sum(-1), atol=1e-6), column
