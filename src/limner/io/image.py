"""Images: photos in, pictures out. Any common image file to upright 8-bit RGB, and back."""

import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import ExifTags, Image
from torch import Tensor

from limner.errors import OutputError, PhotoError
from limner.io.atomic import atomic_write
from limner.io.image_limits import Stream, open_image, open_photo_file

WRITTEN_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")  # the others' further pictures are pages or previews

try:
    from isal.isal_zlib import compress
except ImportError:  # no wheel for this machine
    from zlib import compress

_FILM_DIAGONAL_MM = math.hypot(36.0, 24.0)  # 35 mm equivalence compares diagonals (CIPA DCG-001)
_MM_PER_RESOLUTION_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # EXIF FocalPlaneResolutionUnit
TURNED_SIDEWAYS = (5, 6, 7, 8)
"""EXIF's numbers of photos that are stored lying on a side."""

PIXELS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Photo:
    """One photo, upright: sRGB pixels, focal length in pixels where the file tells it, where it came from.

    animated: the file is a film of several pictures, of which this is the first.
    """

    pixels: UInt8[Tensor, "3 H W"]
    focal_px: float | None
    path: Path
    animated: bool = False

    def __repr__(self) -> str:
        lens = "" if self.focal_px is None else f", focal length {self.focal_px:.0f} px"
        return f"Photo({self.path.name}, {self.width} x {self.height} px{lens})"

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.pixels.shape[2]

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.pixels.shape[1]


def read_photo(path: str | Path) -> Photo:
    """Read a photo as people see it: turned upright by its EXIF mark, alpha on white, first frame, 8-bit RGB.

    16-bit grey is scaled by 255/65535. Colour profiles are not applied.

    Raises PhotoError, which names the cure, for a missing, empty, damaged or cut-off file, for a folder, a pipe or a
    device, for what is no image, and above the limits of `limner.io.image_limits`.
    """
    file = Path(path).expanduser()
    with open_photo_file(file) as stream:
        return read_photo_stream(stream, file)


def read_photo_stream(stream: Stream, name: Path) -> Photo:
    """`read_photo` of an opened, seekable stream; `name` is the photo's path, and what messages call it."""
    with open_image(stream, name) as image:
        return photo_of_image(image, name)


def photo_of_image(image: Image.Image, name: Path) -> Photo:
    """`read_photo` of an image that Pillow has opened; whatever is wrong with it is raised as Pillow raises it."""
    animated = image.format in ANIMATED and bool(getattr(image, "is_animated", False))
    image.load()
    exif = _read_exif(image)
    turn = int(_number(exif.get(ExifTags.Base.Orientation)))
    focal_px = focal_from_exif(exif, *image.size)  # the same either way up
    return Photo(_upright_planes(name, image, turn), focal_px, name, animated)


def write_image(path: str | Path, pixels: UInt8[Tensor, "3 H W"]) -> None:
    """Write RGB pixels as `.png` or `.jpg` (quality 95), whole or not at all.

    Raises OutputError for another ending and for what `atomic_write` names.
    """
    file = Path(path)
    kind = WRITTEN_FORMATS.get(file.suffix.lower())
    if kind is None:
        endings = ", ".join(WRITTEN_FORMATS)
        raise OutputError(f"cannot write {file}: ending {file.suffix!r}, expected one of {endings}. Rename it.")
    rows = np.ascontiguousarray(pixels.cpu().numpy().transpose(1, 2, 0))
    with atomic_write(file) as handle:
        if kind == "PNG":
            handle.write(_png(rows))
        else:
            Image.fromarray(rows).save(handle, format=kind, quality=95, subsampling=0)


def _png(rows: np.ndarray) -> bytes:
    """RGB bytes H W 3 as PNG, each row less the one above: a sixth of the time of Pillow and of OpenCV, and smaller."""
    height, width = rows.shape[:2]
    flat = rows.reshape(height, -1)
    lines = np.empty((height, 1 + flat.shape[1]), np.uint8)
    lines[:, 0], lines[0, 1:] = 2, flat[0]  # filter "up"
    np.subtract(flat[1:], flat[:-1], out=lines[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB
    parts = ((b"IHDR", header), (b"IDAT", compress(lines, 1)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def focal_from_exif(exif: Image.Exif, width: int, height: int) -> float | None:
    """Focal length in pixels of a photo of this size (either way up), or None where EXIF does not tell.

    The 35 mm equivalent if given (of the diagonal, CIPA DCG-001), else millimetres and the sensor's resolution.
    A photo whose shape differs from what EXIF says the camera took has been cut: its lens is unknown.
    """
    camera = exif.get_ifd(ExifTags.IFD.Exif)
    taken = [_number(camera.get(tag)) for tag in (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)]
    long, short = max(width, height), min(width, height)
    scale = 1.0
    if all(taken):
        if abs(max(taken) / min(taken) * short / long - 1) > 0.02:
            return None
        scale = long / max(taken)
    focal_px = _number(camera.get(ExifTags.Base.FocalLengthIn35mmFilm)) / _FILM_DIAGONAL_MM * math.hypot(long, short)
    if not focal_px:
        unit_mm = _MM_PER_RESOLUTION_UNIT.get(camera.get(ExifTags.Base.FocalPlaneResolutionUnit, 2), 25.4)
        per_mm = _number(camera.get(ExifTags.Base.FocalPlaneXResolution)) / unit_mm
        focal_px = _number(camera.get(ExifTags.Base.FocalLength)) * per_mm * scale
    plausible = 0.2 * long < focal_px < 50 * long  # a 7 mm fisheye to an 1800 mm telephoto; else a broken tag
    return focal_px if plausible else None


def _number(value: object) -> float:
    """A positive finite number of an EXIF tag, or 0 where there is none."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return number if math.isfinite(number) and number > 0 else 0.0


def _read_exif(image: Image.Image) -> Image.Exif:
    """EXIF of a decoded image; empty where it is broken: the picture counts more than its notes."""
    try:
        exif = image.getexif()
        exif.get_ifd(ExifTags.IFD.Exif)
        return exif
    except Exception:  # Pillow's parser raises nearly anything on broken EXIF
        return Image.Exif()


def _upright_planes(name: Path, image: Image.Image, turn: int) -> UInt8[Tensor, "3 H W"]:
    """Any decoded image to three 8-bit planes, turned as EXIF's number says: a few rows at a time, which is how the
    largest photos need little more memory than they and the result take."""
    turned = turn in TURNED_SIDEWAYS
    upright = np.empty((3, image.width, image.height) if turned else (3, image.height, image.width), np.uint8)
    as_stored = _as_stored(upright, turn)
    full = _full_value(name, image)
    rows = max(1, PIXELS_AT_ONCE // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        as_stored[:, top : top + strip.height] = _planes(strip, full)
    return torch.from_numpy(upright)


def _as_stored(upright: np.ndarray, turn: int) -> np.ndarray:
    """A view of an upright picture, 3 H W, in which it lies as in the file whose EXIF has this number."""
    match turn:
        case 2:
            return upright[:, :, ::-1]
        case 3:
            return upright[:, ::-1, ::-1]
        case 4:
            return upright[:, ::-1]
        case 5:
            return upright.swapaxes(1, 2)
        case 6:
            return np.rot90(upright, 1, (1, 2))
        case 7:
            return upright[:, ::-1, ::-1].swapaxes(1, 2)
        case 8:
            return np.rot90(upright, -1, (1, 2))
        case _:
            return upright


def _planes(strip: Image.Image, full: float | None) -> np.ndarray:
    """Three 8-bit planes of a piece, or one of a grey piece of which `full` becomes 255."""
    if full is not None:
        return np.rint(np.asarray(strip).astype(np.float32) * np.float32(255 / full)).astype(np.uint8)[None]
    if strip.has_transparency_data:
        layer = strip.convert("RGBA")
        strip = Image.new("RGB", layer.size, "white")
        strip.paste(layer, mask=layer.getchannel("A"))
    elif strip.mode != "RGB":
        strip = strip.convert("RGB")
    return np.asarray(strip).transpose(2, 0, 1)


def _full_value(name: Path, image: Image.Image) -> float | None:
    """White of a 16-bit, 32-bit or float channel: 65535, or 1.0 of a float image; None of 8-bit modes.

    Raises PhotoError where values are beyond it, or not numbers.
    """
    if not (image.mode.startswith("I") or image.mode == "F"):
        return None
    full = 1.0 if image.mode == "F" else 65535.0
    rows = max(1, PIXELS_AT_ONCE // image.width)
    tops = range(0, image.height, rows)
    strips = (np.asarray(image.crop((0, y, image.width, min(y + rows, image.height)))) for y in tops)
    lows, highs = zip(*((strip.min(), strip.max()) for strip in strips), strict=True)
    low, high = float(np.min(lows)), float(np.max(highs))
    if not (low >= 0 and high <= full):  # also not-a-number
        raise PhotoError(
            f"{name} holds values from {low:g} to {high:g} in one {image.mode!r} channel, expected 0 to {full:g}. Save "
            f"it as an 8-bit PNG or JPEG first."
        )
    return full
