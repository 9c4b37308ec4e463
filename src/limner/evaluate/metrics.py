"""The field's metrics of predictions against targets, as pure functions, each with its definition and source."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limner.body.keypoints import COCO17
from limner.geometry.align import procrustes

LIMB_PAIRS = tuple(
    (COCO17.index(f"left_{joint}"), COCO17.index(f"right_{joint}"))
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
)
"""Left and right limb joints among COCO's 17 points."""
ARMS, LEGS = LIMB_PAIRS[:3], LIMB_PAIRS[3:]
OUTER_EYE_CORNERS = (36, 45)
"""iBUG numbers: the person's right and left outer eye corner."""


def pck_hits(
    prediction: Float[Tensor, "P K 2"],
    target: Float[Tensor, "P K 2"],
    reference: Float[Tensor, "P"],
    threshold: float,
) -> Bool[Tensor, "P K"]:
    """Which points lie within `threshold` times the person's reference length of the target (PCK).

    Percentage of correct keypoints, Yang and Ramanan, PAMI 2013. A point that is not finite is wrong; so is every point
    of a person whose reference is not finite.
    """
    return (prediction - target).norm(dim=-1) <= threshold * reference[:, None]


def torso_length(target: Float[Tensor, "P 17 2"], valid: Bool[Tensor, "P 17"]) -> Float[Tensor, "P"]:
    """Reference length of PCK@0.2 torso, photo pixels: the mean of the two diagonals shoulder to opposite hip.

    LSP evaluations take one diagonal (left shoulder to right hip, Sapp and Taylor, CVPR 2013 "MODEC"); the mean of both
    does not prefer a side. With one diagonal labelled it is that one; with none, the mean of the labelled sides
    (shoulder to hip of the same side); NaN without any: such a person cannot be scored.
    """
    left_shoulder, right_shoulder, left_hip, right_hip = (
        COCO17.index(f"{side}_{joint}") for joint in ("shoulder", "hip") for side in ("left", "right")
    )

    def mean_length(pairs: tuple[tuple[int, int], ...]) -> Tensor:
        lengths = [
            torch.where(valid[:, a] & valid[:, b], (target[:, a] - target[:, b]).norm(dim=-1), torch.nan)
            for a, b in pairs
        ]
        return torch.stack(lengths, -1).nanmean(-1)

    diagonals = mean_length(((left_shoulder, right_hip), (right_shoulder, left_hip)))
    sides = mean_length(((left_shoulder, left_hip), (right_shoulder, right_hip)))
    return torch.where(diagonals.isnan(), sides, diagonals)


def box_diagonal(boxes: Float[Tensor, "P 4"]) -> Float[Tensor, "P"]:
    """Length of the diagonals of x0 y0 x1 y1 boxes: the reference of PCK@0.05 box diagonal."""
    return (boxes[:, 2:] - boxes[:, :2]).norm(dim=-1)


def mean_error(
    prediction: Float[Tensor, "P K D"], target: Float[Tensor, "P K D"], valid: Bool[Tensor, "P K"]
) -> Float[Tensor, "P"]:
    """Mean Euclidean distance over each person's valid points, in the unit of the points; NaN without valid points."""
    distance = (prediction - target).norm(dim=-1)
    return torch.where(valid, distance, 0.0).sum(-1) / valid.sum(-1)


def nme(prediction: Float[Tensor, "P 68 2"], target: Float[Tensor, "P 68 2"]) -> Float[Tensor, "P"]:
    """Mean error of 68 face landmarks over the distance of the true outer eye corners.

    300-W's inter-ocular normalisation, Sagonas et al., ICCVW 2013. An NME above 0.1 is commonly called a failure.
    """
    right, left = OUTER_EYE_CORNERS
    eyes = (target[:, left] - target[:, right]).norm(dim=-1)
    return (prediction - target).norm(dim=-1).mean(-1) / eyes


def swapped(points: Float[Tensor, "P 17 D"], pairs: tuple[tuple[int, int], ...]) -> Float[Tensor, "P 17 D"]:
    """The points with the given left and right ones exchanged."""
    order = list(range(points.shape[1]))
    for left, right in pairs:
        order[left], order[right] = right, left
    return points[:, order]


def flipped(
    prediction: Float[Tensor, "P 17 2"],
    target: Float[Tensor, "P 17 2"],
    valid: Bool[Tensor, "P 17"],
    reference: Float[Tensor, "P"],
    pairs: tuple[tuple[int, int], ...] = LIMB_PAIRS,
    ratio: float = 0.6,
    least_gain: float = 0.1,
) -> Bool[Tensor, "P"]:
    """Who has left and right exchanged? The error of the limb joints after exchanging the prediction's left and right
    is below `ratio` times the error before, and lower by `least_gain` times the reference length.

    Only pairs with both joints labelled count. Without the second condition a person seen from the side, whose left
    and right joints nearly coincide, would count as flipped for a pixel's difference.
    """
    paired = torch.zeros_like(valid)
    for left, right in pairs:
        paired[:, left] = paired[:, right] = valid[:, left] & valid[:, right]
    before = mean_error(prediction, target, paired)
    after = mean_error(swapped(prediction, pairs), target, paired)
    return (after < ratio * before) & (before - after > least_gain * reference)


def mpjpe(
    prediction: Float[Tensor, "P J 3"], target: Float[Tensor, "P J 3"], root: int | None = 0
) -> Float[Tensor, "P"]:
    """Mean per-joint position error after both roots are moved to the origin (Ionescu et al., PAMI 2014).

    In the unit of the points. `root` None: the points are relative to their roots already.
    """
    if root is not None:
        prediction, target = prediction - prediction[:, root, None], target - target[:, root, None]
    return (prediction - target).norm(dim=-1).mean(-1)


def pa_mpjpe(prediction: Float[Tensor, "P J 3"], target: Float[Tensor, "P J 3"]) -> Float[Tensor, "P"]:
    """Mean per-joint position error after the best similarity without reflection (Procrustes), unit of the points.

    The same number on vertices is PA-V2V; ExPose aligns each part on the part's own vertices (facts, section 15).
    """
    return (procrustes(prediction, target) - target).norm(dim=-1).mean(-1)


def scaled_to(
    prediction: Float[Tensor, "P J 3"],
    target: Float[Tensor, "P J 3"],
    bones: tuple[tuple[int, int], ...],
) -> Float[Tensor, "P J 3"]:
    """The prediction scaled so that its bones (pairs of points) together are as long as the target's.

    Bone lengths do not depend on the pose, so a wrong pose is not hidden by shrinking, as with a least-squares scale.
    """
    starts, ends = [a for a, _ in bones], [b for _, b in bones]

    def total(points: Tensor) -> Tensor:
        return (points[:, ends] - points[:, starts]).norm(dim=-1).sum(-1)

    return prediction * (total(target) / total(prediction).clamp_min(1e-9))[:, None, None]


@dataclass(frozen=True)
class Estimate:
    """A measured number with its 95 % interval; people it rests on."""

    value: float
    low: float
    high: float
    people: int


def ratio_of_sums(
    numerator: Float[Tensor, "P"],
    denominator: Float[Tensor, "P"],
    groups: list[str],
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """sum(numerator) / sum(denominator) over people, with a 95 % bootstrap interval.

    A mean is the case of a denominator of ones; PCK counts right points over labelled points. Whole groups (photos of
    one identity or series) are drawn with replacement, because people of one group are not independent (cluster
    bootstrap, Davison and Hinkley 1997; percentile interval). People with a denominator of 0 count nothing.
    """
    names = {name: i for i, name in enumerate(dict.fromkeys(groups))}
    index = torch.tensor([names[name] for name in groups], dtype=torch.int64)
    sums = torch.zeros(len(names), 2, dtype=torch.float64)
    sums.index_add_(0, index, torch.stack([numerator, denominator], -1).double())
    total = sums.sum(0)
    people = int((denominator > 0).sum())
    if total[1] == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), people)
    generator = torch.Generator().manual_seed(seed)
    drawn = sums[torch.randint(len(names), (resamples, len(names)), generator=generator)].sum(1)
    ratios = drawn[drawn[:, 1] > 0]
    low, high = torch.quantile(ratios[:, 0] / ratios[:, 1], torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Estimate(float(total[0] / total[1]), low, high, people)


def match_boxes(overlap: Float[Tensor, "F T"], least_iou: float = 0.5) -> list[tuple[int, int]]:
    """Which found box is which true box: pairs (found, true), greedily, found boxes best first as COCO does.

    `overlap` is the IoU of every found box (sorted by falling score) with every true box.
    """
    taken: set[int] = set()
    pairs = []
    for found, row in enumerate(overlap.tolist()):
        free = [(value, true) for true, value in enumerate(row) if true not in taken and value >= least_iou]
        if free:
            true = max(free)[1]
            taken.add(true)
            pairs.append((found, true))
    return pairs
