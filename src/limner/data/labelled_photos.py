"""Photos of a folder with boxed people: COCO's keypoint layout, nobody left out.

Evaluation reads the people that can be scored (`evaluate.photo_sets`); who learns where people are has to know of
everybody, of crowds and of photos of nobody too.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limner.body.keypoints import KEYPOINT_SETS
from limner.errors import DataSetError
from limner.reading.json_file import MOST_DATA_BYTES, read_json
from limner.reading.told import told_as

FILE = "annotations.json"
COCO17 = KEYPOINT_SETS["coco17"]
LAYOUT = (
    f"a folder with {FILE} (COCO's keypoint layout: `images` with id and file_name, `annotations` with image_id and "
    "bbox, and `keypoints` where there are any) and the photos, in it or in images/"
)


@dataclass(frozen=True)
class LabelledPhoto:
    """One photo and everybody in it; photo pixels.

    path       where it should be
    size_px    width and height that the labels mean, if the file says so
    group      photos of one group show the same scene
    boxes      x0 y0 x1 y1 of P people
    points_px  COCO's 17 points of each; `labelled`: which of them are known
    ignored    boxes of crowds, where people are that nobody has boxed
    """

    path: Path
    size_px: tuple[int, int] | None
    group: str
    boxes: Float[Tensor, "P 4"]
    points_px: Float[Tensor, "P 17 2"]
    labelled: Bool[Tensor, "P 17"]
    ignored: Float[Tensor, "R 4"]


def read_labelled_photos(folder: Path) -> list[LabelledPhoto]:
    """All photos that FOLDER/annotations.json lists, sorted by name, those of nobody too.

    `iscrowd`, `ignore` and `suspect` annotations are regions that do not count (their masks are not read, their boxes
    are); other categories than `person` are left out. Raises DataSetError, which says what to mend, for a missing or
    damaged file and for labels without a person.
    """
    content = _load(folder / FILE)
    with told_as(DataSetError, folder / FILE, f"Expected {LAYOUT}. Export it again."):
        return _photos(folder, content)


def _photos(folder: Path, content: dict[str, Any]) -> list[LabelledPhoto]:
    """The photos of a file whose two lists are there."""
    kinds = _person_kinds(content)
    entries: dict[Any, list[dict[str, Any]]] = {}
    for entry in content["annotations"]:
        if kinds is None or entry.get("category_id") in kinds:
            entries.setdefault(entry.get("image_id"), []).append(entry)
    photos = [_photo(folder, image, entries.pop(image.get("id"), []), kinds) for image in content["images"]]
    if entries:
        raise DataSetError(
            f"{folder / FILE}: annotations name images that are not listed (image_id {next(iter(entries))}, ...). "
            "Export it again, with all images."
        )
    if not any(len(photo.boxes) for photo in photos):
        raise DataSetError(
            f"{folder / FILE} lists {len(photos)} photos and no person with a box: expected annotations with bbox "
            "[x, y, width, height] of the category `person`."
        )
    return sorted(photos, key=lambda photo: photo.path)


def _load(file: Path) -> dict[str, Any]:
    if not file.exists():
        others = sorted(path.name for path in file.parent.glob("*.json")) or ["no JSON file"]
        raise DataSetError(
            f"{file} does not exist ({file.parent} holds {', '.join(others[:3])}): expected {LAYOUT}. Rename or copy "
            "yours."
        )
    with told_as(DataSetError, file, f"Expected {LAYOUT}. Copy it again."):
        content = read_json(file, MOST_DATA_BYTES)
    lists = isinstance(content, dict) and all(
        isinstance(content.get(key), list) and all(isinstance(entry, dict) for entry in content[key])
        for key in ("images", "annotations")
    )
    if not lists:
        raise DataSetError(f"{file} has no lists `images` and `annotations`: expected {LAYOUT}. Export it as COCO.")
    return content


def _person_kinds(content: dict[str, Any]) -> dict[Any, tuple[str, ...]] | None:
    """Ids of the categories that are people, with the names of their points; None: there are no categories."""
    given = [entry for entry in content.get("categories") or [] if isinstance(entry, dict)]
    people = [entry for entry in given if str(entry.get("name", "")).lower() == "person"]
    chosen = people or (given if len(given) == 1 else [])
    if given and not chosen:
        names = ", ".join(str(entry.get("name")) for entry in given[:5])
        raise DataSetError(f"{FILE}: none of the categories ({names}) is `person`. Rename the one that is people.")
    return {entry.get("id"): tuple(entry.get("keypoints") or COCO17) for entry in chosen} if given else None


def _photo(
    folder: Path, image: dict[str, Any], entries: Iterable[dict[str, Any]], kinds: dict[Any, tuple[str, ...]] | None
) -> LabelledPhoto:
    boxes, points, ignored = [], [], []
    for entry in entries:
        where = f"{folder / FILE}, annotation {entry.get('id')}"
        box = _numbers(where, "bbox", entry.get("bbox"), 4)
        x0, y0, width, height = box.tolist()
        corners = torch.tensor([x0, y0, x0 + width, y0 + height])
        if entry.get("iscrowd") or entry.get("ignore") or entry.get("suspect"):
            ignored.append(corners)
        elif min(width, height) < 1:
            raise DataSetError(f"{where}: bbox {entry['bbox']} is empty, expected [x, y, width, height] in pixels.")
        else:
            names = COCO17 if kinds is None else kinds[entry.get("category_id")]
            boxes.append(corners)
            points.append(_points(where, entry.get("keypoints"), names))
    name = str(image.get("file_name", ""))
    people = torch.stack(points) if points else torch.zeros(0, 17, 3)
    inside = folder / name
    size = (image.get("width"), image.get("height"))
    return LabelledPhoto(
        path=inside if inside.exists() or not (folder / "images" / name).exists() else folder / "images" / name,
        size_px=(int(size[0]), int(size[1])) if all(size) else None,  # type: ignore[arg-type]
        group=str(image.get("group", name)),
        boxes=torch.stack(boxes) if boxes else torch.zeros(0, 4),
        points_px=people[..., :2],
        labelled=people[..., 2] > 0,
        ignored=torch.stack(ignored) if ignored else torch.zeros(0, 4),
    )


def _points(where: str, given: Any, names: tuple[str, ...]) -> Float[Tensor, "17 3"]:
    """COCO's 17 points by their names; those that are not among the names, or without points at all: not labelled."""
    if not given:
        return torch.zeros(17, 3)
    rows = _numbers(where, "keypoints", given, 3 * len(names)).reshape(-1, 3)
    missing = torch.zeros(3)
    return torch.stack([rows[names.index(name)] if name in names else missing for name in COCO17])


def _numbers(where: str, what: str, given: Any, count: int) -> Float[Tensor, "n"]:
    try:
        numbers = torch.tensor([float(value) for value in given])
    except (TypeError, ValueError) as error:
        raise DataSetError(
            f"{where}: {what} is {given!r}, expected {count} numbers. Label it, or leave it out."
        ) from error
    if len(numbers) != count or not bool(numbers.isfinite().all()):
        raise DataSetError(f"{where}: {what} has {len(numbers)} numbers, expected {count} finite ones.")
    return numbers
