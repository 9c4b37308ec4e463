"""Targets of fits, and the people that were fitted."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limner.body.keypoints import KEYPOINT_NAMES, KEYPOINT_SETS, hand21, keypoint_indices
from limner.body.params import BodyParams
from limner.body.skeleton import mirrored_name
from limner.errors import KeypointFileError
from limner.fit.proximity import ProximityPrior
from limner.geometry.camera import Camera
from limner.index import Index, rows_of
from limner.io.keypoint_file import PersonKeypoints, person_box
from limner.records import Rows, join

FITTED = "fitted"
"""The status of a fit that may be used; others begin with "not fitted: " or "implausible: "."""

SCORES = (
    "reprojection", "reprojection_body", "reprojection_left_hand", "reprojection_right_hand", "reprojection_face",
    "pose_surprise", "shape_surprise", "penetration_m", "points", "swapped",
)  # fmt: skip
"""Names of `Fits.scores`."""
_ARM = ("collar", "shoulder", "elbow", "wrist")
_LEG = ("hip", "knee", "ankle", "foot", "big_toe", "small_toe", "heel")
ARMS = (*(f"{side}_{name}" for side in ("left", "right") for name in _ARM), *hand21("left"), *hand21("right"))
LEGS = tuple(f"{side}_{name}" for side in ("left", "right") for name in _LEG)
SWAPS = (ARMS + LEGS, LEGS, ARMS)
"""What detectors exchange: all limbs of somebody seen from behind, or only the legs or the arms. Never the face."""


@dataclass(frozen=True)
class FitTargets(Rows):
    """2D keypoints of B people, of one photo or of many.

    keypoints_px  "B 144 2" ExPose's 144 points (`limner.body.keypoints`), photo pixels
    confidence    "B 144" in [0, 1]; 0: not there. NaN in a point or its confidence: not there
    camera        pinhole of each person's photo
    boxes         "B 4" x0 y0 x1 y1 photo pixels: what errors are measured against
    sigma         "B 4" usual errors of points of body, left hand, right hand, face, as shares of the box's longer side,
                  once a fit has measured them
    near          what the bodies stay near, if anything
    """

    keypoints_px: Float[Tensor, "B 144 2"]
    confidence: Float[Tensor, "B 144"]
    camera: Camera
    boxes: Float[Tensor, "B 4"]
    sigma: Float[Tensor, "B 4"] | None = None
    near: ProximityPrior | None = None


def fit_targets(people: Sequence[PersonKeypoints], camera: Camera) -> FitTargets:
    """Keypoints of any known set as targets; `camera` has one row a person.

    People without box and without three seen points get the box 0 0 0 0. Raises KeypointFileError for a set whose
    points are not all among ExPose's 144.
    """
    count = len(people)
    points = camera.focal_px.new_zeros(count, len(KEYPOINT_NAMES), 2)
    confidence, boxes = torch.zeros_like(points[..., 0]), points.new_zeros(count, 4)
    for row, person in enumerate(people):
        if person.name_set not in KEYPOINT_SETS:
            raise KeypointFileError(
                f"person {row} has keypoints of the set {person.name_set!r}, expected one of "
                f"{', '.join(KEYPOINT_SETS)}. Write the keypoints in one of them."
            )
        index = list(keypoint_indices(person.name_set))
        # a point named twice in a set (the wrists of COCO-WholeBody) is kept where it is surer
        order = person.confidence.argsort(stable=True)
        for k in order.tolist():
            points[row, index[k]], confidence[row, index[k]] = person.xy[k], person.confidence[k]
        box = person_box(person)
        if box is not None:
            boxes[row] = box
    return FitTargets(points, confidence.clamp(0, 1), camera, boxes)


def swapped_targets(targets: FitTargets, names: tuple[str, ...]) -> FitTargets:
    """The targets with these left and right points exchanged."""
    order = [KEYPOINT_NAMES.index(mirrored_name(name) if name in names else name) for name in KEYPOINT_NAMES]
    return replace(targets, keypoints_px=targets.keypoints_px[:, order], confidence=targets.confidence[:, order])


@dataclass(frozen=True)
class Fits(Rows):
    """B people fitted.

    params     SMPL-X parameters, `transl` in camera axes; who was not fitted has the start, or the rest pose
    camera     as given
    objective  "B" what was minimised, lower is better; infinite for who was not fitted
    status     per person "fitted", "not fitted: <why>" or "implausible: <why>"
    scores     per person, by name; NaN where there is nothing to score:
        reprojection_body, reprojection_left_hand, reprojection_right_hand, reprojection_face, reprojection:
            mean distance of the confident keypoints from the fit's, as a share of the box's longer side
        pose_surprise       negative log-likelihood of the body pose, twice, up to a constant: the squared distance from
                            the nearest Gaussian in standard deviations (`limner.fit.prior`; about 63 on average)
        shape_surprise      root mean square of the betas (1 is average)
        penetration_m       sum of how deep limbs lie in each other, metres
        points              how many keypoints of the fit were confident
        swapped             0, or which left and right keypoints were taken to be exchanged: 1 all limbs, 2 legs, 3 arms
    """

    params: BodyParams
    camera: Camera
    objective: Float[Tensor, "B"]
    status: tuple[str, ...] = field(metadata={"shared": True})
    scores: dict[str, Float[Tensor, "B"]]

    def __getitem__(self, index: Index) -> "Fits":
        """Some of the people."""
        rows = torch.arange(len(self), device=self.objective.device)[rows_of(index, len(self))]
        return replace(super().__getitem__(rows), status=tuple(self.status[k] for k in rows.tolist()))

    @property
    def fitted(self) -> Bool[Tensor, "B"]:
        """Who has the status "fitted"."""
        return torch.tensor([s == FITTED for s in self.status], dtype=torch.bool, device=self.objective.device)


def join_fits(parts: Sequence[Fits]) -> Fits:
    """Several batches of fits as one; at least one."""
    return replace(join(parts), status=tuple(status for p in parts for status in p.status))
