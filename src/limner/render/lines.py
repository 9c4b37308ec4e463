"""Smooth lines and dots drawn into pictures."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

Color = tuple[int, int, int]
"""sRGB, 0 to 255."""


def draw_lines(
    picture: UInt8[Tensor, "3 H W"],
    starts: Float[Tensor, "N 2"],
    ends: Float[Tensor, "N 2"],
    width: int | float,
    color: Color,
    opacity: float = 1.0,
) -> UInt8[Tensor, "3 H W"]:
    """A copy with lines of a width in pixels and round ends; where start and end are one there is a dot.

    Points in pixels, the first pixel's centre is (0.5, 0.5). Where lines cross the colour is not laid on twice.
    """
    (height, breadth), device = picture.shape[1:], picture.device
    cover = torch.zeros(height, breadth, device=device)
    columns, rows = (torch.arange(side, device=device) + 0.5 for side in (breadth, height))
    reach = width / 2 + 0.5
    for start, end in zip(starts.to(device).float(), ends.to(device).float(), strict=True):
        low = (torch.minimum(start, end) - reach).floor().long().clamp_min(0).tolist()
        high = (torch.maximum(start, end) + reach).ceil().long().clamp_min(0).tolist()
        x, y = columns[low[0] : high[0]], rows[low[1] : high[1], None]
        if not x.numel() or not y.numel():
            continue
        along = end - start
        part = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / along.square().sum().clamp_min(1e-9)
        part = part.clamp(0, 1)
        apart = torch.hypot(x - start[0] - part * along[0], y - start[1] - part * along[1])
        inside = cover[low[1] : high[1], low[0] : high[0]]
        torch.maximum(inside, (reach - apart).clamp(0, 1), out=inside)
    drawn = picture.flatten(1).clone()
    touched = cover.flatten().nonzero()[:, 0]
    below, ink = drawn[:, touched].float(), torch.tensor(color, device=device)[:, None]
    shares = opacity * cover.flatten()[touched]
    drawn[:, touched] = (below + shares * (ink - below)).round().to(torch.uint8)
    return drawn.view_as(picture)
