"""Names of result folders, so that two photos never share one, on any file system."""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

from limner.errors import OutputError, shown

FileKind = Literal["overlay", "sheet", "glb", "obj", "ply", "params", "keypoints"]
FILES: dict[FileKind, str] = {
    "overlay": "overlay.png",
    "sheet": "sheet.png",
    "glb": "mesh.glb",
    "obj": "mesh.obj",
    "ply": "mesh.ply",
    "params": "params.npz",
    "keypoints": "keypoints.json",
}
"""What can be written for a photo: kinds that users choose from, and their files' names."""

MOST_BYTES = 180
"""Of a name: file systems take 255, and numbers and endings are put behind it."""
MOST_OF_ENDING = 10
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
_WINDOWS = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?")
_OWN = re.compile(
    r"(person_\d+|track_\d+\.npz|fits\.json|outcomes\.jsonl|result\.json|keypoints\.json|overlay\.png|sheet\.png)"
)


def check_files(files: Iterable[str], known: Iterable[str] = FILES) -> frozenset[str]:
    """The kinds of files chosen. Raises OutputError for one that is not known, and where none is chosen."""
    chosen, kinds = frozenset(files), tuple(known)
    wrong = sorted(chosen - set(kinds))
    if wrong or not chosen:
        got = ", ".join(map(shown, wrong)) or "none"
        raise OutputError(f"files to write: got {got}, expected some of {', '.join(kinds)}. Name those that you want.")
    return chosen


def result_names(photos: Sequence[Path], below: Sequence[Path] | None = None) -> list[str]:
    """A folder name a photo, unique also where capitals or the way of writing accents make no difference.

    The photo's name without ending, made safe; with the ending where photos share it, with a number where that is
    taken. `below`: of each photo a folder that its own is put into; names are paths with slashes then.
    """
    folders = [[safe_name(part) for part in path.parts] for path in below or [Path()] * len(photos)]
    named = [_stem_and_ending(photo.name) for photo in photos]
    stems = ["/".join([*parts, safe_name(stem)]) for parts, (stem, _) in zip(folders, named, strict=True)]
    shared = Counter(map(_folded, stems))
    taken = {_folded("/".join(parts[:depth])) for parts in folders for depth in range(1, len(parts) + 1)}
    plain = [shared[_folded(stem)] == 1 and _folded(stem) not in taken for stem in stems]
    taken |= {_folded(stem) for stem, alone in zip(stems, plain, strict=True) if alone}
    names = []
    for (_, ending), stem, alone in zip(named, stems, plain, strict=True):
        names.append(stem if alone else _free(f"{stem}_{safe_name(ending[:MOST_OF_ENDING], 'file')}", taken))
        taken.add(_folded(names[-1]))
    return names


def _stem_and_ending(name: str) -> tuple[str, str]:
    """What is before and after the last dot (Python's own idea of it, of names that begin with dots, has changed)."""
    stem, dot, ending = name.rpartition(".")
    return (stem, ending) if dot else (name, "")


def safe_name(name: str, empty: str = "photo") -> str:
    """A name that is one folder's on every system: no control or path characters, no dots or spaces at its ends, none
    that Windows or limner keep for themselves, and at most MOST_BYTES long; `empty` where nothing is left."""
    text = unicodedata.normalize("NFC", name)
    text = "".join("_" if shown(letter) != letter else letter for letter in text)
    text = _FORBIDDEN.sub("_", text).lstrip(". ").rstrip(". ") or empty
    if len(text.encode()) > MOST_BYTES:
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
        text = f"{text.encode()[:MOST_BYTES].decode(errors='ignore').rstrip('. ')}_{digest}"
    kept = text.casefold()
    return f"{text}_" if _WINDOWS.fullmatch(kept) or _OWN.fullmatch(kept) else text


def _free(name: str, taken: set[str]) -> str:
    number, free = 0, name
    while _folded(free) in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _folded(name: str) -> str:
    """Equal for names that some file system takes for the same."""
    decomposed = unicodedata.normalize("NFD", str(PurePosixPath(name)))
    return unicodedata.normalize("NFKD", decomposed.casefold())
