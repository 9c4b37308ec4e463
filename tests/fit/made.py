"""People whose keypoints are known, small and quick to fit."""

import torch
from torch import Tensor

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.fit.points import KeypointLayer
from limner.fit.prior import shipped_priors
from limner.fit.records import FitTargets
from limner.fit.search import mean_starts
from limner.geometry.box import bounds_of
from limner.geometry.camera import Camera, photo_camera
from limner.geometry.rotation import rotation_from_axis_angle


def people(model: BodyModel, count: int = 4, seed: int = 0) -> tuple[BodyParams, Camera]:
    """Typical poses, turned a little, of different people before a camera of 800 x 1000 pixels."""
    g = torch.Generator().manual_seed(seed)
    priors = shipped_priors()
    params = mean_starts(model, torch.zeros(count), priors.typical_body[0], priors.typical_hand, 0.3)

    def turned(rotation: Tensor, size: float) -> Tensor:
        return rotation @ rotation_from_axis_angle(size * torch.randn(*rotation.shape[:-1], generator=g))

    params = params.replace(
        body_pose=turned(params.body_pose, 0.12),
        left_hand_pose=turned(params.left_hand_pose, 0.05),
        right_hand_pose=turned(params.right_hand_pose, 0.05),
        betas=0.5 * torch.randn(count, model.num_betas, generator=g),
        expression=0.3 * torch.randn(count, model.num_expression, generator=g),
        transl=torch.tensor([[0.1, 0.0, 3.0]]) + 0.1 * torch.randn(count, 3, generator=g),
    )
    return params, photo_camera(800, 1000, 1000.0, count)


def exact_targets(model: BodyModel, params: BodyParams, camera: Camera) -> FitTargets:
    """All 144 keypoints, exact."""
    points = camera.project(KeypointLayer(model)(params).points)
    return FitTargets(points, torch.ones(points.shape[:2]), camera, bounds_of(points))


def doubled(params: BodyParams) -> BodyParams:
    """In double precision."""
    return params.to(torch.float64)
