"""Files written so that nobody ever sees half of one, or numbers that no program can read."""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from limner.errors import OutputError

_CURES = {
    errno.ENOSPC: "the disk is full: free some space, or write to another disk.",
    errno.EDQUOT: "your disk quota is used up: free some space, or write elsewhere.",
    errno.EFBIG: "the file is larger than this disk or account allows: write elsewhere.",
    errno.EROFS: "the disk is read-only: write elsewhere.",
    errno.EACCES: "no permission to write there: choose a folder of your own, or change its permissions.",
    errno.EPERM: "no permission to write there: choose a folder of your own, or change its permissions.",
    errno.ENOTDIR: "a part of the path is a file, not a folder: choose another folder.",
    errno.EEXIST: "a part of the path is a file, not a folder: choose another folder.",
    errno.ENAMETOOLONG: "the file name is too long: choose a shorter one.",
}


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """Open `path` for writing in one step: its old content stays until the block has ended without an error.

    Yields a binary file in the same folder (parent folders are made), which replaces `path` at the end; after an
    error or an interrupt it is removed and `path` is as before. A link is followed, not replaced. Guards against
    errors of the program, not against power cuts (no fsync).

    Raises OutputError, which names the cure, when the file system refuses (no permission, disk full, bad path).
    """
    target = Path(path).expanduser()
    try:
        target = Path(os.path.realpath(target))  # write through a link, do not replace it
        if target.exists() and not target.is_file():
            what = "a folder" if target.is_dir() else "no regular file"
            raise OutputError(f"cannot write {path}: it is {what}, expected a file. Give another file name.")
        target.parent.mkdir(parents=True, exist_ok=True)
        # not tempfile: its files are private (0600), a result should follow the user's umask
        temporary = target.with_name(f".{uuid.uuid4().hex}.part")
        with _removed_on_error(temporary):
            with open(temporary, "xb") as file:
                yield file
            os.replace(temporary, target)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {_cure(error)}") from error


@contextmanager
def _removed_on_error(temporary: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:  # also an interrupt from the keyboard
        with suppress(OSError):
            temporary.unlink()
        raise


def _cure(error: OSError) -> str:
    known = _CURES.get(error.errno) if error.errno is not None else None
    return known or f"{error.strerror or error}. Check the path, or write to another folder."


def check_finite(path: str | Path, **arrays: Tensor) -> None:
    """Raise OutputError for an array with a value that is not a number or infinite: no viewer could read the file."""
    for name, array in arrays.items():
        if not bool(torch.isfinite(array).all()):
            raise OutputError(
                f"cannot write {path}: {name} has values that are not finite numbers. The estimate of this person is "
                f"broken: leave the person out, and report the photo."
            )
