"""Rendered crops as what a part network learns from: what the backbone saw, and the target."""

import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.data.evidence import Evidence
from limner.data.held_out import MIN_VISIBLE
from limner.networks.weights import Part
from limner.train.target import Examples, Target, part_target

CHUNK = 256


def keypoints_of(model: BodyModel, params: BodyParams) -> Float[Tensor, "N 144 3"]:
    """The 144 keypoints of many people, `transl` included, metres."""
    small = model.keypoints_only()
    chunks = [params[slice(start, start + CHUNK)] for start in range(0, len(params), CHUNK)]
    return torch.cat([small.keypoints144(small(some), some) for some in chunks])


def rendered_target(part: Part, model: BodyModel, evidence: Evidence) -> Target:
    """The target of every crop."""
    return part_target(
        part,
        keypoints_of(model, evidence.params),
        evidence.params,
        evidence.camera,
        evidence.squares,
        evidence.mirrored,
        evidence.visible,
    )


def well_seen(part: Part, target: Target, presence: Tensor) -> Tensor:
    """Which crops show the part, to us and to the backbone."""
    return (target.visible.float().mean(-1) >= MIN_VISIBLE[part]) & (presence > 0.5)


def rendered_set(part: Part, model: BodyModel, evidence: Evidence) -> Examples:
    """All crops but those in which the part cannot be seen."""
    target = rendered_target(part, model, evidence)
    return Examples(evidence.pooled, target)[well_seen(part, target, evidence.presence)]
