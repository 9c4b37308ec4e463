"""Curated sets that `limner curate-export` wrote: photo by photo, with people, licence and source."""

import io
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from limner.body.axis_angle import params_from_pose_vectors
from limner.body.params import BodyParams
from limner.errors import LimnerError
from limner.geometry.camera import Camera
from limner.io.image_limits import open_image
from limner.reading.json_file import parsed_json, read_json
from limner.reading.npz_file import packed_arrays
from limner.reading.told import RefusedError, told_as

FORMAT, VERSION = "limner-curated", 1
DESCRIPTION = "dataset.json"
IMAGES = (".jpg", ".png")
AGAIN = "Export the set again."
Split = Literal["train", "val"]


class CuratedError(LimnerError):
    """An exported curated set cannot be read."""


@dataclass(frozen=True)
class CuratedPhoto:
    """One photo and the P people of it that were handed on.

    image       the file's bytes (upright JPEG or PNG): see `pixels`
    params      the fits, in camera axes, `transl` included; quality "P" in [0, 1]
    keypoints_px, confidence   "P 144 2", "P 144": the points they were fitted to
    by_hand     "P 144" 1 where a reviewer set the point
    camera, boxes  one row a person; boxes "P 4" x0 y0 x1 y1 photo pixels
    about       the rest: file, sha256, body, and for each person reviewer, decision, scores, flags
    """

    key: str
    split: Split
    image: bytes
    params: BodyParams
    camera: Camera
    boxes: Float[Tensor, "P 4"]
    keypoints_px: Float[Tensor, "P 144 2"]
    confidence: Float[Tensor, "P 144"]
    by_hand: Float[Tensor, "P 144"]
    quality: Float[Tensor, "P"]
    licence: str
    source: str
    about: dict[str, Any]

    def __len__(self) -> int:
        return len(self.boxes)

    def truth(self, least_quality: float = 0.0) -> "CuratedTruth":
        """Its people as training wants them: those of that quality, or with a point set by hand."""
        good = (self.quality >= least_quality) | (self.by_hand > 0).any(1)
        rows = good.nonzero()[:, 0]
        return CuratedTruth(
            self.params[rows],
            self.camera[rows],
            self.boxes[rows],
            self.keypoints_px[rows],
            torch.where(self.by_hand > 0, torch.ones_like(self.confidence), self.confidence)[rows],
        )

    def pixels(self) -> UInt8[Tensor, "3 H W"]:
        """The photo, RGB. Raises PhotoError for a damaged one."""
        with open_image(io.BytesIO(self.image), str(self.about.get("file", self.key)), ("JPEG", "PNG")) as image:
            return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()


@dataclass(frozen=True)
class CuratedTruth:
    """N people of one photo or of many: what a rendered shard knows of them too, and the points that people checked.

    params, camera  as in `limner.data.evidence.Evidence`: camera axes, `transl` included
    boxes           "N 4" photo pixels
    keypoints_px, confidence   "N 144 2", "N 144"; 1 where a reviewer set the point, 0: not seen
    """

    params: BodyParams
    camera: Camera
    boxes: Float[Tensor, "N 4"]
    keypoints_px: Float[Tensor, "N 144 2"]
    confidence: Float[Tensor, "N 144"]

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def visible(self) -> Bool[Tensor, "N 144"]:
        """Which points were seen."""
        return self.confidence > 0


def read_curated(folder: Path, split: Split, licences: Sequence[str] | None = None) -> Iterator[CuratedPhoto]:
    """The photos of a split in a fixed order, one at a time; only those of the given licences, if any are given.

    Training: `CuratedPhoto.truth` has the people as an evidence shard knows them; ready shards, with what the frozen
    backbones see, are written by `limner curate-export --layouts evidence`. Raises CuratedError.
    """
    check_curated(folder)
    for path in sorted((folder / "shards").glob(f"{split}-*.tar")):
        with told_as(CuratedError, path, AGAIN), tarfile.open(path, "r:") as tar:
            for key, files in _samples(tar, path.stat().st_size):
                sample = _photo(key, split, files)
                if licences is None or sample.licence in licences:
                    yield sample


def check_curated(folder: Path) -> dict[str, Any]:
    """What an exported set says of itself: body, counts, licences. Raises CuratedError."""
    made = f"limner curate-export SET --out {folder}"
    cure = f"It is no curated data set of limner, version {VERSION}. Make it with: {made}"
    with told_as(CuratedError, folder, cure):
        described = read_json(folder / DESCRIPTION)
        if described["format"] != FORMAT or described["version"] != VERSION:
            raise RefusedError(f"format {described['format']!r:.50} version {described['version']!r:.50}")
        return dict(described)


def _samples(tar: tarfile.TarFile, size: int) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Neighbouring files of one key, by ending."""
    key, files = "", dict[str, bytes]()
    for entry in tar:
        name = Path(entry.name)
        if entry.size > size:  # a sparse entry says that it is as long as it likes
            raise RefusedError(f"{entry.name!r:.100} says that it has {entry.size} bytes")
        if name.stem != key and files:
            yield key, files
            files = {}
        handle = tar.extractfile(entry)
        if handle is not None:
            key, files[name.suffix] = name.stem, handle.read()
    if files:
        yield key, files


def _photo(key: str, split: Split, files: dict[str, bytes]) -> CuratedPhoto:
    about = parsed_json(files[".json"])
    t = {name: torch.from_numpy(array) for name, array in packed_arrays(files[".npz"]).items()}
    if len({len(tensor) for tensor in t.values()}) != 1:
        raise RefusedError(f"the arrays of {key} are of different lengths")
    betas, expression = (t.get(f"limner_{name}", t[name]) for name in ("betas", "expression"))
    params = params_from_pose_vectors(t["pose"], betas, expression, t["transl"])
    return CuratedPhoto(
        key=key,
        split=split,
        image=next(files[ending] for ending in IMAGES if ending in files),
        params=params,
        camera=Camera(t["focal_px"], t["center_px"]),
        boxes=t["boxes"],
        keypoints_px=t["keypoints_px"][..., :2],
        confidence=t["keypoints_px"][..., 2],
        by_hand=t["by_hand"],
        quality=t["quality"],
        licence=about["licence"],
        source=about["source"],
        about=about,
    )
