"""Keypoint files: 2D keypoints in and out. JSON of limner and of many detectors, one list of people a photo."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limner.errors import KeypointFileError
from limner.io.atomic import atomic_write, check_finite
from limner.io.keypoint_layouts import FORMAT, VERSION, read_content
from limner.io.keypoint_records import PersonKeypoints, PhotoKeypoints, in_pixels, person_box
from limner.reading.json_file import read_json
from limner.reading.told import reason, told_as

__all__ = [
    "PersonKeypoints",
    "PhotoKeypoints",
    "in_pixels",
    "keypoints_of",
    "person_box",
    "read_keypoints",
    "shared_stems",
    "write_keypoints",
]


def read_keypoints(path: str | Path) -> dict[str, PhotoKeypoints]:
    """Read one keypoint file, or all `.json` files of a folder; keys are photo names without folder and ending.

    All layouts of `limner.io.keypoint_layouts`, told apart by their content: of one photo a file, named after it
    (OpenPose's `<photo>_keypoints.json`), or of many. A photo without people has an empty list.

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
            found = read_content(file, _load(file))
        for photo in found:
            name = Path(photo.photo).stem
            if name in photos:
                raise KeypointFileError(
                    f"{file}: keypoints for the photo {name!r} were read already (photos are told apart by their name "
                    f"without folder and ending). Rename one of the photos, or read the files one by one."
                )
            photos[name] = photo
    return photos


def keypoints_of(photo: str | Path, photos: dict[str, PhotoKeypoints], shared: Collection[str] = ()) -> PhotoKeypoints:
    """The keypoints of a photo, found by its name without folder and ending.

    `shared`: names that several photos of the run have. Raises KeypointFileError if there are none, or if nothing
    tells whose they are.
    """
    name = Path(photo).stem
    if name in shared and name in photos:
        raise KeypointFileError(
            f"several photos are called {name!r} (without folder and ending), so nothing tells whose the "
            "keypoints are. Rename them, or estimate them one by one."
        )
    if name not in photos:
        known = ", ".join(sorted(photos)[:5]) + (", ..." if len(photos) > 5 else "")
        numbered = photos and all(len(key) == 12 and key.isdecimal() for key in photos)
        numbers = " COCO results call photos by number: name yours so, or join them with their annotations." * bool(
            numbered
        )
        raise KeypointFileError(
            f"no keypoints for the photo {name!r}, only for: {known or 'none'}. Name the keypoint file after the photo "
            f"({name}_keypoints.json), or leave the photo out.{numbers}"
        )
    return photos[name]


def shared_stems(photos: Iterable[Path]) -> frozenset[str]:
    """Names without folder and ending that several photos have."""
    counts = Counter(photo.stem for photo in photos)
    return frozenset(name for name, count in counts.items() if count > 1)


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
