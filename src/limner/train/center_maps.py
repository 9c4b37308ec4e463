"""Targets and losses of MoveNet's maps of labelled people (CenterNet, Zhou et al. 2019)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from limner.networks.movenet import STRIDE, Maps

FOCUS, NEAR_PENALTY = 2.0, 4.0  # alpha and beta of the penalty-reduced focal loss
CERTAIN = 1e-4  # probabilities are kept so far from 0 and 1
SAME_IOU = 0.7  # a centre so far off still gives a box that overlaps so much: the width of the peaks


@dataclass(frozen=True)
class Labels:
    """Everybody in one picture, in its pixels.

    boxes of P people, inside the picture; points of each, which may lie outside; labelled: which are known;
    ignored: boxes in which nothing is asked of the network.
    """

    boxes: Float[Tensor, "P 4"]
    points: Float[Tensor, "P 17 2"]
    labelled: Bool[Tensor, "P 17"]
    ignored: Float[Tensor, "R 4"]


@dataclass(frozen=True)
class MapTargets:
    """What the maps of B pictures should say, and where they are asked.

    center, heat: peaks of 1 with slopes about them; *_counts: False where nobody knows (crowds; points not labelled).
    Of each of the N people: picture "N", the cell of their centre "N 2" (y, x), and what belongs there, in cells: size
    (height, width), offset (y, x), points "N 17 2" (y, x), labelled "N 17".
    """

    center: Float[Tensor, "B 1 h w"]
    center_counts: Bool[Tensor, "B 1 h w"]
    heat: Float[Tensor, "B 17 h w"]
    heat_counts: Bool[Tensor, "B 17 h w"]
    picture: Int[Tensor, "N"]
    cell: Int[Tensor, "N 2"]
    size: Float[Tensor, "N 2"]
    offset: Float[Tensor, "N 2"]
    points: Float[Tensor, "N 17 2"]
    labelled: Bool[Tensor, "N 17"]


@dataclass(frozen=True)
class CenterWeights:
    """What each part of the loss counts; lengths are in cells.

    missed: how much more than a wrong detection counts a person who is not found: BlazePose still looks at each.
    """

    center: float = 1.0
    heat: float = 1.0
    size: float = 0.1
    offset: float = 1.0
    points: float = 0.1
    missed: float = 2.0


def targets_of(labels: list[Labels], height: int, width: int) -> MapTargets:
    """Targets of pictures of this many pixels."""
    shape = (height // STRIDE, width // STRIDE)
    picture = torch.cat([torch.full((len(one.boxes),), i) for i, one in enumerate(labels)])
    boxes = torch.cat([one.boxes for one in labels]) / STRIDE
    points = torch.cat([one.points for one in labels]).flip(-1) / STRIDE
    labelled = torch.cat([one.labelled for one in labels])
    middle = ((boxes[:, :2] + boxes[:, 2:]) / 2).flip(-1)
    size = (boxes[:, 2:] - boxes[:, :2]).flip(-1)
    limit = torch.tensor(shape)
    cell = middle.floor().long().clamp_min(0).minimum(limit - 1)
    center, heat = torch.zeros(len(labels), 1, *shape), torch.zeros(len(labels), 17, *shape)
    counts, heat_counts = torch.ones_like(center, dtype=torch.bool), torch.ones_like(heat, dtype=torch.bool)
    for i, one in enumerate(labels):
        for box in one.ignored / STRIDE:
            counts[i][_cells_of(box)] = False
            heat_counts[i][_cells_of(box)] = False
    sigma = peak_width(size)
    for n, i in enumerate(picture.tolist()):
        center[i, 0] = torch.maximum(center[i, 0], _peak(cell[n], sigma[n], shape))
        at = points[n].floor().long()
        shown = labelled[n] & (at >= 0).all(-1) & (at < limit).all(-1)
        for k in shown.nonzero()[:, 0].tolist():
            heat[i, k] = torch.maximum(heat[i, k], _peak(at[k], sigma[n], shape))
        unknown = torch.zeros(17, *shape, dtype=torch.bool)
        unknown[_cells_of(boxes[n])] = True
        heat_counts[i] &= ~(unknown & ~labelled[n, :, None, None])
    return MapTargets(
        center, counts, heat, heat_counts, picture, cell, size, middle - cell, points - cell[:, None], labelled
    )


def peak_width(size: Float[Tensor, "N 2"], least_iou: float = SAME_IOU) -> Float[Tensor, "N"]:
    """Standard deviation of the peaks of boxes of this height and width (cells), by CornerNet's rule (Law 2018)."""
    total, area = size.sum(-1), size.prod(-1)
    moved = (total - (total**2 - 4 * area * (1 - least_iou) / (1 + least_iou)).sqrt()) / 2
    inner = (total - (total**2 - 4 * area * (1 - least_iou)).sqrt()) / 4
    outer = (-total + (total**2 + 4 * area * (1 - least_iou) / least_iou).sqrt()) / 4
    radius = torch.stack([moved, inner, outer]).amin(0)
    return (2 * radius.clamp_min(0) + 1) / 6


def _cells_of(box: Float[Tensor, "4"]) -> tuple[slice, slice, slice]:
    """All cells that a box (in cells) touches, of every channel."""
    x0, y0 = box[:2].floor().long().clamp_min(0).tolist()
    x1, y1 = box[2:].ceil().long().clamp_min(0).tolist()
    return slice(None), slice(y0, y1), slice(x0, x1)


def _peak(cell: Int[Tensor, "2"], sigma: Tensor, shape: tuple[int, int]) -> Float[Tensor, "h w"]:
    """A Gaussian of height 1 at a cell."""
    y, x = (torch.arange(length) - at for length, at in zip(shape, cell, strict=True))
    return torch.exp(-(y[:, None] ** 2 + x**2) / (2 * sigma**2))


def center_loss(maps: Maps, targets: MapTargets, weights: CenterWeights) -> tuple[Tensor, dict[str, float]]:
    """The sum of all parts and each of them, for the log."""
    people, known = max(1, len(targets.picture)), targets.labelled[..., None]
    row, (y, x) = targets.picture, targets.cell.unbind(-1)
    predicted = maps.points[row, :, y, x].unflatten(1, (17, 2))
    parts = {
        "center": focal_loss(maps.center, targets.center, targets.center_counts, weights.missed) / people,
        "heat": focal_loss(maps.heat, targets.heat, targets.heat_counts) / (targets.heat == 1).sum().clamp_min(1),
        "size": (maps.size[row, :, y, x] - targets.size).abs().sum() / people,
        "offset": (maps.offset[row, :, y, x] - targets.offset).abs().sum() / people,
        "points": ((predicted - targets.points).abs() * known).sum() / known.sum().clamp_min(1),
    }
    loss = sum(getattr(weights, name) * part for name, part in parts.items())
    assert isinstance(loss, Tensor)
    return loss, {name: float(part.detach()) for name, part in parts.items()}


def focal_loss(
    predicted: Float[Tensor, "B C h w"],
    target: Float[Tensor, "B C h w"],
    counts: Bool[Tensor, "B C h w"],
    missed: float = 1.0,
) -> Float[Tensor, ""]:
    """Penalty-reduced focal loss, summed: at peaks they shall be 1, elsewhere 0, less strictly near peaks.

    `missed`: weight of the peaks.
    """
    predicted = predicted.clamp(CERTAIN, 1 - CERTAIN)
    peak = target == 1
    at_peaks = missed * (1 - predicted) ** FOCUS * predicted.log()
    elsewhere = (1 - target) ** NEAR_PENALTY * predicted**FOCUS * (1 - predicted).log()
    return -(torch.where(peak, at_peaks, elsewhere) * (peak | counts)).sum()
