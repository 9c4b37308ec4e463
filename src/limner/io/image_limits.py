"""Limits of image files. Regular files of the formats that are meant, within limits that are checked
before a decoder sees them: whatever a file says, it is read within 10 s and 3 GB, or refused with the limit named."""

import importlib.util
import os
import re
import stat
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO, Protocol, cast, runtime_checkable

from PIL import Image, UnidentifiedImageError

from limner.errors import PhotoError
from limner.io.file_kind import HEIC_EXTRA, cure_for

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "JPEG2000", "HEIF")
"""Pillow's names of what is read; the rest of its formats is nobody's photo, and PostScript is a program."""

MAX_BYTES = 512_000_000
MAX_PIXELS = 200_000_000
MAX_PIXELS_OF = {"WEBP": 100_000_000, "AVIF": 100_000_000, "HEIF": 100_000_000, "JPEG2000": 20_000_000}
"""Formats that are decoded slowly, or through several copies of the picture."""

MAX_SIDE = 65_500
MAX_SCANS = 100
MAX_SCANNED_PIXELS = 2_100_000_000
"""A progressive JPEG is decoded once a scan: ten are usual, a hundred of a small picture do no harm."""

MAX_SEGMENTS = 10_000
MAX_FILLING = 1_000_000
MAX_EXIF_SEGMENTS = 64
MAX_CHUNKS = 200_000
MAX_BOXES = 1000
MAX_LAYERS, LEAST_PRECINCT, MAX_MARKERS = 100, 5, 100_000
"""Of JPEG 2000: quality layers, logarithm of a precinct's side; OpenJPEG goes through all of both, also empty ones."""
MAX_RUNS_BYTES, MAX_RUNS_PIXELS = 8_000_000, 16_000_000
"""Run-length bitmaps are unpacked in Python."""

READ = "JPEG, PNG, WebP, BMP, TIFF, AVIF, GIF, JPEG 2000 or HEIC"
_limit_lock = threading.Lock()
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_SOS, _EOI, _APP1 = 0xDA, 0xD9, 0xE1
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_ARITHMETIC = range(0xC9, 0xD0)
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@runtime_checkable
class Stream(Protocol):
    """What is read of an opened file: bytes, from any place."""

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...


@contextmanager
def open_photo_file(path: Path) -> Iterator[Stream]:
    """Open a regular file to read; PhotoError for what is missing, empty, no regular file, or cannot be opened.

    A pipe, a device or a socket is not even opened, and one that takes a file's place meanwhile does not block.
    """
    try:
        _check_regular(path, os.stat(path))
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
        stream = os.fdopen(os.open(path, flags), "rb")
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a zero byte in the name
        raise PhotoError(f"{path} does not exist. Check the spelling; relative paths start at {Path.cwd()}.") from error
    except OSError as error:
        raise PhotoError(f"cannot open {path} ({error.strerror}). Check its permissions.") from error
    with stream:
        _check_regular(path, os.fstat(stream.fileno()))
        yield stream


@contextmanager
def open_image(stream: Stream, name: str | Path, formats: tuple[str, ...] = FORMATS) -> Iterator[Image.Image]:
    """The image in a seekable stream, within the limits and not decoded yet: `load` it within the block.

    name: what messages call it. formats: those of FORMATS that are expected. Everything that Pillow raises in the block
    becomes a PhotoError that names the cure.
    """
    size = _size(stream)
    try:
        if not size:
            raise PhotoError(f"{name} is empty (0 bytes), expected an image. Copy or download it again.")
        if size > MAX_BYTES:
            raise PhotoError(_too_large(name, f"{size:,} bytes", f"{MAX_BYTES:,} in all"))
        _check_structure(stream, name, size)
        with _opened(stream, name, formats) as image:
            yield image
    except PhotoError:
        raise
    except UnidentifiedImageError as error:
        raise PhotoError(
            f"{name} is no image that can be read ({size} bytes, ending {Path(name).suffix or 'none'}): expected "
            f"{READ}. {_cure(Path(name))}"
        ) from error
    except Image.DecompressionBombError as error:
        raise PhotoError(
            _too_large(name, "far too many pixels", f"{MAX_PIXELS // 1_000_000} million in all")
        ) from error
    except MemoryError as error:
        raise PhotoError(f"{name}: not enough memory to decode it. Scale the photo down, then try again.") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise PhotoError(
            f"{name} is damaged or cut off ({error}): expected a whole image. Copy or download it again, or save it "
            f"anew from an image editor."
        ) from error


@cache
def register_heif() -> bool:
    """Teach Pillow HEIC if the package for it is installed; whether it is."""
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    from pillow_heif import register_heif_opener

    register_heif_opener()
    return True


def _cure(file: Path) -> str:
    known = cure_for(file)
    if known == HEIC_EXTRA and register_heif():
        return "It is damaged HEIC: copy or download it again."
    return f"It is {known}." if known else "Convert it to JPEG or PNG."


def _check_regular(path: Path, found: os.stat_result) -> None:
    if stat.S_ISREG(found.st_mode):
        if not found.st_size:
            raise PhotoError(f"{path} is empty (0 bytes), expected an image. Copy or download it again.")
        return
    what = next((text for is_it, text in _KINDS if is_it(found.st_mode)), "no regular file")
    cure = "Name a photo in it, or list it first." if what == "a folder" else "Save what comes from it to a file first."
    raise PhotoError(f"{path} is {what}, expected an image file. {cure}")


def _size(stream: Stream) -> int:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    return size


@contextmanager
def _opened(stream: Stream, name: str | Path, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    """Open an image under our own size limit; Pillow's is a module global, so it is put back at once."""
    with _limit_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # our own checks say it better, and a broken TIFF has one a tag
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
        try:
            image = Image.open(cast(BinaryIO, stream), formats=[one for one in formats if one in _known()])
            _check_size(name, image)
            if image.format == "TIFF":  # the only one that checks its size again when it decodes
                image.load()
        finally:
            Image.MAX_IMAGE_PIXELS = before
    with image:
        yield image


def _known() -> dict[str, object]:
    """Formats that Pillow and its plug-ins can open here."""
    Image.init()
    register_heif()
    return dict(Image.OPEN)


def _check_size(name: str | Path, image: Image.Image) -> None:
    got = f"{image.width} x {image.height} pixels"
    if max(image.size) > MAX_SIDE:
        raise PhotoError(_too_large(name, got, f"{MAX_SIDE} pixels a side"))
    most = MAX_PIXELS_OF.get(image.format or "", MAX_PIXELS)
    if image.width * image.height > most:
        kind = f" in a {image.format} file" if most < MAX_PIXELS else ""
        raise PhotoError(_too_large(name, got, f"{most // 1_000_000} million in all{kind}"))


def _too_large(name: str | Path, got: str, most: str) -> str:
    return f"{name} has {got}, expected at most {most}. Scale it down first; 4000 pixels on the longer side are plenty."


def _check_structure(stream: Stream, name: str | Path, size: int) -> None:
    """Walk through the parts of a file whose number alone can keep a decoder busy; PhotoError names the limit."""
    start = stream.read(34)
    if start.startswith(b"\xff\xd8"):
        _check_jpeg(stream, name)
    elif start.startswith(b"\x89PNG"):
        _check_png(stream, name)
    elif start[4:8] == b"jP  ":
        _check_boxes(stream, name, 0, size)
    elif start.startswith(b"\xff\x4f\xff\x51"):
        _check_codestream(stream, name, 0)
    elif start.startswith(b"BM"):
        _check_bitmap(start, name, size)
    stream.seek(0)


def _check_jpeg(stream: Stream, name: str | Path) -> None:
    """Count scans, segments and EXIF as libjpeg and Pillow come upon them, up to the end of the first picture."""
    stream.seek(2)
    marker: int | None = 0xD8
    pixels = scans = segments = exif = filling = 0
    while True:
        end, in_scan = stream.seek(0, os.SEEK_CUR), marker == _SOS
        marker = _next_marker(stream)
        filling += 0 if in_scan else stream.seek(0, os.SEEK_CUR) - end - 2
        if filling > MAX_FILLING:  # Pillow skips it byte by byte
            raise PhotoError(_busy(name, f"{filling:,} bytes between its segments", f"{MAX_FILLING:,}"))
        if marker in (None, _EOI):
            return
        head = stream.read(7)
        if marker in (0x01, 0xD8) or len(head) < 2:  # they have no length
            stream.seek(-len(head), os.SEEK_CUR)
            continue
        length = max(2, int.from_bytes(head[:2], "big"))
        segments += 1
        scans += marker == _SOS
        if marker in _FRAMES and len(head) == 7:
            height, width = struct.unpack(">HH", head[3:])
            pixels = max(pixels, width * height * (10 if marker in _ARITHMETIC else 1))
        exif += marker == _APP1 and head[2:] == b"Exif\0"
        if segments > MAX_SEGMENTS:
            raise PhotoError(_busy(name, f"more than {MAX_SEGMENTS} segments", f"{MAX_SEGMENTS}"))
        if exif > MAX_EXIF_SEGMENTS:  # Pillow joins them one by one
            raise PhotoError(_busy(name, f"more than {MAX_EXIF_SEGMENTS} EXIF segments", f"{MAX_EXIF_SEGMENTS}"))
        if scans > MAX_SCANS or scans * pixels > MAX_SCANNED_PIXELS:
            most = min(MAX_SCANS, MAX_SCANNED_PIXELS // max(1, pixels))
            raise PhotoError(_busy(name, f"at least {scans} scans", f"{most} for its size"))
        stream.seek(length - len(head), os.SEEK_CUR)


def _next_marker(stream: Stream) -> int | None:
    """Move behind the next marker of a JPEG that is no restart, over whatever is before it; None at the end."""
    amount = 2  # segments follow one another without a gap; only a scan has data before the next marker
    while True:
        chunk = stream.read(amount)
        found = _MARKER.search(chunk)
        if found:
            stream.seek(found.end() - len(chunk), os.SEEK_CUR)
            return chunk[found.end() - 1]
        if len(chunk) < amount:
            return None
        if chunk.endswith(b"\xff"):
            stream.seek(-1, os.SEEK_CUR)
        amount = 65_536


def _check_png(stream: Stream, name: str | Path) -> None:
    stream.seek(8)
    for _ in range(MAX_CHUNKS):
        head = stream.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return
        stream.seek(int.from_bytes(head[:4], "big") + 4, os.SEEK_CUR)
    raise PhotoError(_busy(name, f"more than {MAX_CHUNKS} chunks", f"{MAX_CHUNKS}"))


def _check_boxes(stream: Stream, name: str | Path, start: int, end: int) -> None:
    """Count the boxes of a JPEG 2000 file, and those in its header box."""
    for _ in range(MAX_BOXES):
        stream.seek(start)
        head = stream.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        if head[4:8] == b"jp2c":
            return _check_codestream(stream, name, start + (16 if head[:4] == b"\0\0\0\1" else 8))
        if start + 8 > end or length < 8:
            return None
        if head[4:8] == b"jp2h":
            _check_boxes(stream, name, start + 8, start + length)
        start += length
    raise PhotoError(_busy(name, f"more than {MAX_BOXES} boxes", f"{MAX_BOXES}"))


def _check_codestream(stream: Stream, name: str | Path, start: int) -> None:
    """Look at the layers and precincts of a JPEG 2000 picture, and at those of its tiles."""
    stream.seek(start + 2)
    after = 0
    for _ in range(MAX_MARKERS):
        here, head = stream.seek(0, os.SEEK_CUR), stream.read(4)
        marker, length = struct.unpack(">HH", head) if len(head) == 4 else (0xFFD9, 2)
        if marker == 0xFF93 and after > here:  # the tile's data
            stream.seek(after)
            continue
        if marker in (0xFF93, 0xFFD9) or length < 2:
            return
        body = stream.read(length - 2)
        if marker == 0xFF90 and len(body) == 8:
            after = here + int.from_bytes(body[2:6], "big")
        elif marker == 0xFF52 and len(body) >= 10:
            _check_coding(name, int.from_bytes(body[2:4], "big"), body[10:] if body[0] & 1 else b"")
        elif marker == 0xFF53 and len(body) >= 7:
            _check_coding(name, 1, body[7:] if body[1] & 1 else b"")
    raise PhotoError(_busy(name, f"more than {MAX_MARKERS} markers", f"{MAX_MARKERS}"))


def _check_coding(name: str | Path, layers: int, precincts: bytes) -> None:
    if layers > MAX_LAYERS:
        raise PhotoError(_busy(name, f"{layers} quality layers", f"{MAX_LAYERS}"))
    least = min((min(size & 15, size >> 4) for size in precincts[1:]), default=LEAST_PRECINCT)  # the first may be 1 px
    if least < LEAST_PRECINCT:
        raise PhotoError(_busy(name, f"precincts of {2**least} pixels", f"as small as {2**LEAST_PRECINCT}"))


def _check_bitmap(start: bytes, name: str | Path, size: int) -> None:
    if len(start) < 34 or int.from_bytes(start[30:34], "little") not in (1, 2):  # BI_RLE8, BI_RLE4
        return
    width, height = struct.unpack("<ii", start[18:26])
    if size > MAX_RUNS_BYTES or abs(width * height) > MAX_RUNS_PIXELS:
        got = f"{size:,} bytes for {width} x {abs(height)} pixels in runs"
        raise PhotoError(_busy(name, got, f"{MAX_RUNS_BYTES:,} bytes for {MAX_RUNS_PIXELS:,} pixels"))


def _busy(name: str | Path, got: str, most: str) -> str:
    return (
        f"{name} has {got}, expected at most {most}: it would take too long to decode. Save it anew as JPEG or PNG "
        f"from an image editor."
    )
