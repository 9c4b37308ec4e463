"""Zip archives that may be unpacked. One whose contents are known to be within limits before a byte is inflated."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from limner.reading.told import MOST_BYTES, RefusedError, check_regular

FREE_BYTES = 2**28
"""Up to 256 MB the ratio does not count: arrays of zeros pack a thousandfold."""
MOST_RATIO = 100
MOST_ENTRIES = 100_000


@contextmanager
def open_zip(file: Path | io.BytesIO, most_bytes: int = MOST_BYTES) -> Iterator[ZipFile]:
    """An archive whose entries together hold at most `most_bytes` when unpacked.

    Above 256 MB they may not hold more than a hundred times the file's bytes either. Python's zipfile never inflates an
    entry further than its declared size, which is why the sum of these is a limit. Raises RefusedError, OSError,
    BadZipFile.
    """
    size = check_regular(file, most_bytes) if isinstance(file, Path) else file.seek(0, 2)
    with ZipFile(file) as archive:
        entries = archive.infolist()
        if len(entries) > MOST_ENTRIES:
            raise RefusedError(f"it has {len(entries)} entries, the limit is {MOST_ENTRIES}")
        if len({entry.filename for entry in entries}) < len(entries):
            raise RefusedError("it holds two entries of one name")
        if any(entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED) or entry.flag_bits & 1 for entry in entries):
            raise RefusedError("it is packed in a way that no archive of arrays uses")
        total, limit = sum(entry.file_size for entry in entries), min(most_bytes, max(FREE_BYTES, MOST_RATIO * size))
        if total > limit:
            raise RefusedError(f"its {size} bytes unpack to {total}, the limit is {limit}")
        yield archive
