"""The photos that files and folders stand for, and what in the folders is left out."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from limner.errors import PhotoError
from limner.io.file_kind import KINDS, Kind, cure_of, kind_by_content, kind_by_name

PHOTO_ENDINGS = tuple(ending for kind in KINDS if kind.sort != "not read" for ending in kind.endings)
"""Endings that `list_photos` takes for photos; a file with another one has to begin like a photo."""

RESULT_MARKS = ("result.json", "hd_overlay.png")
"""What a folder of limner's own results holds: its pictures are no photos."""

TO_LOOK_INTO = "looked into with --recursive"


@dataclass(frozen=True)
class LeftOut:
    """A file in a folder that looks like a picture or a film and is not read, and what helps."""

    file: Path
    reason: str


@dataclass(frozen=True)
class PhotoList:
    """What files and folders stand for.

    photos      each once, in the order given
    below       of each photo the path of its folder below the folder that was given; empty for most
    left_out    pictures and films that are not read
    others      how many other files the folders hold: texts, hidden files
    folders     how many folders were not looked into
    """

    photos: list[Path]
    below: list[Path]
    left_out: list[LeftOut]
    others: int
    folders: int

    def remarks(self) -> list[str]:
        """What to say of what is not named: one line a kind."""
        lines = []
        if self.others:
            lines.append(f"{self.others} other file{'s' * (self.others != 1)} left out: no pictures, or hidden.")
        if self.folders:
            lines.append(f"{self.folders} folder{'s' * (self.folders != 1)} below left out: {TO_LOOK_INTO}.")
        return lines


def list_photos(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """The photo files that files and folders stand for: see `find_photos`."""
    return find_photos(paths).photos


def find_photos(
    paths: str | Path | Sequence[str | Path], recursive: bool = False, without: Sequence[Path] = ()
) -> PhotoList:
    """The photo files that files and folders stand for, each once, in the order given.

    A folder stands for the photos directly in it, with `recursive` also in all folders below (links are not followed,
    results of limner's and the folders `without` are not looked into), sorted by name; hidden files are left out. What
    has no picture's ending is a photo if it begins like one. A file stands for itself, whatever its ending.

    Raises PhotoError for a missing path, for a folder that cannot be looked into, and for one without photos.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    if not given:
        raise PhotoError("no photo given: expected at least one image file or folder of images.")
    found: dict[Path, Path] = {}
    left_out: dict[Path, LeftOut] = {}
    others: set[Path] = set()
    folders: set[Path] = set()
    closed = {path.expanduser().resolve() for path in without}
    for path in (Path(p).expanduser() for p in given):
        if not existing(path).is_dir():
            found.setdefault(path, Path())
            continue
        inside = _Folder(path, recursive, closed)
        if not inside.photos:
            raise PhotoError(_no_photo(inside))
        for file in inside.photos:
            found.setdefault(file, file.parent.relative_to(path))
        left_out |= {one.file: one for one in inside.left_out}
        others.update(inside.others)
        folders.update(inside.folders)
    named = [one for file, one in left_out.items() if file not in found]
    return PhotoList(list(found), list(found.values()), named, len(others - found.keys()), len(folders))


def existing(path: Path) -> Path:
    """The path itself. Raises PhotoError where nothing is there."""
    try:
        there = path.exists()
    except (OSError, ValueError) as error:  # a name that is too long, or that has a zero byte
        raise PhotoError(f"{path} cannot be a file here ({error}). Check the spelling.") from error
    if not there:
        raise PhotoError(f"{path} does not exist. Check the spelling; relative paths start at {Path.cwd()}.")
    return path


class _Folder:
    """What one folder holds, sorted by name, folders below after its own files."""

    def __init__(self, folder: Path, recursive: bool, closed: set[Path]):
        self.folder, self.closed = folder, closed
        self.photos: list[Path] = []
        self.left_out: list[LeftOut] = []
        self.others: list[Path] = []
        self.folders: list[Path] = []
        for file in self._files(folder, recursive):
            self._sort(file)

    def _files(self, folder: Path, recursive: bool) -> Iterator[Path]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise PhotoError(f"cannot look into {folder} ({error.strerror}). Check its permissions.") from error
        below = []
        for entry in entries:
            if not entry.is_dir():
                yield folder / entry.name
            elif not entry.name.startswith(".") and not self._is_closed(folder / entry.name):
                below.append(folder / entry.name)
        if not recursive:
            self.folders += below
            return
        for path in below:
            if path.is_symlink():
                self.folders.append(path)  # a link may lead back here
            else:
                yield from self._files(path, recursive)

    def _is_closed(self, folder: Path) -> bool:
        return folder.resolve() in self.closed or any((folder / mark).is_file() for mark in RESULT_MARKS)

    def _sort(self, file: Path) -> None:
        kind = kind_of(file)
        if kind is None:
            self.others.append(file)
        elif kind.sort == "not read":
            self.left_out.append(LeftOut(file, cure_of(kind, file)))
        else:
            self.photos.append(file)  # also HEIC that cannot be read here: an error of that photo, with its cure


def kind_of(file: Path) -> Kind | None:
    """What a file in a folder is, by its ending, else by how it begins; None for hidden ones and what is no file."""
    if file.name.startswith(".") or not file.is_file():
        return None
    return kind_by_name(file) or kind_by_content(file)


def _no_photo(inside: _Folder) -> str:
    files = [one.file for one in inside.left_out] + inside.others
    others = ", ".join(sorted({p.suffix or "no ending" for p in files if not p.name.startswith(".")})) or "nothing"
    cure = f" {inside.left_out[0].file.name} is {inside.left_out[0].reason}." if inside.left_out else ""
    below = f" {len(inside.folders)} folders below are {TO_LOOK_INTO}." if inside.folders else ""
    return (
        f"no photo in the folder {inside.folder} (it holds {others}): expected files ending in "
        f"{' '.join(PHOTO_ENDINGS)}. Give another folder, or the files themselves.{cure}{below}"
    )
