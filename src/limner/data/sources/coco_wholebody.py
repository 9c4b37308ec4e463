"""How is COCO-WholeBody read as its authors hand it out? 133 points a person on COCO's 2017 photos."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from limner.data.sources.layout import Layout
from limner.reading.json_file import MOST_DATA_BYTES, read_json

LAYOUT = Layout(
    "COCO-WholeBody 1.0",
    "https://github.com/jin-s13/COCO-WholeBody (annotations) and https://cocodataset.org (photos)",
    "annotations: non-commercial research; photos: their own Flickr licences",
    "annotations/coco_wholebody_train_v1.0.json\n"
    "annotations/coco_wholebody_val_v1.0.json\n"
    "train2017/*.jpg\n"
    "val2017/*.jpg",
)
GROUPS: dict[str, tuple[str, str | None]] = {
    "body": ("keypoints", None),
    "feet": ("foot_kpts", "foot_valid"),
    "face": ("face_kpts", "face_valid"),
    "left_hand": ("lefthand_kpts", "lefthand_valid"),
    "right_hand": ("righthand_kpts", "righthand_valid"),
}
"""In the order of the 133 points: where the points lie, and the field that says whether they are labelled."""
COUNTS = {"body": 17, "feet": 6, "face": 68, "left_hand": 21, "right_hand": 21}


@dataclass(frozen=True)
class WholeBody:
    """One person: box x0 y0 x1 y1 and 133 points in photo pixels; confidence 0: not labelled."""

    name: str
    photo: Path
    box: Float[Tensor, "4"]
    points_px: Float[Tensor, "133 2"]
    confidence: Float[Tensor, "133"]


def read_coco_wholebody(folder: Path, split: Literal["train", "val"]) -> Iterator[WholeBody]:
    """The people of a split one after the other, crowds and people without any point left out.

    Raises DataSetError for missing or damaged files when the first person is asked for.
    """
    name = f"annotations/coco_wholebody_{split}_v1.0.json"
    LAYOUT.need(folder, name)
    with LAYOUT.reading(folder / name):
        content = read_json(folder / name, MOST_DATA_BYTES)
        photos = {image["id"]: folder / f"{split}2017" / image["file_name"] for image in content["images"]}
        annotations = content["annotations"]
    with LAYOUT.reading(folder / name):
        for entry in annotations:
            points = _points(entry)
            if not entry.get("iscrowd") and bool((points[:, 2] > 0).any()):
                x, y, width, height = map(float, entry["bbox"])
                yield WholeBody(
                    name=f"{photos[entry['image_id']].stem}#{entry['id']}",
                    photo=photos[entry["image_id"]],
                    box=torch.tensor([x, y, x + width, y + height]),
                    points_px=points[:, :2],
                    confidence=points[:, 2].clamp(max=1.0),
                )


def _points(entry: dict[str, Any]) -> Tensor:
    rows = []
    for group, (field, valid) in GROUPS.items():
        given = torch.tensor(entry[field], dtype=torch.float32).reshape(COUNTS[group], 3)
        rows.append(given if valid is None or entry.get(valid) else torch.zeros_like(given))
    return torch.cat(rows)
