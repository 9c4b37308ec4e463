"""Evidence shards of curated people: what the networks observed of them, with the fits as targets."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limner.body.keypoints import FACE68, KEYPOINT_NAMES, hand21, indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.curate.records import Seen
from limner.data.evidence import Evidence, write_shard
from limner.errors import DataSetError
from limner.geometry.box import inside
from limner.networks.blaze.pose import POSE_POINTS
from limner.networks.part_net import PARTS, Observations, Part
from limner.records import join

SHARD = 128
SURE = 0.3
NAMED = {*POSE_POINTS, *hand21("left"), *hand21("right"), *FACE68}
"""Points that some network names; of others (spine, collars, ...) it is only known whether they are in the photo."""


@dataclass
class EvidenceShards:
    """Writes `{part}_curated_NNNNN.safetensors` into a folder; `limner train regressor` reads them beside others."""

    folder: Path
    model: BodyModel
    waiting: dict[Part, list[Evidence]] = field(default_factory=lambda: {part: [] for part in PARTS})
    written: dict[Part, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))

    def add(self, seen: Seen, fit: BodyParams) -> None:
        """One person (records of length 1): its body, both hands and face, each as far as it was seen."""
        kept = seen.observations
        if kept is None:
            raise DataSetError(
                "this set was made before observations were kept with it, so there is no evidence to export. Curate "
                "the photos again into another folder, or leave `evidence` out of --layouts."
            )
        camera = seen.targets.camera
        shown = visible(seen, camera.project(self.model.keypoints144(self.model(fit), fit)))
        parts: tuple[tuple[Part, Observations, tuple[str, ...]], ...] = (
            ("body", kept.body, ()),
            ("hand", kept.right_hand, hand21("right")[1:]),
            ("hand", kept.left_hand, hand21("left")[1:]),
            ("face", kept.face, FACE68),
        )
        for part, observations, names in parts:
            sure = seen.targets.confidence[0, list(indices_of(names))] > SURE
            if not names or float(sure.float().mean()) > 0.5:  # seen well enough for its fit to be a target
                self.waiting[part].append(Evidence.of(observations, fit, camera, shown))
            if len(self.waiting[part]) >= SHARD:
                self._write(part)

    def close(self) -> None:
        """Write what waits."""
        for part in PARTS:
            if self.waiting[part]:
                self._write(part)

    def _write(self, part: Part) -> None:
        write_shard(self.folder / f"{part}_curated_{self.written[part]:05d}.safetensors", join(self.waiting[part]))
        self.waiting[part] = []
        self.written[part] += 1


def visible(seen: Seen, fit_px: Float[Tensor, "B 144 2"]) -> Bool[Tensor, "B 144"]:
    """Points that were seen; those that no network names count as seen inside the photo."""
    named = torch.tensor([name in NAMED for name in KEYPOINT_NAMES])
    return torch.where(named, seen.targets.confidence > SURE, inside(fit_px, seen.size_px))
