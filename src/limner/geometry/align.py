"""Alignment: the similarity or rigid motion that brings one point set nearest to another."""

import torch
from jaxtyping import Float
from torch import Tensor


def procrustes(
    source: Float[Tensor, "B N 3"], target: Float[Tensor, "B N 3"], with_scale: bool = True
) -> Float[Tensor, "B N 3"]:
    """`source` moved by the similarity (no reflection) that is nearest to `target` in the least-squares sense."""
    scale, rotation, _ = similarity(source, target, with_scale)
    centred = source - source.mean(1, keepdim=True)
    return scale[:, None, None] * centred @ rotation.mT + target.mean(1, keepdim=True)


def similarity(
    source: Float[Tensor, "B N 3"], target: Float[Tensor, "B N 3"], with_scale: bool = True
) -> tuple[Float[Tensor, "B"], Float[Tensor, "B 3 3"], Float[Tensor, "B 3"]]:
    """Scale, rotation (no reflection) and translation: scale * rotation @ source + translation is nearest to `target`.

    Least squares; Umeyama, PAMI 1991, eqs. 40-43.
    """
    mean_source, mean_target = source.mean(1, keepdim=True), target.mean(1, keepdim=True)
    a, b = source - mean_source, target - mean_target
    u, s, vt = torch.linalg.svd(b.mT @ a)
    sign = torch.ones_like(s)
    sign[:, -1] = torch.linalg.det(u @ vt).sign()
    rotation = (u * sign[:, None]) @ vt
    scale = torch.ones_like(s[:, 0])
    if with_scale:
        scale = (s * sign).sum(-1) / a.square().sum((1, 2)).clamp_min(1e-12)
    translation = mean_target - scale[:, None, None] * mean_source @ rotation.mT
    return scale, rotation, translation[:, 0]
