"""Records of the people of a set, and the bytes in which they are kept."""

from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
from jaxtyping import Float
from safetensors.torch import load, save
from torch import Tensor

from limner.body.params import BodyParams
from limner.data.evidence import kept_observations, observation_tensors, squares_of
from limner.fit.records import FitTargets
from limner.geometry.camera import Camera
from limner.pipeline.people import PeopleObservations
from limner.records import Rows

Decision = Literal["open", "accepted", "rejected"]
DECISIONS: tuple[Decision, ...] = ("open", "accepted", "rejected")


@dataclass(frozen=True)
class Seen(Rows):
    """What the networks saw of B people, of one photo or of several: all that a fit needs, no pixels.

    estimate  the regressor's SMPL-X parameters in camera axes
    targets   the 2D points to fit to, camera and box; a point set by hand has confidence 1 and `by_hand` 1
    by_hand   "B 144" 1 where a reviewer set the point
    size_px   "B 2" width and height of the photo
    blur      "B" 0 sharp .. 1 blurred (see `score.blur`); score "B" of the detector
    observations  what the part networks observed, to train from; sets made by older versions have none
    """

    estimate: BodyParams
    targets: FitTargets
    by_hand: Float[Tensor, "B 144"]
    size_px: Float[Tensor, "B 2"]
    blur: Float[Tensor, "B"]
    score: Float[Tensor, "B"]
    observations: PeopleObservations | None = None


@dataclass(frozen=True)
class Judged:
    """B people fitted and scored.

    params   SMPL-X parameters in camera axes; quality "B" in [0, 1]
    verdict  the fit's own word; flags: names of the scores that are out of bounds, worst first
    scores   by name, NaN where there is nothing to score
    """

    params: BodyParams
    quality: Float[Tensor, "B"]
    verdict: tuple[str, ...]
    flags: tuple[tuple[str, ...], ...]
    scores: dict[str, Float[Tensor, "B"]]

    def __len__(self) -> int:
        return len(self.verdict)

    def one(self, row: int) -> "Judged":
        """One of the people, as a Judged of length 1."""
        rows = slice(row, row + 1)
        scores = {name: values[rows] for name, values in self.scores.items()}
        return Judged(self.params[rows], self.quality[rows], self.verdict[rows], self.flags[rows], scores)


def seen_tensors(seen: Seen) -> dict[str, Tensor]:
    """All of it by name; rotations as matrices: but for the networks' features (float16) nothing is rounded."""
    targets = seen.targets
    tensors = params_tensors(seen.estimate) | {
        "keypoints_px": targets.keypoints_px,
        "confidence": targets.confidence,
        "focal_px": targets.camera.focal_px,
        "center_px": targets.camera.center_px,
        "boxes": targets.boxes,
        "by_hand": seen.by_hand,
        "size_px": seen.size_px,
        "blur": seen.blur,
        "score": seen.score,
    }
    for part, kept in ({} if seen.observations is None else seen.observations.rows()).items():
        if kept.features.keypoints is None or kept.features.presence is None:
            continue  # a backbone of one's own that gives no points: nothing to train from
        tensors |= {f"{part}.{name}": value for name, value in observation_tensors(kept).items()}
    return tensors


def seen_from_tensors(t: dict[str, Tensor]) -> Seen:
    """Inverse of `seen_tensors`."""
    camera = Camera(t["focal_px"], t["center_px"])
    targets = FitTargets(t["keypoints_px"], t["confidence"], camera, t["boxes"])
    seen = Seen(params_from_tensors(t), targets, t["by_hand"], t["size_px"], t["blur"], t["score"])
    parts = {}
    for part in (f.name for f in fields(PeopleObservations)):
        kept = {key.removeprefix(f"{part}."): value for key, value in t.items() if key.startswith(f"{part}.")}
        if not kept:
            return seen
        of_crops = kept["pooled"].float(), kept["keypoints"], kept["presence"], squares_of(kept), kept["mirrored"]
        parts[part] = kept_observations(*of_crops, seen.size_px)
    return replace(seen, observations=PeopleObservations(**parts))


def params_tensors(params: BodyParams) -> dict[str, Tensor]:
    """The fields of BodyParams by name."""
    return {f.name: getattr(params, f.name) for f in fields(params)}


def params_from_tensors(t: dict[str, Tensor]) -> BodyParams:
    """Inverse of `params_tensors`; other names are left alone."""
    return BodyParams(**{f.name: t[f.name] for f in fields(BodyParams)})


def to_bytes(tensors: dict[str, Tensor]) -> bytes:
    """Named tensors as one safetensors blob, bit for bit."""
    # cloned: the rest pose's rotations are one tensor under several names, which the format refuses
    return save({k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()})


def from_bytes(blob: bytes) -> dict[str, Tensor]:
    """Inverse of `to_bytes`."""
    return load(blob)
