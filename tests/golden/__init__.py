"""Golden results of the whole flow: some 70 people of the bundled and the shared photos, kept as small numbers.

`python -m tests.golden` writes people.npz anew; do so only where results change on purpose, and say so in the commit.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from limner.estimator import Estimator
from limner.pipeline.people import People

NUMBERS = Path(__file__).with_name("people.npz")
BUNDLED = Path(__file__).parents[2] / "src" / "limner" / "assets" / "photos"
SHARED_SETS = {  # which images of a set, and whether the labelled boxes are given
    "fashion_studio": (slice(0, None, 20), False),
    "lsp": (slice(0, None, 20), True),
    "coco_mini": (slice(0, 9), True),
    "photos": (slice(0, None, 5), False),
}
EVERY_VERTEX = 150


@dataclass(frozen=True)
class Case:
    """A photo, the boxes of its people if they are given, and its name among the golden numbers."""

    name: str
    photo: Path
    boxes: torch.Tensor | None


def bundled_cases() -> Iterator[Case]:
    """The photos that ship with limner."""
    for photo in sorted(BUNDLED.glob("*.jpg")):
        yield Case(photo.stem, photo, None)


def shared_cases(shared: Path) -> Iterator[Case]:
    """Labelled and other photos of the shared data."""
    for name, (which, boxes_given) in SHARED_SETS.items():
        folder = shared / "data" / "photos_dev" / name
        labels = json.loads((folder / "annotations.json").read_text(encoding="utf-8"))
        for image in labels["images"][which]:
            boxes = None
            if boxes_given:
                rows = [a["bbox"] for a in labels["annotations"] if a["image_id"] == image["id"]]
                xywh = torch.tensor(rows, dtype=torch.float32)
                boxes = torch.cat([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], -1)
            yield Case(f"{name}.{Path(image['file_name']).stem}", folder / image["file_name"], boxes)


def numbers(people: People) -> dict[str, np.ndarray]:
    """What is kept of a photo's people: points in pixels, and some vertices about their mean, metres."""
    vertices = people.vertices[:, ::EVERY_VERTEX]
    return {
        "points_px": people.keypoints_px.numpy(),
        "vertices": (vertices - vertices.mean(1, keepdim=True)).numpy(),
    }


def write(shared: Path) -> None:
    """Estimate everybody and write NUMBERS."""
    estimator = Estimator.load()
    arrays = {}
    for case in [*bundled_cases(), *shared_cases(shared)]:
        for key, value in numbers(estimator(case.photo, case.boxes)).items():
            arrays[f"{case.name}.{key}"] = value.astype(np.float32)
    np.savez_compressed(NUMBERS, **arrays)  # type: ignore[arg-type]
