"""Who can be fitted, and may a fit be believed? A word for each person, never a monster called a success."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from limner.body.keypoints import indices_of
from limner.body.params import BodyParams
from limner.fit import terms
from limner.fit.points import KeypointLayer
from limner.fit.prior import PosePriors
from limner.fit.records import FITTED, FitTargets, join_fit_targets
from limner.fit.stage import GROUPS, box_side, group_of_point

CONFIDENT = 0.2
TORSO = indices_of(("left_shoulder", "right_shoulder", "left_hip", "right_hip", "neck", "pelvis"))
LEAST_TORSO, LEAST_POINTS = 2, 5
MOST_REPROJECTION = 0.06
MOST_SURPRISE = 130.0
MOST_SHAPE = 2.5
MOST_PENETRATION_M = 0.12
DEPTH_RANGE_M = (0.25, 100.0)


@dataclass(frozen=True)
class Finding:
    """Fits of B people before they are judged: targets as they were taken (perhaps with sides exchanged), the bodies,
    their objective, the measured errors "B 4", and which exchange it was (0: none)."""

    targets: FitTargets
    params: BodyParams
    objective: Float[Tensor, "B"]
    sigma: Float[Tensor, "B 4"]
    swapped: Float[Tensor, "B"]

    def __getitem__(self, index: Tensor) -> "Finding":
        return Finding(
            self.targets[index], self.params[index], self.objective[index], self.sigma[index], self.swapped[index]
        )

    def updated(self, rows: Int[Tensor, "N"], other: "Finding", better: Bool[Tensor, "N"]) -> "Finding":
        """With the better ones of N others in their rows."""
        rows, other = rows[better], other[better.nonzero()[:, 0]]

        def put(old: Tensor, new: Tensor) -> Tensor:
            return old.index_copy(0, rows, new)

        mine, theirs = self.targets, other.targets
        return Finding(
            replace(
                mine,
                keypoints_px=put(mine.keypoints_px, theirs.keypoints_px),
                confidence=put(mine.confidence, theirs.confidence),
            ),
            put_params(self.params, rows, other.params),
            put(self.objective, other.objective),
            put(self.sigma, other.sigma),
            put(self.swapped, other.swapped),
        )


def join_findings(parts: Sequence[Finding]) -> Finding:
    """Several batches of findings as one; at least one."""
    params = {f.name: torch.cat([getattr(p.params, f.name) for p in parts]) for f in fields(BodyParams)}
    return Finding(
        join_fit_targets([p.targets for p in parts]),
        BodyParams(**params),
        torch.cat([p.objective for p in parts]),
        torch.cat([p.sigma for p in parts]),
        torch.cat([p.swapped for p in parts]),
    )


def put_params(whole: BodyParams, rows: Int[Tensor, "N"], some: BodyParams) -> BodyParams:
    """Bodies with some people replaced."""
    names = [f.name for f in fields(BodyParams)]
    return BodyParams(**{n: getattr(whole, n).index_copy(0, rows, getattr(some, n)) for n in names})


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
    seen = clean.confidence > 0
    torso, count = seen[:, list(TORSO)].sum(1), seen.sum(1)
    box, camera = targets.boxes, targets.camera
    flat = ~(torch.isfinite(box).all(1) & ((box[:, 2:] - box[:, :2]) >= 1).all(1))
    blind = ~(torch.isfinite(camera.focal_px) & (camera.focal_px > 0) & torch.isfinite(camera.center_px).all(1))
    points = torch.where(seen[..., None], clean.keypoints_px, clean.keypoints_px.sum(1, keepdim=True) * torch.nan)
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
            spread = points[k][seen[k]]
            if float((spread.amax(0) - spread.amin(0)).amax()) < 2:
                why = "all keypoints in one place"
        reasons.append(why)
    return reasons


def reprojections(points: Float[Tensor, "B 144 3"], targets: FitTargets) -> dict[str, Float[Tensor, "B"]]:
    """Mean distance of confident points, as a share of the box, of all and by part; NaN where a part has none."""
    off = (targets.camera.project(points) - targets.keypoints_px).norm(dim=-1) / box_side(targets)[:, None]
    group = torch.tensor(group_of_point(), device=off.device)
    scores = {"reprojection": _mean(off, targets.confidence)}
    for k, name in enumerate(GROUPS):
        scores[f"reprojection_{name}"] = _mean(off, targets.confidence * (group == k))
    return scores


def _mean(values: Tensor, weight: Tensor) -> Float[Tensor, "B"]:
    seen = (weight > 0).to(values)
    return torch.where(seen.sum(1) > 0, (values * seen).sum(1) / seen.sum(1).clamp_min(1), torch.nan)


def scores_of(layer: KeypointLayer, priors: PosePriors, finding: Finding) -> dict[str, Float[Tensor, "B"]]:
    """All scores of `Fits`."""
    posed = layer(finding.params)
    prior = priors.body(finding.params.body_pose)
    surprise = prior.residual.square().sum(1) + prior.constant
    return reprojections(posed.points, finding.targets) | {
        "pose_surprise": surprise,
        "shape_surprise": finding.params.betas.square().mean(1).sqrt(),
        "penetration_m": terms.penetration(posed, terms.capsules()).depth.sum(1),
        "points": (finding.targets.confidence > 0).sum(1).to(surprise),
        "swapped": finding.swapped,
    }


def judge(params: BodyParams, scores: dict[str, Float[Tensor, "B"]]) -> list[str]:
    """A verdict for each fit."""
    verdicts = []
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
        elif float(scores["pose_surprise"][k]) > MOST_SURPRISE:
            why = "a pose far from all known ones"
        elif float(scores["penetration_m"][k]) > MOST_PENETRATION_M:
            why = f"limbs {100 * float(scores['penetration_m'][k]):.0f} cm inside each other"
        verdicts.append(f"implausible: {why}" if why else FITTED)
    return verdicts
