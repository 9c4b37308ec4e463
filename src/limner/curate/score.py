"""Scores of fits, by rules alone. Numbers a person, one quality in [0, 1], and the names of what is wrong."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import avg_pool1d, interpolate

from limner.body.keypoints import keypoint_indices
from limner.body.model import BodyModel
from limner.curate.records import Judged, Seen
from limner.fit.records import Fits
from limner.geometry.box import inside

BLUR_SIDE = 512
"""Blur is measured on a person of at most so many pixels: what is finer does not help anybody."""
VISIBLE = 0.3
"""Points of less confidence do not say where a person is."""


@dataclass(frozen=True)
class Bound:
    """A score is fine up to `good`, useless from `bad` on; a falling one (bad < good) the other way round."""

    good: float
    bad: float

    def share(self, values: Float[Tensor, "B"]) -> Float[Tensor, "B"]:
        """1 where fine, 0 where useless, linear between; 1 where there is nothing to score (NaN)."""
        return ((values - self.bad) / (self.good - self.bad)).clamp(0, 1).nan_to_num(1.0)


BOUNDS: dict[str, Bound] = {
    "reprojection_body": Bound(0.02, 0.08),
    "reprojection_left_hand": Bound(0.012, 0.05),
    "reprojection_right_hand": Bound(0.012, 0.05),
    "reprojection_face": Bound(0.01, 0.04),
    "pose_surprise": Bound(50.0, 130.0),
    "shape_surprise": Bound(1.2, 3.0),
    "penetration_m": Bound(0.03, 0.15),
    "agreement_mm": Bound(60.0, 250.0),
    "cut_off": Bound(0.15, 0.7),
    "blur": Bound(0.55, 0.85),
    "height_px": Bound(160.0, 40.0),
    "seen": Bound(0.5, 0.1),
}
"""Scores that count. reprojection_* as a share of the box; what the others mean: `docs/curation.md`."""

FLAG_BELOW = 0.5
"""A score whose share is lower is named as a flaw."""


def judge(model: BodyModel, seen: Seen, fits: Fits) -> Judged:
    """Scores, flags and quality of B fitted people; who was not fitted has quality 0.

    The quality is the product of the shares of all BOUNDS: one useless score makes a useless fit.
    """
    scores = {name: values.float() for name, values in fits.scores.items()} | own_scores(model, seen, fits)
    shares = {name: bound.share(scores[name]) for name, bound in BOUNDS.items() if name in scores}
    good = fits.fitted
    quality = torch.stack(list(shares.values())).prod(0) * good
    flags = []
    for row in range(len(fits)):
        worst = sorted((float(values[row]), name) for name, values in shares.items())
        flags.append(tuple(name for share, name in worst if share < FLAG_BELOW))
    return Judged(fits.params, quality, fits.status, tuple(flags), scores)


def own_scores(model: BodyModel, seen: Seen, fits: Fits) -> dict[str, Float[Tensor, "B"]]:
    """What the fit itself cannot know.

    agreement_mm  mean distance of the fit's 55 joints from the regressor's, pelvis on pelvis
    cut_off       share of the fit's body points (COCO's 17 and 6 of the feet) outside the photo
    seen          share of those points that were seen
    blur, height_px (longer side of the box), detector
    """
    fitted, regressed = model.joints(fits.params), model.joints(seen.estimate)
    apart = (fitted - fitted[:, :1]) - (regressed - regressed[:, :1])
    names = list(dict.fromkeys((*keypoint_indices("coco17"), *keypoint_indices("coco_wholebody133")[17:23])))
    small = model.keypoints_only()
    body_px = fits.camera.project(small.keypoints144(small(fits.params), fits.params)[:, names])
    sides = seen.targets.boxes[:, 2:] - seen.targets.boxes[:, :2]
    return {
        "agreement_mm": apart.norm(dim=-1).mean(-1) * 1000,
        "cut_off": 1 - inside(body_px, seen.size_px).float().mean(-1),
        "seen": (seen.targets.confidence[:, names] > VISIBLE).float().mean(-1),
        "blur": seen.blur,
        "height_px": sides.amax(-1),
        "detector": seen.score,
    }


def blur(photo: UInt8[Tensor, "3 H W"], box: Float[Tensor, "4"]) -> float:
    """How blurred is what is in the box? 0 sharp, 1 blurred; about 0.3 for a sharp photo.

    A sharp picture loses much of its variation between neighbours when it is blurred, a blurred one little (Crete et
    al., The Blur Effect, SPIE 2007). NaN for a box of no pixels inside the photo.
    """
    height, width = photo.shape[1:]
    left, top = (max(0, math.floor(value)) for value in box[:2].tolist())
    right, bottom = min(width, math.ceil(float(box[2]))), min(height, math.ceil(float(box[3])))
    if right - left < 12 or bottom - top < 12:
        return math.nan
    grey = photo[:, top:bottom, left:right].float().mean(0)
    shrink = BLUR_SIDE / max(grey.shape)
    if shrink < 1:
        size = [max(12, round(side * shrink)) for side in grey.shape]
        grey = interpolate(grey[None, None], size, mode="bilinear", antialias=True)[0, 0]
    return max(_blur_along(grey), _blur_along(grey.mT))


def _blur_along(grey: Float[Tensor, "H W"]) -> float:
    smooth = avg_pool1d(grey[:, None], 9, stride=1, padding=4, count_include_pad=False)[:, 0]
    before, after = grey.diff(dim=1).abs(), smooth.diff(dim=1).abs()
    lost = (before - after).clamp_min(0).sum()
    return float(1 - lost / before.sum().clamp_min(1e-6))
