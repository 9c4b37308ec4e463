"""Layouts of keypoint files, and how each is read. One entry of LAYOUTS a layout, told by content.

limner's own file, `keypoints.json`, format version 1, one photo a file:
    format "limner-keypoints"   version 1   photo (file name)   photo_size_px [width, height]
    name_set, names             what the K points are, "coco_wholebody133" by default
    camera                      {focal_px, center_px [x, y]} of the photo, or null
    people                      a list of {box_px [x0, y0, x1, y1] or null, score or null,
                                keypoints_px K x [x, y, confidence in 0..1],
                                keypoints_camera_m K x [x, y, z] or null}
Photo pixels with (0, 0) at the corner of the first pixel; camera frame in metres, x right, y down, z into the scene.
Of the others' layouts pixels are taken as they are, and numbers that all lie about 0 to 1 as shares of the photo.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from limner.errors import KeypointFileError
from limner.io.keypoint_records import PersonKeypoints, PhotoKeypoints

FORMAT, VERSION = "limner-keypoints", 1

OPENPOSE_BODY = ("pose_keypoints_2d", "pose_keypoints", "joints")
"""OpenPose's key, that of its versions before 1.2, and AlphaPose's for the same points."""

OPENPOSE_PARTS = {
    ("hand_left_keypoints_2d", "hand_left_keypoints"): 21,
    ("hand_right_keypoints_2d", "hand_right_keypoints"): 21,
    ("face_keypoints_2d", "face_keypoints"): 70,
}
"""The other keys in the order of the set "openpose135"; the last two face points, the pupils, are dropped."""

OPENPOSE_BODIES = {25: tuple(range(25)), 18: (*range(8), *range(9, 19))}
"""Where the points of BODY_25 and of COCO (no pelvis, no feet) sit in the set."""

WHOLEBODY_PARTS = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
"""COCO-WholeBody's keys in the order of the set "coco_wholebody133"; plain COCO has the first alone."""

POINT_LISTS = {17: ("coco17", None), 26: ("halpe25", 17), 133: ("coco_wholebody133", None), 136: ("halpe135", 17)}
"""By number of points: the set, and which point has none like it among the 144 (Halpe's top of the head)."""

MEDIAPIPE_POSE = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28, 31, 29, 32, 30)
"""Which of MediaPipe's 33 points are the set's: COCO's 17, left toe and heel, right toe and heel."""

MEDIAPIPE_KEYS = ("poselandmarks", "lefthandlandmarks", "righthandlandmarks")
SHARE_RANGE = (-0.5, 1.5)
"""Coordinates in this range are shares of the photo: nobody has all points within a pixel or two of its corner."""


@dataclass(frozen=True)
class Layout:
    """One layout: its name, whether the content of a file has it, and how it is read."""

    name: str
    fits: Callable[[Any], bool]
    read: Callable[[Path, Any], list[PhotoKeypoints]]


def read_content(file: Path, content: Any) -> list[PhotoKeypoints]:
    """The photos of a file with this content, in any known layout. Raises KeypointFileError, which names the cure."""
    layout = next((layout for layout in LAYOUTS if layout.fits(content)), None)
    if layout is None:
        raise KeypointFileError(
            f"{file} is no keypoint file that is known: expected one of {', '.join(known.name for known in LAYOUTS)}."
            f" {_cure_of_unknown(content)}"
        )
    try:
        photos = layout.read(file, content)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError) as error:
        raise KeypointFileError(
            f"{file} looks like {layout.name}, but lacks or misplaces {error}. Write it anew."
        ) from error
    return photos if layout is OWN else [_with_shares_told(file, photo) for photo in photos]


def _cure_of_unknown(content: Any) -> str:
    if isinstance(content, dict) and "part_candidates" in content:
        return "It holds OpenPose's part candidates alone: write it without --part_candidates, or with people."
    points = len(content) if _all_have(content, "x", "y") else 0
    if points in (468, 478):
        return "It holds MediaPipe's face mesh, which has other points than limner: give those of the pose (33 points)."
    if points == 21:
        return (
            'It holds a hand whose side is not told: write {"left_hand_landmarks": [...]} or {"right_hand_landmarks": '
            "[...]}, with pose_landmarks beside it."
        )
    return "Convert it to one of them."


def _with_shares_told(file: Path, photo: PhotoKeypoints) -> PhotoKeypoints:
    """The same, marked where its coordinates are shares of the photo."""
    there = [person.xy[person.confidence > 0] for person in photo.people]
    points = torch.cat([torch.zeros(0, 2), *there])
    if photo.shares or len(points) < 3:
        return photo
    low, high = float(points.min()), float(points.max())
    if low < SHARE_RANGE[0] and low > -1.01 and high < 1.01:
        raise KeypointFileError(
            f"{file}: all coordinates lie between -1 and 1, expected pixels, or shares of the photo from 0 to 1. Write "
            "it with OpenPose's --keypoint_scale 0."
        )
    shares = SHARE_RANGE[0] <= low and high <= SHARE_RANGE[1] and low < high
    return replace(photo, shares=True) if shares else photo


# --- limner's own ------------------------------------------------------------------------------------------------


def _read_own(file: Path, content: dict[str, Any]) -> list[PhotoKeypoints]:
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
        record = PhotoKeypoints(
            photo=str(content["photo"]),
            people=people,
            size_px=None if size is None else (int(size[0]), int(size[1])),
            camera=(lens[0], lens[1], lens[2]) if lens else None,
        )
        return [record]
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


# --- OpenPose ----------------------------------------------------------------------------------------------------


def _read_openpose(file: Path, content: dict[str, Any]) -> list[PhotoKeypoints]:
    """One photo a file: OpenPose's own, and what others write in its layout (with the size of the photo)."""
    people = [_openpose_person(f"{file}, person {k}", person) for k, person in enumerate(_people_in(content))]
    width, height = content.get("canvas_width"), content.get("canvas_height")
    size = (int(width), int(height)) if isinstance(width, int) and isinstance(height, int) else None
    return [PhotoKeypoints(file.stem.removesuffix("_keypoints"), people, size)]


def _read_drawn(file: Path, content: list[Any]) -> list[PhotoKeypoints]:
    if len(content) != 1:
        raise KeypointFileError(f"{file}: got {len(content)} pictures in one file, expected 1. Write one file a photo.")
    return _read_openpose(file, content[0])


def _read_openpose_by_photo(file: Path, content: dict[str, Any]) -> list[PhotoKeypoints]:
    return [
        PhotoKeypoints(
            name, [_openpose_person(f"{file}, {name}, person {k}", p) for k, p in enumerate(_people_in(photo))]
        )
        for name, photo in content.items()
    ]


def _people_in(content: Any) -> list[Any]:
    """The people of an OpenPose photo; AlphaPose calls them bodies."""
    found = next(
        (content.get(key) for key in ("people", "bodies") if isinstance(content, dict) and key in content), None
    )
    return found if isinstance(found, list) else []


def _openpose_person(where: str, person: Any) -> PersonKeypoints:
    key = next((key for key in OPENPOSE_BODY if isinstance(person, dict) and key in person), None)
    if key is None:
        raise KeypointFileError(f"{where}: lacks pose_keypoints_2d. Write the file with OpenPose.")
    values = person[key] or []
    rows = OPENPOSE_BODIES.get(len(values) // 3) if isinstance(values, list) else None
    body = torch.zeros(25, 3)
    body[list(rows or range(25))] = _triples(f"{where}, {key}", values, len(rows or range(25)))
    parts = [body]
    for keys, count in OPENPOSE_PARTS.items():
        own = next((key for key in keys if key in person), keys[0])
        parts.append(_triples(f"{where}, {own}", person.get(own), count))
    points = torch.cat(parts)[:-2]
    return PersonKeypoints("openpose135", points[:, :2], points[:, 2])


# --- COCO --------------------------------------------------------------------------------------------------------


def _read_coco(file: Path, content: dict[str, Any]) -> list[PhotoKeypoints]:
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


def _read_results(file: Path, content: list[Any]) -> list[PhotoKeypoints]:
    """Results for many photos (COCO's, AlphaPose's): names, or numbers as COCO's photos have them as names."""
    people: dict[str, list[PersonKeypoints]] = {}
    for k, entry in enumerate(content):
        key = entry["image_id"]
        name = f"{key:012d}.jpg" if isinstance(key, int) else str(key)
        people.setdefault(name, []).append(_listed_person(f"{file}, entry {k}", entry, "box", corners=False))
    return [PhotoKeypoints(name, own) for name, own in people.items()]


# --- lists of people ---------------------------------------------------------------------------------------------


def _read_instances(file: Path, content: list[Any]) -> list[PhotoKeypoints]:
    """One photo a file, a list of its people: MMPose, Ultralytics."""
    return [PhotoKeypoints(file.stem, _instances(str(file), content))]


def _instances(where: str, content: list[Any]) -> list[PersonKeypoints]:
    return [_listed_person(f"{where}, person {k}", entry, "bbox", corners=True) for k, entry in enumerate(content)]


def _read_mmpose(file: Path, content: dict[str, Any]) -> list[PhotoKeypoints]:
    """MMPose's file with `meta_info`: of one photo, or of the frames of a film, which are numbered."""
    names = (content.get("meta_info") or {}).get("keypoint_id2name") or {}
    if names and names.get("0") not in (None, "nose"):
        raise KeypointFileError(
            f"{file}: its points begin with {names['0']!r}, expected a model with COCO's, Halpe's or "
            "COCO-WholeBody's. Run MMPose with one of those (human, body26, wholebody)."
        )
    entries, stem = content["instance_info"], file.stem.removeprefix("results_")
    if not all("instances" in entry for entry in entries):
        return [PhotoKeypoints(stem, _instances(str(file), entries))]
    photos = []
    for k, entry in enumerate(entries):
        frame = entry.get("frame_id", k)
        name = stem if len(entries) == 1 else f"{stem}_{frame:06d}" if isinstance(frame, int) else f"{stem}_{frame}"
        photos.append(PhotoKeypoints(name, _instances(f"{file}, frame {frame}", entry["instances"])))
    return photos


def _listed_person(where: str, entry: Any, box_key: str, corners: bool) -> PersonKeypoints:
    """A person with `keypoints`: flat triples, or points of two or three numbers with scores beside them.

    The box is x0 y0 x1 y1 with `corners`, else x y width height.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("keypoints"), list | dict):
        raise KeypointFileError(f"{where}: lacks keypoints. Write the file anew.")
    values = _flat(where, entry["keypoints"], entry.get("keypoint_scores"))
    count, rest = divmod(len(values), 3)
    if rest or count not in POINT_LISTS:
        known = ", ".join(map(str, POINT_LISTS))
        raise KeypointFileError(
            f"{where}: got {len(values) / 3:g} points, expected {known} (COCO, Halpe, COCO-WholeBody). Run the "
            "detector with a model of one of these."
        )
    name_set, dropped = POINT_LISTS[count]
    points = _triples(where, values, count)
    points = points[[k for k in range(count) if k != dropped]]
    return PersonKeypoints(name_set, points[:, :2], points[:, 2], _listed_box(where, entry.get(box_key), corners))


def _flat(where: str, points: Any, scores: Any) -> list[Any]:
    if isinstance(points, dict):  # Ultralytics: x, y, visible
        x, y = points.get("x") or [], points.get("y") or []
        return _flat(where, [list(pair) for pair in zip(x, y, strict=False)], points.get("visible"))
    if not points or not isinstance(points[0], list):
        return list(points)
    if scores is None:
        scores = [1.0] * len(points) if all(len(point) == 2 for point in points) else None
    elif any(len(point) != 2 for point in points):
        raise KeypointFileError(f"{where}: its keypoints have three coordinates, expected x and y. Give 2D keypoints.")
    if scores is None:
        return [number for point in points for number in point]
    if not isinstance(scores, list) or len(scores) != len(points):
        raise KeypointFileError(f"{where}: got other scores than the {len(points)} of its points. Write the file anew.")
    return [number for point, score in zip(points, scores, strict=True) for number in (*point, score)]


def _listed_box(where: str, values: Any, corners: bool) -> Tensor | None:
    if isinstance(values, dict):  # Ultralytics
        values = [values.get(key) for key in ("x1", "y1", "x2", "y2")]
    if isinstance(values, list) and len(values) == 1 and isinstance(values[0], list):
        values = values[0]  # MMPose nests it
    if not values:
        return None
    x0, y0, x1, y1 = _numbers(f"{where}, box", values, 4)
    x1, y1 = (x1, y1) if corners else (x0 + x1, y0 + y1)
    return torch.tensor([x0, y0, x1, y1]) if x1 > x0 and y1 > y0 else None


# --- MediaPipe ---------------------------------------------------------------------------------------------------


def _read_mediapipe(file: Path, content: Any) -> list[PhotoKeypoints]:
    """Landmarks of one photo: a list of 33, or pose and hands by name, of one person or (pose alone) of several."""
    named = {"poselandmarks": content} if isinstance(content, list) else _landmarks(content)
    lists = {key: _landmark_list(value) for key, value in named.items()}
    pose = lists.get("poselandmarks", [])
    several = pose if pose and isinstance(pose[0], list) else [pose]
    people = []
    for k, own in enumerate(several):
        where = f"{file}, person {k}"
        parts = [_landmark_points(where, own, 33)[list(MEDIAPIPE_POSE)]]
        for key in MEDIAPIPE_KEYS[1:]:
            hand = lists.get(key, []) if len(several) == 1 else []
            parts.append(_landmark_points(where, hand, 21))
        points = torch.cat(parts)
        people.append(PersonKeypoints("mediapipe63", points[:, :2], points[:, 2]))
    return [PhotoKeypoints(file.stem, people if any(bool(p.confidence.any()) for p in people) else [], shares=True)]


def _landmarks(content: dict[str, Any]) -> dict[str, Any]:
    """The lists of landmarks of a file, under one writing of their names."""
    plain = {key.replace("_", "").lower(): value for key, value in content.items()}
    if "landmarks" in plain:
        plain.setdefault("poselandmarks", plain["landmarks"])
    return {key: plain[key] for key in MEDIAPIPE_KEYS if plain.get(key)}


def _landmark_list(value: Any) -> list[Any]:
    inner = value.get("landmark") if isinstance(value, dict) else value
    return inner if isinstance(inner, list) else []


def _landmark_points(where: str, landmarks: list[Any], count: int) -> Float[Tensor, "K 3"]:
    if not landmarks:
        return torch.zeros(count, 3)
    if len(landmarks) != count or not _all_have(landmarks, "x", "y"):
        raise KeypointFileError(
            f"{where}: got {len(landmarks)} landmarks, expected {count} with x and y. Write it anew."
        )
    values = [number for one in landmarks for number in (one["x"], one["y"], one.get("visibility", 1.0))]
    return _triples(where, values, count)


# --- numbers -----------------------------------------------------------------------------------------------------


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
    if count == 3 * 25:
        return "Run OpenPose with its default body, --model_pose BODY_25 (or COCO)."
    return "Every point takes three numbers: x, y, confidence." if count % 3 == 0 else "A box takes four numbers."


def _all_have(content: Any, *keys: str) -> bool:
    """Whether it is a list of at least one object, all of which have these keys."""
    if not isinstance(content, list) or not content:
        return False
    return all(isinstance(entry, dict) and all(key in entry for key in keys) for entry in content)


def _has_people(content: Any) -> bool:
    return isinstance(content, dict) and any(isinstance(content.get(key), list) for key in ("people", "bodies"))


OWN = Layout("limner's own (format)", lambda c: isinstance(c, dict) and c.get("format") == FORMAT, _read_own)
LAYOUTS: Sequence[Layout] = (
    OWN,
    Layout("OpenPose (people)", _has_people, _read_openpose),
    Layout(
        "COCO or COCO-WholeBody (images, annotations)",
        lambda c: isinstance(c, dict) and {"images", "annotations"} <= c.keys(),
        _read_coco,
    ),
    Layout(
        "MMPose (instance_info, or a list of people)",
        lambda c: isinstance(c, dict) and (c.get("instance_info") == [] or _all_have(c.get("instance_info"))),
        _read_mmpose,
    ),
    Layout(
        "results of COCO or AlphaPose (image_id, keypoints)",
        lambda c: _all_have(c, "image_id", "keypoints"),
        _read_results,
    ),
    Layout("a list of people (keypoints)", lambda c: c == [] or _all_have(c, "keypoints"), _read_instances),
    Layout("a list of pictures in OpenPose's layout", lambda c: _all_have(c, "people"), _read_drawn),
    Layout(
        "AlphaPose's photos in OpenPose's layout",
        lambda c: isinstance(c, dict) and bool(c) and all(map(_has_people, c.values())),
        _read_openpose_by_photo,
    ),
    Layout("MediaPipe (33 landmarks)", lambda c: _all_have(c, "x", "y") and len(c) == 33, _read_mediapipe),
    Layout("MediaPipe (pose_landmarks)", lambda c: isinstance(c, dict) and bool(_landmarks(c)), _read_mediapipe),
)
"""All known layouts, in the order in which they are tried."""
