"""Folders replaced so that nobody ever sees half of one, and a kill at any moment leaves the old or the new.

The work goes on in a hidden folder `.limner-<32 digits>` beside the folder to be written:

    lock    held by the system while the run lives: who gets it knows that the run was killed
    for     the name of the folder to be written
    new     what is being written
    old     the older folder, put aside for the moment in which `new` takes its place
"""

import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from limner.errors import OutputError

_PLACE = re.compile(r"\.limner-[0-9a-f]{32}")
_FILE_PART = re.compile(r"\.[0-9a-f]{32}\.part")  # see `limner.io.atomic`
_OLDER_PLACE = re.compile(r"\..+\.[a-z0-9_]{8}")  # of limner 0.1
_PART_AGE_S = 60.0
"""Files are written in far less; a running one has changed since."""
_OLDER_AGE_S = 3600.0
_ATTEMPTS = 10
LOCK, FOR, NEW, OLD = "lock", "for", "new", "old"


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to write to, which takes the place of `folder` at the end; after an error all is as before.

    It has the permissions that the user's umask says. A link is followed, not replaced. Several runs may write the
    same folder: the last one stays, whole. Raises OutputError where nothing can be written.
    """
    target = Path(os.path.realpath(folder))
    try:
        if target.exists() and not target.is_dir():
            raise OutputError(f"cannot write the folder {folder}: there is a file of that name. Move it, or rename it.")
        with _workplace(target) as place:
            (place / NEW).mkdir()
            yield place / NEW
            _put(place, target)
    except OSError as error:
        raise OutputError(
            f"cannot write {folder} ({error.strerror}). Free some space, or give another --out."
        ) from error


def sweep(folder: Path, is_ours: Callable[[Path], bool]) -> None:
    """Take away what killed runs left in a folder, and put in place what they had finished; running ones are left.

    `is_ours`: tells results from other files, in hidden folders that older versions left.
    """
    with suppress(OSError):
        for path in sorted(folder.glob(".*")):
            if _PLACE.fullmatch(path.name) and path.is_dir():
                _sweep_place(path)
            elif _FILE_PART.fullmatch(path.name) and path.is_file() and _age_s(path) > _PART_AGE_S:
                path.unlink(missing_ok=True)
            elif _OLDER_PLACE.fullmatch(path.name) and _is_older_place(path, is_ours):
                shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _workplace(target: Path) -> Iterator[Path]:
    for _ in range(_ATTEMPTS):
        place = target.parent / f".limner-{uuid.uuid4().hex}"
        place.mkdir()
        lock = _lock(place)
        if lock is not None:
            break  # else another run has just swept it away
    else:
        raise OutputError(f"cannot write {target}: other runs take its work folder away. Start again.")
    try:
        (place / FOR).write_bytes(os.fsencode(target.name))
        yield place
    finally:
        shutil.rmtree(place / OLD, ignore_errors=True)
        lock.release()
        shutil.rmtree(place, ignore_errors=True)


def _lock(place: Path) -> BaseFileLock | None:
    """The lock of a work folder; None where its run lives."""
    lock = FileLock(place / LOCK)
    try:
        lock.acquire(blocking=False)
    except (Timeout, OSError):
        return None
    return lock


def _put(place: Path, target: Path) -> None:
    """The new folder in the place of the old one; another run may do the same meanwhile."""
    for attempt in range(_ATTEMPTS):
        aside = place / OLD / str(attempt)
        aside.parent.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            os.rename(target, aside)
        try:
            os.rename(place / NEW, target)
            return
        except OSError:
            if target.exists() and attempt + 1 < _ATTEMPTS:
                continue
            with suppress(OSError):
                os.rename(aside, target)
            raise


def _sweep_place(place: Path) -> None:
    lock = _lock(place)
    if lock is None:
        return
    try:
        swapping = (place / OLD).is_dir() and (place / NEW).is_dir()  # killed between two renames: `new` is whole
        target = place.parent / os.fsdecode((place / FOR).read_bytes()) if swapping else place
        if not target.exists():
            os.rename(place / NEW, target)
    except OSError:
        pass
    finally:
        lock.release()
        shutil.rmtree(place, ignore_errors=True)


def _is_older_place(path: Path, is_ours: Callable[[Path], bool]) -> bool:
    return path.is_dir() and _age_s(path) > _OLDER_AGE_S and all(map(is_ours, path.iterdir()))


def _age_s(path: Path) -> float:
    return time.time() - path.stat().st_mtime
