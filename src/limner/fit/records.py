"""What goes into a fit and what comes out of it?"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limner.body.params import BodyParams
from limner.geometry.camera import Camera
from limner.records import Rows

FITTED = "fitted"
"""The verdict of a fit that may be used; others begin with "not fitted: " or "implausible: "."""

SCORES = (
    "reprojection", "reprojection_body", "reprojection_left_hand", "reprojection_right_hand", "reprojection_face",
    "pose_surprise", "shape_surprise", "penetration_m", "points", "swapped",
)  # fmt: skip
"""Names of `Fits.scores`."""


@dataclass(frozen=True)
class FitTargets(Rows):
    """2D keypoints of B people, of one photo or of many.

    keypoints_px  "B 144 2" ExPose's 144 points (`limner.body.keypoints`), photo pixels
    confidence    "B 144" in [0, 1]; 0: not there. NaN in a point or its confidence: not there
    camera        pinhole of each person's photo
    boxes         "B 4" x0 y0 x1 y1 photo pixels: what errors are measured against
    """

    keypoints_px: Float[Tensor, "B 144 2"]
    confidence: Float[Tensor, "B 144"]
    camera: Camera
    boxes: Float[Tensor, "B 4"]


def join_fit_targets(parts: Sequence[FitTargets]) -> FitTargets:
    """The people of several photos in one batch."""
    return FitTargets(
        torch.cat([t.keypoints_px for t in parts]),
        torch.cat([t.confidence for t in parts]),
        Camera(torch.cat([t.camera.focal_px for t in parts]), torch.cat([t.camera.center_px for t in parts])),
        torch.cat([t.boxes for t in parts]),
    )


@dataclass(frozen=True)
class Fits:
    """B people fitted.

    params     SMPL-X parameters, `transl` in camera axes; who was not fitted has the start, or the rest pose
    camera     as given
    objective  "B" what was minimised, lower is better; infinite for who was not fitted
    verdict    per person "fitted", "not fitted: <why>" or "implausible: <why>"
    scores     per person, by name; NaN where there is nothing to score:
        reprojection_body, reprojection_left_hand, reprojection_right_hand, reprojection_face, reprojection:
            mean distance of the confident keypoints from the fit's, as a share of the box's longer side
        pose_surprise       squared distance of the body pose from the nearest typical one, in standard deviations
                            (`limner.fit.prior`; about 63 for an average person)
        shape_surprise      root mean square of the betas (1 is average)
        penetration_m       sum of how deep limbs lie in each other, metres
        points              how many keypoints of the fit were confident
        swapped             0, or which left and right keypoints were taken to be exchanged: 1 all limbs, 2 legs, 3 arms
    """

    params: BodyParams
    camera: Camera
    objective: Float[Tensor, "B"]
    verdict: tuple[str, ...]
    scores: dict[str, Float[Tensor, "B"]]

    def __len__(self) -> int:
        return len(self.verdict)

    def __getitem__(self, index: Tensor) -> "Fits":
        """Some of the people; `index` holds their numbers."""
        return Fits(
            self.params[index],
            self.camera[index],
            self.objective[index],
            tuple(self.verdict[k] for k in index.tolist()),
            {name: values[index] for name, values in self.scores.items()},
        )

    @property
    def fitted(self) -> Bool[Tensor, "B"]:
        """Who has the verdict "fitted"."""
        return torch.tensor([verdict == FITTED for verdict in self.verdict], dtype=torch.bool)


def join_fits(parts: Sequence[Fits]) -> Fits:
    """Several batches of fits as one; at least one."""
    params = {f.name: torch.cat([getattr(p.params, f.name) for p in parts]) for f in fields(BodyParams)}
    return Fits(
        BodyParams(**params),
        Camera(torch.cat([p.camera.focal_px for p in parts]), torch.cat([p.camera.center_px for p in parts])),
        torch.cat([p.objective for p in parts]),
        tuple(verdict for p in parts for verdict in p.verdict),
        {name: torch.cat([p.scores[name] for p in parts]) for name in SCORES},
    )
