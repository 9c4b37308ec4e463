"""What must be the same for half a run to be gone on with? Fingerprints of weights, data and options."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from limner import __version__
from limner.io.image import PHOTO_ENDINGS
from limner.networks.weights import weights_folder


def fingerprint(*facts: object) -> str:
    """A short name of the facts and of this version of limner; other facts, another name. Facts: what JSON can hold,
    and paths."""
    text = json.dumps([__version__, *facts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def weights_fingerprint(weights: str | Path) -> str:
    """A name of what weights hold, wherever they lie: "limner", a folder of them, or `expose:PATH`. Reads the files."""
    shipped = str(weights) == "limner"
    place = weights_folder() if shipped else Path(str(weights).partition("expose:")[2] or str(weights)).expanduser()
    files = sorted(file for file in place.rglob("*") if file.is_file()) if place.is_dir() else [place]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode())
        if file.exists():
            with open(file, "rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()[:24]


def stamp(path: Path | None) -> tuple[str, int, int] | None:
    """Name, size and time of change of a file; sizes and times are 0 where there is none."""
    if path is None:
        return None
    if not path.exists():
        return path.name, 0, 0
    found = path.stat()
    return path.name, found.st_size, found.st_mtime_ns


def folder_fingerprint(folder: Path, without: Iterable[Path] = ()) -> str:
    """A name of all files below a folder but the photos: annotations, meshes, vertex lists (or of one file).

    `without`: folders that do not count.
    """
    if not folder.is_dir():
        return fingerprint(stamp(folder))
    left_out = [path.resolve() for path in without]
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.suffix.lower() not in PHOTO_ENDINGS]
    counted = [file for file in files if not any(file.resolve().is_relative_to(path) for path in left_out)]
    return fingerprint([(str(file.relative_to(folder)), stamp(file)) for file in counted])
