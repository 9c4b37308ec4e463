"""How do 2D keypoints come in and leave? OpenPose, COCO(-WholeBody) and limner's own JSON, one list of people a photo.

limner's own file, `keypoints.json`, format version 1, one photo a file:
    format "limner-keypoints"   version 1   photo (file name)   photo_size_px [width, height]
    name_set, names             what the K points are, "coco_wholebody133" by default
    camera                      {focal_px, center_px [x, y]} of the photo, or null
    people                      a list of {box_px [x0, y0, x1, y1] or null, score or null,
                                keypoints_px K x [x, y, confidence in 0..1],
                                keypoints_camera_m K x [x, y, z] or null}
Photo pixels with (0, 0) at the corner of the first pixel; camera frame in metres, x right, y down, z into the scene.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from limner.errors import KeypointFileError
from limner.io.atomic import atomic_write, check_finite
from limner.reading.json_file import read_json
from limner.reading.told import reason, told_as

FORMAT, VERSION = "limner-keypoints", 1

OPENPOSE_PARTS = {
    "pose_keypoints_2d": 25,
    "hand_left_keypoints_2d": 21,
    "hand_right_keypoints_2d": 21,
    "face_keypoints_2d": 70,
}
"""OpenPose's keys in the order of the set "openpose135"; the last two face points, the pupils, are dropped."""

WHOLEBODY_PARTS = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
"""COCO-WholeBody's keys in the order of the set "coco_wholebody133"; plain COCO has the first alone."""


@dataclass(frozen=True)
class PersonKeypoints:
    """K points of one person.

    name_set: which points (a key of `limner.body.keypoints.KEYPOINT_SETS`); xy "K 2" photo pixels; confidence "K" in
    [0, 1], 0 for points not there; box "4" x0 y0 x1 y1 photo pixels where the file has one; xyz "K 3" camera frame,
    metres, and score, limner's own files only.
    """

    name_set: str
    xy: Float[Tensor, "K 2"]
    confidence: Float[Tensor, "K"]
    box: Float[Tensor, "4"] | None = None
    xyz: Float[Tensor, "K 3"] | None = None
    score: float | None = None


@dataclass(frozen=True)
class PhotoKeypoints:
    """Everyone in one photo, and what to write beside them; `camera` is focal length, centre x, centre y in pixels."""

    photo: str
    people: Sequence[PersonKeypoints]
    size_px: tuple[int, int] | None = None
    camera: tuple[float, float, float] | None = None


def read_keypoints(path: str | Path) -> dict[str, PhotoKeypoints]:
    """Read one keypoint file, or all `.json` files of a folder; keys are photo names without folder and ending.

    OpenPose files (`<photo>_keypoints.json`), COCO or COCO-WholeBody annotations (many photos a file) and limner's own,
    told apart by their content. A photo without people has an empty list.

    Points with NaN are points that are not there. Raises KeypointFileError, which names the cure, for missing, broken
    and foreign files, wrong counts, absurd numbers, and two files for one photo.
    """
    given = Path(path).expanduser()
    files = sorted(p for p in given.glob("*.json") if not p.name.startswith(".")) if given.is_dir() else [given]
    if not files:
        raise KeypointFileError(f"no .json file in the folder {given}. Give the folder that holds the keypoint files.")
    photos: dict[str, PhotoKeypoints] = {}
    for file in files:
        with told_as(KeypointFileError, file, "Write it anew, or copy it again."):
            found = _read_file(file)
        for photo in found:
            name = Path(photo.photo).stem
            if name in photos:
                raise KeypointFileError(
                    f"{file}: keypoints for the photo {name!r} were read already (photos are told apart by their name "
                    f"without folder and ending). Rename one of the photos, or read the files one by one."
                )
            photos[name] = photo
    return photos


def keypoints_of(photo: str | Path, photos: dict[str, PhotoKeypoints]) -> PhotoKeypoints:
    """The keypoints of a photo, found by its name without folder and ending; KeypointFileError if there are none."""
    name = Path(photo).stem
    if name not in photos:
        known = ", ".join(sorted(photos)[:5]) + (", ..." if len(photos) > 5 else "")
        raise KeypointFileError(
            f"no keypoints for the photo {name!r}, only for: {known or 'none'}. Name the keypoint file after the photo "
            f"({name}_keypoints.json), or leave the photo out."
        )
    return photos[name]


def person_box(person: PersonKeypoints, min_confidence: float = 0.1) -> Float[Tensor, "4"] | None:
    """The person's box: the file's own, else the bounds of the points of at least this confidence.

    None where fewer than three points are seen or their bounds have no area: nothing to look at. The bounds end at
    joints, inside the body: leave a margin.
    """
    if person.box is not None:
        return person.box
    seen = person.xy[(person.confidence >= min_confidence) & (person.confidence > 0)]
    if len(seen) < 3:
        return None
    low, high = seen.amin(0), seen.amax(0)
    return torch.cat([low, high]) if bool((high - low >= 1).all()) else None


def write_keypoints(path: str | Path, photo: PhotoKeypoints, names: Sequence[str]) -> None:
    """Write limner's own keypoint file; `names` are those of the people's one name set.

    Pixels are rounded to 1/100, metres to 1/100 mm. Raises OutputError, and ValueError for people of several sets.
    """
    sets = {person.name_set for person in photo.people}
    if len(sets) > 1 or any(len(person.xy) != len(names) for person in photo.people):
        raise ValueError(f"all people must have the same {len(names)} points, got the sets {sorted(sets)}")
    people = []
    for k, person in enumerate(photo.people):
        check_finite(path, **{f"person {k}": torch.cat([person.xy.flatten(), person.confidence])})
        points = torch.cat([person.xy, person.confidence[:, None]], 1)
        entry = {
            "box_px": None if person.box is None else _rounded(person.box, 2),
            "score": None if person.score is None else round(person.score, 4),
            "keypoints_px": [[round(x, 2), round(y, 2), round(c, 4)] for x, y, c in points.tolist()],
            "keypoints_camera_m": None if person.xyz is None else [_rounded(point, 5) for point in person.xyz],
        }
        people.append(entry)
    camera = photo.camera and {"focal_px": photo.camera[0], "center_px": list(photo.camera[1:])}
    content = {
        "format": FORMAT,
        "version": VERSION,
        "photo": photo.photo,
        "photo_size_px": photo.size_px,
        "name_set": next(iter(sets), "coco_wholebody133"),
        "names": list(names),
        "camera": camera,
        "people": people,
    }
    with atomic_write(path) as file:
        file.write(json.dumps(content, separators=(",", ":"), allow_nan=False).encode())


def _rounded(values: Tensor, digits: int) -> list[float]:
    return [round(value, digits) for value in values.tolist()]


def _read_file(file: Path) -> list[PhotoKeypoints]:
    content = _load(file)
    if isinstance(content, dict) and content.get("format") == FORMAT:
        return [_from_limner(file, content)]
    if isinstance(content, dict) and isinstance(content.get("people"), list):
        return [_from_openpose(file, content["people"])]
    if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
        return _from_coco(file, content)
    results = " A list of COCO results names no photos: join it with its annotation file." * isinstance(content, list)
    raise KeypointFileError(
        f"{file} is no keypoint file that is known: expected OpenPose (people), COCO or COCO-WholeBody (images, "
        f"annotations), or limner's own (format). Convert it to one of them.{results}"
    )


def _load(file: Path) -> Any:
    try:
        return read_json(file)
    except FileNotFoundError as error:
        raise KeypointFileError(f"{file} does not exist. Give a keypoint file, or a folder of them.") from error
    except OSError as error:
        raise KeypointFileError(f"cannot read {file} ({error.strerror}). Check its permissions.") from error
    except ValueError as error:  # also text that is no UTF-8
        raise KeypointFileError(
            f"{file} is no whole JSON file ({reason(error)}). Write it anew, or copy it again if it was cut off."
        ) from error


def _from_openpose(file: Path, people: list[Any]) -> PhotoKeypoints:
    found = []
    for k, person in enumerate(people):
        where = f"{file}, person {k}"
        if not isinstance(person, dict) or "pose_keypoints_2d" not in person:
            raise KeypointFileError(f"{where}: lacks pose_keypoints_2d. Write the file with OpenPose 1.2 or newer.")
        parts = [_triples(f"{where}, {key}", person.get(key), count) for key, count in OPENPOSE_PARTS.items()]
        points = torch.cat(parts)[:-2]
        found.append(PersonKeypoints("openpose135", points[:, :2], points[:, 2]))
    return PhotoKeypoints(file.stem.removesuffix("_keypoints"), found)


def _from_coco(file: Path, content: dict[str, Any]) -> list[PhotoKeypoints]:
    names: dict[Any, str] = {}
    people: dict[Any, list[PersonKeypoints]] = {}
    try:
        for image in content["images"]:
            if not isinstance(image["file_name"], str):
                raise TypeError(f"the name of a photo: {image['file_name']!r:.50}")
            names[image["id"]], people[image["id"]] = image["file_name"], []
        for k, entry in enumerate(content["annotations"]):
            if entry.get("keypoints"):  # COCO also lists people without points, in crowds
                people[entry["image_id"]].append(_coco_person(f"{file}, annotation {entry.get('id', k)}", entry))
    except (KeyError, TypeError, AttributeError) as error:
        raise KeypointFileError(
            f"{file}: an image or annotation lacks or misplaces {error}. COCO needs images with id and file_name, and "
            f"annotations with image_id (of a listed image) and keypoints."
        ) from error
    return [PhotoKeypoints(name, people[key]) for key, name in names.items()]


def _coco_person(where: str, entry: dict[str, Any]) -> PersonKeypoints:
    """COCO's third number is 0 (not labelled), 1 (hidden) or 2 (visible), or the confidence of a detector."""
    whole = any(key in entry for key in WHOLEBODY_PARTS if key != "keypoints")
    parts = []
    for key, count in WHOLEBODY_PARTS.items() if whole else [("keypoints", 17)]:
        part = _triples(f"{where}, {key}", entry.get(key), count)
        labelled = entry.get(key.replace("kpts", "valid"), True) or key == "keypoints"
        parts.append(part if labelled else torch.zeros_like(part))
    points = torch.cat(parts)
    box = None
    if entry.get("bbox") is not None:
        x, y, width, height = _numbers(f"{where}, bbox", entry["bbox"], 4)
        box = torch.tensor([x, y, x + width, y + height]) if width > 0 and height > 0 else None
    name_set = "coco_wholebody133" if whole else "coco17"
    return PersonKeypoints(name_set, points[:, :2], points[:, 2], box)


def _from_limner(file: Path, content: dict[str, Any]) -> PhotoKeypoints:
    if content.get("version") != VERSION:
        raise KeypointFileError(
            f"{file} has format version {content.get('version')}, this limner reads version {VERSION}. Update limner, "
            f"or write the file anew."
        )
    try:
        name_set, count = str(content["name_set"]), len(content["names"])
        people = [_limner_person(f"{file}, person {k}", name_set, count, p) for k, p in enumerate(content["people"])]
        size, camera = content["photo_size_px"], content["camera"]
        lens = camera and _numbers(f"{file}, camera", [camera["focal_px"], *camera["center_px"]], 3)
        return PhotoKeypoints(
            photo=str(content["photo"]),
            people=people,
            size_px=None if size is None else (int(size[0]), int(size[1])),
            camera=(lens[0], lens[1], lens[2]) if lens else None,
        )
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise KeypointFileError(f"{file} lacks or misplaces {error}. Write it anew with limner.") from error


def _limner_person(where: str, name_set: str, count: int, person: dict[str, Any]) -> PersonKeypoints:
    points = _triples(where, [number for point in person["keypoints_px"] for number in point], count)
    box, space, score = person["box_px"], person["keypoints_camera_m"], person["score"]
    xyz = space and _numbers(f"{where}, 3D", [number for point in space for number in point], 3 * count)
    return PersonKeypoints(
        name_set,
        points[:, :2],
        points[:, 2],
        None if box is None else torch.tensor(_numbers(f"{where}, box", box, 4)),
        torch.tensor(xyz).reshape(-1, 3) if xyz else None,
        None if score is None else float(score),
    )


def _triples(where: str, values: Any, count: int) -> Float[Tensor, "K 3"]:
    """x, y, confidence of `count` points; zeros for a part that is missing or empty, and for a point that has NaN or
    infinity, as detectors write for what they do not see. Confidence is cut to [0, 1]."""
    if values is None or values == []:
        return torch.zeros(count, 3)
    points = torch.tensor(_numbers(where, values, 3 * count, finite=False)).reshape(count, 3)
    points[~torch.isfinite(points).all(1)] = 0
    points[:, 2] = points[:, 2].clamp(0, 1)
    return points


def _numbers(where: str, values: Any, count: int, finite: bool = True) -> list[float]:
    if not isinstance(values, list) or len(values) != count:
        got = f"{len(values)} numbers" if isinstance(values, list) else type(values).__name__
        raise KeypointFileError(f"{where}: got {got}, expected {count}. {_count_cure(count)}")
    for k, value in enumerate(values):
        if not finite and isinstance(value, float) and not math.isfinite(value):
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
            raise KeypointFileError(
                f"{where}: number {k} is {value!r}, expected a finite number. Write 0, 0, 0 for a point that is not "
                f"there."
            )
    return [float(value) for value in values]


def _count_cure(count: int) -> str:
    if count == 3 * OPENPOSE_PARTS["pose_keypoints_2d"]:
        return "Run OpenPose with its default body, --model_pose BODY_25."
    return "Every point takes three numbers: x, y, confidence." if count % 3 == 0 else "A box takes four numbers."
