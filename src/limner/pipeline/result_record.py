"""The record of what a photo's result was made of. A small file in its folder tells, so that a later run can keep it.

`result.json`, format version 1:
    format "limner-result"   version 1   photo (file name)   photo_bytes, photo_sha256 of its file
    options                  what else the result depends on
    people, note             as in the table of the run
    files                    what the folder holds beside this file
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.errors import PhotoError
from limner.io.atomic import atomic_write

FORMAT, VERSION = "limner-result", 1
RECORD_FILE = "result.json"


@dataclass(frozen=True)
class MadeOf:
    """A photo's file and all options that its result depends on (names to what JSON can hold)."""

    photo: str
    photo_bytes: int
    photo_sha256: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class ResultRecord:
    """A whole result: what it was made of, how many people it has, and what the table said."""

    made_of: MadeOf
    people: int
    note: str


def made_of(photo: Path, options: Mapping[str, Any]) -> MadeOf:
    """What a result of this photo is made of. Raises PhotoError where the file cannot be read."""
    try:
        with open(photo, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = photo.stat().st_size
    except OSError as error:
        raise PhotoError(f"cannot read {photo} ({error.strerror}). Check that it is there and may be read.") from error
    return MadeOf(photo.name, size, digest, json.loads(json.dumps(options)))


def write_record(folder: Path, record: ResultRecord) -> None:
    """Write `result.json` into a folder that holds everything else already. Raises OutputError."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        "photo": record.made_of.photo,
        "photo_bytes": record.made_of.photo_bytes,
        "photo_sha256": record.made_of.photo_sha256,
        "options": dict(record.made_of.options),
        "people": record.people,
        "note": record.note,
        "files": sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()),
    }
    with atomic_write(folder / RECORD_FILE) as file:
        file.write(json.dumps(content, indent=1, allow_nan=False).encode())


def read_record(folder: Path) -> ResultRecord | None:
    """The record of a result that is still whole; None where there is none that this limner understands."""
    try:
        content = json.loads((folder / RECORD_FILE).read_bytes())
        if (content["format"], content["version"]) != (FORMAT, VERSION):
            return None
        if not all((folder / name).is_file() for name in content["files"]):
            return None
        source = MadeOf(
            str(content["photo"]), int(content["photo_bytes"]), str(content["photo_sha256"]), dict(content["options"])
        )
        return ResultRecord(source, int(content["people"]), str(content["note"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
