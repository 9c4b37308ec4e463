"""Errors of readers: whatever a damaged or hostile file raises becomes one of limner's own."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from limner.errors import LimnerError

MOST_BYTES = 2**31
"""So much does a file that is read whole hold at most, packed or unpacked, where its reader says nothing else."""


class RefusedError(ValueError):
    """A file holds what no file of numbers needs, or more than its limit; `told_as` makes limner's error of it."""


@contextmanager
def told_as(kind: type[LimnerError], what: object, cure: str) -> Iterator[None]:
    """Let a `kind` take the place of anything that is raised within, limner's own errors pass.

    what: the file, or what else is read, for the message. Meant for the few lines that read a file and take its
    numbers apart: a damaged file can raise nearly anything there, no list of kinds is whole.
    """
    try:
        yield
    except LimnerError:
        raise
    except FileNotFoundError as error:
        raise kind(f"{what} does not exist. {cure}") from error
    except IsADirectoryError as error:
        raise kind(f"{what} is a folder, expected a file. {cure}") from error
    except Exception as error:  # noqa: BLE001 see above
        raise kind(f"{what} cannot be read, it is refused or damaged ({reason(error)}). {cure}") from error


def reason(error: BaseException) -> str:
    """An error of somebody else's in one line of at most 300 characters."""
    match error:
        case MemoryError():
            return "it asks for more memory than there is"
        case RecursionError():
            return "it is nested too deeply"
        case KeyError():
            text = f"{error} is missing"
        case OSError() if error.strerror:
            text = error.strerror
        case RefusedError():
            text = str(error)
        case _:
            text = f"{type(error).__name__}: {error}"
    lines = text.strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def check_regular(file: Path, most_bytes: int = MOST_BYTES) -> int:
    """The size of a file in bytes; raises RefusedError for pipes and devices (which may never end) and above the limit,
    OSError where there is none."""
    status = file.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(21, "it is a folder", str(file))
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError("it is a pipe or a device, expected a regular file")
    if status.st_size > most_bytes:
        raise RefusedError(f"it has {status.st_size} bytes, the limit is {most_bytes}")
    return status.st_size


def whole_file(file: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """All bytes of a regular file of at most that size. Raises as `check_regular`."""
    check_regular(file, most_bytes)
    return file.read_bytes()
