"""Labelled people of a folder of photos: COCO-WholeBody annotations in sub-folders, as plain records."""

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limner.body.keypoints import KEYPOINT_SETS
from limner.errors import LimnerError
from limner.reading.json_file import MOST_DATA_BYTES, read_json
from limner.reading.told import told_as

Frame = Literal["person", "hand", "face"]
"""What a person's box frames: the person, or only a hand or a face (`bbox_kind` in the file says so)."""

LSP_EXTRA = ("neck", "head_top")
POINT_NAMES = KEYPOINT_SETS["coco_wholebody133"] + LSP_EXTRA
"""133 points of COCO-WholeBody and LSP's neck and head top."""
BODY, FEET, FACE = slice(0, 17), slice(17, 23), slice(23, 91)
LEFT_HAND, RIGHT_HAND, EXTRA = slice(91, 112), slice(112, 133), slice(133, 135)
PARTS: dict[str, tuple[str, str, slice]] = {
    "body": ("keypoints", "body_valid", BODY),
    "feet": ("foot_kpts", "foot_valid", FEET),
    "face": ("face_kpts", "face_valid", FACE),
    "left_hand": ("lefthand_kpts", "lefthand_valid", LEFT_HAND),
    "right_hand": ("righthand_kpts", "righthand_valid", RIGHT_HAND),
}


class AnnotationError(LimnerError):
    """A folder of labelled photos cannot be read."""


@dataclass(frozen=True)
class Points3D:
    """21 hand points in camera axes (x right, y down, z into the scene), metres, and the camera's K."""

    xyz: Float[Tensor, "21 3"]
    K: Float[Tensor, "3 3"]


@dataclass(frozen=True)
class LabelledPerson:
    """One person of one photo.

    box     x0 y0 x1 y1 photo pixels; `frame` says what it frames
    points  "135 2" photo pixels in the order of POINT_NAMES; labelled "135": which of them may be scored
    group   identity or photo series
    """

    photo: Path
    number: int
    group: str
    box: Float[Tensor, "4"]
    frame: Frame
    points: Float[Tensor, "135 2"]
    labelled: Bool[Tensor, "135"]
    points3d: Points3D | None = None

    @property
    def name(self) -> str:
        """Photo and annotation number, for reports."""
        return f"{self.photo.name}#{self.number}"


@dataclass(frozen=True)
class PhotoSet:
    """One sub-folder: the people that are scored, and every annotated person box of each photo (for the detector)."""

    name: str
    people: tuple[LabelledPerson, ...]
    boxes: dict[Path, Float[Tensor, "B 4"]]

    def frames(self) -> set[str]:
        """What the boxes of this set frame."""
        return {person.frame for person in self.people}

    def photos(self) -> dict[Path, list[LabelledPerson]]:
        """The people by photo, photos in order of first appearance."""
        by_photo: dict[Path, list[LabelledPerson]] = {}
        for person in self.people:
            by_photo.setdefault(person.photo, []).append(person)
        return by_photo


def read_photo_sets(folder: Path, limit: int | None = None, seed: int = 0) -> list[PhotoSet]:
    """All sub-folders of `folder` that have labels, sorted by name; `folder` itself if it has an annotations.json.

    People with an entry in `suspect`, crowds, and people of whom no part is marked valid are left out. `limit`: at most
    so many people a set, the first of a shuffle by `seed`. Raises AnnotationError when nothing labelled is found.
    """
    files = sorted(folder.glob("*/annotations.json"))
    if (folder / "annotations.json").exists():
        files = [folder / "annotations.json"]
    sets = [photo_set for photo_set in map(_read_set, files) if photo_set.people]
    if not sets:
        raise AnnotationError(
            f"{folder} has no labelled people: expected sub-folders with an annotations.json (COCO-WholeBody layout) "
            "and images. Give the folder that holds them."
        )
    return sets if limit is None else [first_people(photo_set, limit, seed) for photo_set in sets]


def first_people(photo_set: PhotoSet, limit: int, seed: int) -> PhotoSet:
    """The first `limit` people of a fixed shuffle, in the set's order."""
    order = list(range(len(photo_set.people)))
    random.Random(seed).shuffle(order)
    return replace(photo_set, people=tuple(photo_set.people[i] for i in sorted(order[:limit])))


def _read_set(file: Path) -> PhotoSet:
    cure = (
        "It is no readable COCO-WholeBody annotation file: expected JSON with `images` and `annotations`. Copy it "
        "again from its source."
    )
    with told_as(AnnotationError, file, cure):
        content = read_json(file, MOST_DATA_BYTES)
        images = {image["id"]: image for image in content["images"]}
        people: list[LabelledPerson] = []
        boxes: dict[Path, list[Tensor]] = {}
        for entry in content.get("annotations", []):
            image = images[entry["image_id"]]
            photo = file.parent / image["file_name"]
            if _frame(entry) == "person":
                boxes.setdefault(photo, []).append(_box(entry))
            person = _person(photo, str(image.get("group", image["id"])), entry)
            if bool(person.labelled.any()) and not entry.get("suspect") and not entry.get("iscrowd"):
                people.append(person)
    return PhotoSet(file.parent.name, tuple(people), {photo: torch.stack(rows) for photo, rows in boxes.items()})


def _frame(entry: dict[str, Any]) -> Frame:
    """Boxes of hand and face sets frame the hand or face only; their `bbox_kind` names it."""
    kind = str(entry.get("bbox_kind", "")).lower()
    if entry.get("body_valid"):
        return "person"
    if "hand" in kind:
        return "hand"
    return "face" if "face" in kind else "person"


def _box(entry: dict[str, Any]) -> Float[Tensor, "4"]:
    x, y, width, height = map(float, entry["bbox"])
    return torch.tensor([x, y, x + width, y + height])


def _person(photo: Path, group: str, entry: dict[str, Any]) -> LabelledPerson:
    points = torch.zeros(len(POINT_NAMES), 2)
    labelled = torch.zeros(len(POINT_NAMES), dtype=torch.bool)
    for field, valid, where in PARTS.values():
        if entry.get(valid, field == "keypoints" and bool(entry.get(field))):  # plain COCO marks no part
            rows = torch.tensor(entry[field], dtype=torch.float32).reshape(-1, 3)
            points[where], labelled[where] = rows[:, :2], rows[:, 2] > 0
    if entry.get("body_valid"):
        for i, name in enumerate(LSP_EXTRA, start=EXTRA.start):
            x, y, visibility = entry.get("extra_2d", {}).get(name, (0.0, 0.0, 0))
            points[i], labelled[i] = torch.tensor([float(x), float(y)]), visibility > 0
    return LabelledPerson(
        photo, int(entry["id"]), group, _box(entry), _frame(entry), points, labelled, _points3d(entry)
    )


def _points3d(entry: dict[str, Any]) -> Points3D | None:
    """3D target of a hand set; None where it is missing or incomplete."""
    given = entry.get("joints_3d")
    if not given or len(given["xyz_mm"]) != 21 or not all(given["valid"]):
        return None
    return Points3D(torch.tensor(given["xyz_mm"], dtype=torch.float32) / 1000, torch.tensor(given["K"]))
