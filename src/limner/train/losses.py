"""Losses of the regressors: ExPose's terms (facts, section 14) with weights for heads on frozen features."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from limner.networks.regressor import ParamLayout
from limner.networks.weights import Part
from limner.pipeline.predicted import PredictedPoints
from limner.train.target import Target

EARLIER_STAGES = 0.2


@dataclass(frozen=True)
class LossWeights:
    """Weight of each term; `blocks` gives rotation and number blocks other than 1."""

    points3d: float = 10.0
    points2d: float = 5.0
    rotation: float = 1.0
    number: float = 0.05
    blocks: tuple[tuple[str, float], ...] = (
        ("left_hand_pose", 0.05),
        ("right_hand_pose", 0.05),
        ("jaw_pose", 0.3),
        ("expression", 0.1),
    )


PART_WEIGHTS: dict[Part, LossWeights] = {
    "body": LossWeights(),
    "hand": LossWeights(),
    # lips and lids move 51 landmarks little: expressions are learned from their coefficients
    "face": LossWeights(number=1.0, blocks=(("jaw_pose", 5.0), ("betas", 0.5))),
}


def part_loss(
    vectors: tuple[Float[Tensor, "B P"], ...],
    target: Target,
    layout: ParamLayout,
    points: PredictedPoints,
    weights: LossWeights,
) -> tuple[Float[Tensor, ""], dict[str, float]]:
    """Loss of the last stage (the paper's choice) plus parameter terms of the earlier ones; the terms for the log.

    Points cost a forward kinematics a stage, parameters nearly nothing: only the last stage is judged by points.
    """
    terms = _parameter_terms(vectors[-1], target, layout, weights) | _point_terms(
        vectors[-1], target, layout, points, weights
    )
    zero = vectors[-1].new_zeros(())
    total = sum(terms.values(), zero)
    for vector in vectors[:-1]:
        total = total + EARLIER_STAGES * sum(_parameter_terms(vector, target, layout, weights).values(), zero)
    return total, {name: float(value.detach()) for name, value in terms.items()}


def _parameter_terms(vector: Tensor, target: Target, layout: ParamLayout, weights: LossWeights) -> dict[str, Tensor]:
    of_block = dict(weights.blocks)
    terms: dict[str, Tensor] = {}
    rotation = vector.new_zeros(())
    for name, true in target.rotations.items():
        # squared chordal distance: smooth, bounded, and its gradient never blows up
        error = (layout.rotations(vector, name) - true).square().sum((-2, -1)).mean()
        rotation = rotation + of_block.get(name, 1.0) * error
    terms["rotation"] = weights.rotation * rotation
    number = vector.new_zeros(())
    for name, true in target.numbers.items():
        predicted = layout.part(vector, name)
        error = (predicted - true[:, : predicted.shape[1]]).square().mean()
        number = number + of_block.get(name, 1.0) * error
    terms["number"] = weights.number * number
    return terms


def _point_terms(
    vector: Tensor, target: Target, layout: ParamLayout, points: PredictedPoints, weights: LossWeights
) -> dict[str, Tensor]:
    placed = points(vector)
    error3d = (placed - points.root(placed) - target.points3d).norm(dim=-1)
    projected = layout.camera(vector).project(placed)
    error2d = (projected - target.points2d).abs().sum(-1).clamp(max=1.0)  # far outside the crop nothing is learned
    return {"points3d": weights.points3d * error3d.mean(), "points2d": weights.points2d * error2d.mean()}


def point_error_mm(vector: Tensor, target: Target, points: PredictedPoints) -> Float[Tensor, "B"]:
    """Root-relative mean point error, millimetres."""
    with torch.no_grad():
        placed = points(vector)
        return (placed - points.root(placed) - target.points3d).norm(dim=-1).mean(-1) * 1000
