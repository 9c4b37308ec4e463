"""Status of fits: who can be fitted, and whose fit may be believed; a word for each person."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.body.keypoints import indices_of
from limner.body.params import BodyParams
from limner.fit import terms
from limner.fit.points import KeypointLayer
from limner.fit.prior import PosePriors
from limner.fit.records import FITTED, FitTargets
from limner.fit.stage import GROUPS, box_side, group_of_point
from limner.records import Rows

CONFIDENT = 0.2
TORSO = indices_of(("left_shoulder", "right_shoulder", "left_hip", "right_hip", "neck", "pelvis"))
LEAST_TORSO, LEAST_POINTS = 2, 5
MOST_REPROJECTION = 0.06
MOST_NEGATIVE_LOG_LIKELIHOOD = 130.0
MOST_SHAPE = 2.5
MOST_PENETRATION_M = 0.12
DEPTH_RANGE_M = (0.25, 100.0)


@dataclass(frozen=True)
class Finding(Rows):
    """Fits of B people without a status: targets as they were taken (perhaps with sides exchanged) with the errors that
    were measured, the bodies, their objective, and which exchange it was (0: none)."""

    targets: FitTargets
    params: BodyParams
    objective: Float[Tensor, "B"]
    swapped: Float[Tensor, "B"]

    @property
    def sigma(self) -> Float[Tensor, "B 4"]:
        """The errors that were measured."""
        assert self.targets.sigma is not None
        return self.targets.sigma


def with_usable_points(targets: FitTargets) -> FitTargets:
    """Points that are not finite, or hardly believed by their detector, count as not there."""
    points, confidence = targets.keypoints_px, targets.confidence
    good = torch.isfinite(points).all(-1) & torch.isfinite(confidence) & (confidence >= CONFIDENT)
    return replace(
        targets,
        keypoints_px=torch.where(good[..., None], points, torch.zeros_like(points)),
        confidence=torch.where(good, confidence, torch.zeros_like(confidence)).clamp(0, 1),
    )


def usable(targets: FitTargets) -> list[str]:
    """Why each person cannot be fitted; empty where it can."""
    clean = with_usable_points(targets)
    observed = clean.confidence > 0
    torso, count = observed[:, list(TORSO)].sum(1), observed.sum(1)
    box, camera = targets.boxes, targets.camera
    flat = ~(torch.isfinite(box).all(1) & ((box[:, 2:] - box[:, :2]) >= 1).all(1))
    blind = ~(torch.isfinite(camera.focal_px) & (camera.focal_px > 0) & torch.isfinite(camera.center_px).all(1))
    points = torch.where(observed[..., None], clean.keypoints_px, clean.keypoints_px.sum(1, keepdim=True) * torch.nan)
    reasons = []
    for k in range(len(targets)):
        why = ""
        if blind[k]:
            why = "no usable focal length"
        elif torso[k] < LEAST_TORSO:
            why = "no confident torso"
        elif count[k] < LEAST_POINTS:
            why = f"only {int(count[k])} confident keypoints"
        elif flat[k]:
            why = "an empty box"
        else:
            spread = points[k][observed[k]]
            if float((spread.amax(0) - spread.amin(0)).amax()) < 2:
                why = "all keypoints in one place"
        reasons.append(why)
    return reasons


def rows_without(why_not: list[str], device: torch.device) -> Int[Tensor, "N"]:
    """Rows of those who can be fitted."""
    return torch.tensor([k for k, why in enumerate(why_not) if not why], dtype=torch.int64, device=device)


def reprojections(points: Float[Tensor, "B 144 3"], targets: FitTargets) -> dict[str, Float[Tensor, "B"]]:
    """Mean distance of confident points, as a share of the box, of all and by part; NaN where a part has none."""
    off = (targets.camera.project(points) - targets.keypoints_px).norm(dim=-1) / box_side(targets)[:, None]
    group = torch.tensor(group_of_point(), device=off.device)
    scores = {"reprojection": _mean(off, targets.confidence)}
    for k, name in enumerate(GROUPS):
        scores[f"reprojection_{name}"] = _mean(off, targets.confidence * (group == k))
    return scores


def _mean(values: Tensor, weight: Tensor) -> Float[Tensor, "B"]:
    observed = (weight > 0).to(values)
    return torch.where(observed.sum(1) > 0, (values * observed).sum(1) / observed.sum(1).clamp_min(1), torch.nan)


def scores_of(layer: KeypointLayer, priors: PosePriors, finding: Finding) -> dict[str, Float[Tensor, "B"]]:
    """All scores of `Fits`."""
    posed = layer(finding.params)
    prior = priors.body(finding.params.body_pose)
    return reprojections(posed.points, finding.targets) | {
        "pose_surprise": prior.cost,
        "shape_surprise": finding.params.betas.square().mean(1).sqrt(),
        "penetration_m": terms.penetration(posed).depth.sum(1),
        "points": (finding.targets.confidence > 0).sum(1).to(prior.cost),
        "swapped": finding.swapped,
    }


def status_of(params: BodyParams, scores: dict[str, Float[Tensor, "B"]]) -> list[str]:
    """The status of each fit."""
    status = []
    for k in range(len(params)):
        off, shape = float(scores["reprojection"][k]), float(scores["shape_surprise"][k])
        body_off = float(scores["reprojection_body"][k])
        depth = float(params.transl[k, 2])
        why = ""
        if not bool(torch.isfinite(params.full_pose()[k]).all()) or not DEPTH_RANGE_M[0] <= depth <= DEPTH_RANGE_M[1]:
            why = f"{depth:.2f} m from the camera"
        elif max(off, body_off) > MOST_REPROJECTION:
            why = f"keypoints are off by {100 * max(off, body_off):.1f} % of the box"
        elif shape > MOST_SHAPE:
            why = f"a shape {shape:.1f} standard deviations from the mean"
        elif float(scores["pose_surprise"][k]) > MOST_NEGATIVE_LOG_LIKELIHOOD:
            why = "a pose far from all known ones"
        elif float(scores["penetration_m"][k]) > MOST_PENETRATION_M:
            why = f"limbs {100 * float(scores['penetration_m'][k]):.0f} cm inside each other"
        status.append(f"implausible: {why}" if why else FITTED)
    return status
