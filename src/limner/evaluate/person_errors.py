"""Per-person errors of predictions on photos; their sums over people are the numbers in the tables."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limner.body.keypoints import COCO17
from limner.evaluate import metrics
from limner.evaluate.photo_sets import BODY, EXTRA, FACE, FEET, LEFT_HAND, RIGHT_HAND

PCK_TORSO, PCK_DIAGONAL = "PCK@0.2 torso, %", "PCK@0.05 box diagonal, %"
PCK_TORSO_14 = "PCK@0.2 torso, 14 joints, %"
BODY_ERROR = "mean error, % of box diagonal"
FLIPS, LIMB_FLIPS = "left for right, % of people", "only arms or only legs swapped, % of people"
HAND_PCK, HAND_PX, HAND_ERROR = "PCK@0.2 hand box, %", "mean error, px", "mean error, % of hand box"
HAND_MPJPE, HAND_PA = "MPJPE, mm (root, scale)", "PA-MPJPE, mm"
FACE_NME, INNER_NME, FACE_FAILURES = "NME, % of eye distance", "NME without contour, %", "failures (NME > 10 %), %"
FEET_PCK = "feet PCK@0.2 torso, %"

BY_JOINT = f"{PCK_TORSO}: "
"""What the names of PCK by kind of joint begin with."""
JOINT_GROUPS = ("face", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
LIMBS = tuple(i for pair in metrics.LIMB_PAIRS for i in pair)
FINGER_BONES = tuple((0 if k % 4 == 1 else k - 1, k) for k in range(1, 21))
"""Bones among a hand's 21 points: from the wrist to each finger's base, then along the finger."""


@dataclass(frozen=True)
class PersonErrors:
    """One metric of P people: on a set its value is sum(numerator) / sum(denominator). A denominator of 0: no score."""

    numerator: Float[Tensor, "P"]
    denominator: Float[Tensor, "P"]

    def estimate(self, groups: list[str]) -> metrics.Estimate:
        """The value with its interval; `groups` as in `metrics.ratio_of_sums`."""
        return metrics.ratio_of_sums(self.numerator, self.denominator, groups)


MetricErrors = dict[str, PersonErrors]


def share_of(hits: Bool[Tensor, "P K"], counted: Bool[Tensor, "P K"]) -> PersonErrors:
    """Right points in per cent of those that count."""
    return PersonErrors(100.0 * (hits & counted).sum(-1), counted.sum(-1).float())


def mean_of(values: Float[Tensor, "P"]) -> PersonErrors:
    """The mean over people; NaN is no score."""
    known = ~values.isnan()
    return PersonErrors(torch.where(known, values, 0.0), known.float())


def body_errors(
    prediction: Float[Tensor, "P 135 2"],
    target: Float[Tensor, "P 135 2"],
    labelled: Bool[Tensor, "P 135"],
    boxes: Float[Tensor, "P 4"],
) -> MetricErrors:
    """All metrics of people with a box about the whole person: body, and hands, face and feet where labelled.

    Parts of which the prediction says nothing (all NaN) get no errors.
    """
    body, goal, valid = prediction[:, BODY], target[:, BODY], labelled[:, BODY]
    torso, diagonal = metrics.torso_length(goal, valid), metrics.box_diagonal(boxes)
    scored = valid & ~torso.isnan()[:, None]
    hits = metrics.pck_hits(body, goal, torso, 0.2)
    errors = {
        PCK_TORSO: share_of(hits, scored),
        PCK_DIAGONAL: share_of(metrics.pck_hits(body, goal, diagonal, 0.05), valid),
        BODY_ERROR: mean_of(100 * metrics.mean_error(body, goal, valid) / diagonal),
    }
    errors |= _flips(body, goal, valid, torso)
    if bool(labelled[:, EXTRA].any()):
        fourteen = torch.tensor([*LIMBS, *range(EXTRA.start, EXTRA.stop)])
        hits14 = metrics.pck_hits(prediction[:, fourteen], target[:, fourteen], torso, 0.2)
        errors[PCK_TORSO_14] = share_of(hits14, labelled[:, fourteen] & ~torso.isnan()[:, None])
    errors |= {BY_JOINT + name: one for name, one in errors_by_joint(hits, scored).items()}
    return errors | _small_parts(prediction, target, labelled, torso)


def errors_by_joint(hits: Bool[Tensor, "P 17"], scored: Bool[Tensor, "P 17"]) -> MetricErrors:
    """PCK by kind of joint: points of the face, shoulders, ..., ankles."""
    errors = {}
    for group in JOINT_GROUPS:
        index = [i for i, name in enumerate(COCO17) if name.endswith(group) or (group == "face" and i < 5)]
        errors[group] = share_of(hits[:, index], scored[:, index])
    return errors


def _flips(body: Tensor, target: Tensor, valid: Tensor, torso: Tensor) -> MetricErrors:
    flips = metrics.flipped(body, target, valid, torso)
    arms = metrics.flipped(body, target, valid, torso, metrics.ARMS)
    legs = metrics.flipped(body, target, valid, torso, metrics.LEGS)
    limbs = torch.zeros_like(valid)
    limbs[:, list(LIMBS)] = True
    scored = (valid & limbs).any(-1).float()
    return {
        FLIPS: PersonErrors(100 * flips * scored, scored),
        LIMB_FLIPS: PersonErrors(100 * ((arms | legs) & ~flips) * scored, scored),
    }


def _small_parts(prediction: Tensor, target: Tensor, labelled: Tensor, torso: Tensor) -> MetricErrors:
    """Hands, face and feet of whole people, where they are labelled and the prediction has them."""
    errors: MetricErrors = {}

    def present(part: slice) -> bool:
        return bool(labelled[:, part].any()) and not bool(prediction[:, part].isnan().all())

    for side, part in (("left", LEFT_HAND), ("right", RIGHT_HAND)):
        if present(part):
            of_hand = hand_errors(prediction[:, part], target[:, part], labelled[:, part])
            errors |= {f"{side} hand: {name}": one for name, one in of_hand.items()}
    if present(FACE):
        of_face = face_errors(prediction[:, FACE], target[:, FACE], labelled[:, FACE])
        errors |= {f"face: {name}": one for name, one in of_face.items()}
    if present(FEET):
        hits = metrics.pck_hits(prediction[:, FEET], target[:, FEET], torso, 0.2)
        known = ~prediction[:, FEET].isnan().any(-1) & ~torso.isnan()[:, None]
        errors[FEET_PCK] = share_of(hits, labelled[:, FEET] & known)
    return errors


def hand_errors(
    prediction: Float[Tensor, "P 21 2"], target: Float[Tensor, "P 21 2"], labelled: Bool[Tensor, "P 21"]
) -> MetricErrors:
    """2D metrics of hands. The hand box is the tight box about the labelled points."""
    high = torch.where(labelled[..., None], target, -torch.inf)
    low = torch.where(labelled[..., None], target, torch.inf)
    side = (high.amax(1) - low.amin(1)).amax(-1)
    error = metrics.mean_error(prediction, target, labelled)
    return {
        HAND_PCK: share_of(metrics.pck_hits(prediction, target, side, 0.2), labelled),
        HAND_PX: mean_of(error),
        HAND_ERROR: mean_of(100 * error / side),
    }


def hand_errors_3d(prediction: Float[Tensor, "P 21 3"], target: Float[Tensor, "P 21 3"]) -> MetricErrors:
    """3D metrics of hands (metres in, millimetres out); the scale is aligned because the target's is approximate."""
    scaled = metrics.scaled_to(prediction, target, FINGER_BONES)
    return {
        HAND_MPJPE: mean_of(1000 * metrics.mpjpe(scaled, target)),
        HAND_PA: mean_of(1000 * metrics.pa_mpjpe(prediction, target)),
    }


def face_errors(
    prediction: Float[Tensor, "P 68 2"], target: Float[Tensor, "P 68 2"], labelled: Bool[Tensor, "P 68"]
) -> MetricErrors:
    """Landmark errors of faces of which all 68 points are labelled; others have no score."""
    whole = labelled.all(-1)
    error = torch.where(whole, metrics.nme(prediction, target), torch.nan)
    eyes = (target[:, 45] - target[:, 36]).norm(dim=-1)
    inner = (prediction[:, 17:] - target[:, 17:]).norm(dim=-1).mean(-1) / eyes
    return {
        FACE_NME: mean_of(100 * error),
        INNER_NME: mean_of(100 * torch.where(whole, inner, torch.nan)),
        FACE_FAILURES: PersonErrors(100.0 * (whole & (error > 0.1)), whole.float()),
    }
