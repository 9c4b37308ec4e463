"""What do the frozen backbones see of curated people? Shards like those of `limner harvest`, with the fits as truth."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from limner.body.keypoints import FACE68, KEYPOINT_NAMES, hand21, indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.curate.records import Seen
from limner.data.evidence import Evidence, write_shard
from limner.geometry.box import Squares, inside
from limner.geometry.warp import crop
from limner.networks.backbone import Backbone
from limner.networks.blaze.pose import POSE_POINTS
from limner.networks.weights import PARTS, NetSpec, Part, build_backbone
from limner.train.harvest import JITTER, jittered, join_evidence, true_squares

SHARD = 128
SURE = 0.3
NAMED = {*POSE_POINTS, *hand21("left"), *hand21("right"), *FACE68}
"""Points that some network names; of others (spine, collars, ...) it is only known whether they are in the photo."""


@dataclass
class EvidenceShards:
    """Writes `{part}_curated_NNNNN.safetensors` into a folder; `limner train --evidence` reads them beside others."""

    folder: Path
    model: BodyModel
    backbones: dict[Part, Backbone] = field(
        default_factory=lambda: {part: build_backbone(NetSpec(part)) for part in PARTS}
    )
    waiting: dict[Part, list[Evidence]] = field(default_factory=lambda: {part: [] for part in PARTS})
    written: dict[Part, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))

    def add(self, pixels: UInt8[Tensor, "3 H W"], seen: Seen, fit: BodyParams, seed: int) -> None:
        """One person (records of length 1): its body, both hands and face, each as far as it was seen."""
        for part in PARTS:
            for mirrored in (False, True) if part == "hand" else (False,):
                if _worth(part, mirrored, seen.targets.confidence[0]):
                    look = evidence_of(part, self.backbones[part], self.model, pixels, seen, fit, mirrored, seed)
                    self.waiting[part].append(look)
            if len(self.waiting[part]) >= SHARD:
                self._write(part)

    def close(self) -> None:
        """Write what waits."""
        for part in PARTS:
            if self.waiting[part]:
                self._write(part)

    def _write(self, part: Part) -> None:
        path = self.folder / f"{part}_curated_{self.written[part]:05d}.safetensors"
        write_shard(path, join_evidence(self.waiting[part]))
        self.waiting[part] = []
        self.written[part] += 1


@torch.no_grad()
def evidence_of(
    part: Part,
    backbone: Backbone,
    model: BodyModel,
    pixels: UInt8[Tensor, "3 H W"],
    seen: Seen,
    fit: BodyParams,
    mirrored: bool,
    seed: int,
) -> Evidence:
    """One crop of one part, cut about the fit's own points and moved a little at random, and what is seen in it."""
    fit_px = seen.targets.camera.project(model.keypoints144(model(fit), fit))
    mirror = torch.tensor([mirrored])
    generator = torch.Generator().manual_seed(seed * 7 + PARTS.index(part) + 3 * mirrored)
    squares: Squares = jittered(true_squares(part, fit_px, mirror), JITTER[part], generator)
    features = backbone(crop(pixels, squares, backbone.crop_size, mirror).pixels)
    assert features.keypoints is not None and features.presence is not None
    return Evidence(
        pooled=features.pooled,
        keypoints=features.keypoints,
        presence=features.presence,
        image=features.pooled.new_zeros(1, 0) if features.image is None else features.image,
        params=fit,
        camera=seen.targets.camera,
        squares=squares,
        mirrored=mirror,
        visible=visible(seen, fit_px),
    )


def visible(seen: Seen, fit_px: Float[Tensor, "B 144 2"]) -> Bool[Tensor, "B 144"]:
    """Points that were seen; those that no network names count as seen inside the photo."""
    named = torch.tensor([name in NAMED for name in KEYPOINT_NAMES])
    return torch.where(named, seen.targets.confidence > SURE, inside(fit_px, seen.size_px))


def _worth(part: Part, mirrored: bool, confidence: Float[Tensor, "144"]) -> bool:
    """Whether the part was seen well enough for its fit to be a truth."""
    if part == "body":
        return True
    names = FACE68 if part == "face" else hand21("left" if mirrored else "right")[1:]
    return float((confidence[list(indices_of(names))] > SURE).float().mean()) > 0.5
