"""How do photos come in and pictures go out? Any common image file to upright 8-bit RGB, and back."""

import math
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from limner.errors import OutputError, PhotoError
from limner.io.atomic import atomic_write

MAX_PIXELS = 300_000_000
"""Largest photo that is decoded: it needs about 10 bytes of memory a pixel while it is decoded, 3 GB here."""

PHOTO_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif")
"""What `list_photos` looks for, as far as the installed Pillow can read it (HEIC needs a plug-in)."""

WRITTEN_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
PNG_LEVEL = 1
"""A tenth larger than the usual level, in a fifth of the time."""

_FILM_DIAGONAL_MM = math.hypot(36.0, 24.0)  # 35 mm equivalence compares diagonals (CIPA DCG-001)
_MM_PER_RESOLUTION_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # EXIF FocalPlaneResolutionUnit
_UPRIGHT_FROM_EXIF = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_limit_lock = threading.Lock()


@dataclass(frozen=True)
class Photo:
    """One photo, upright: sRGB pixels, focal length in pixels where the file tells it, and where it came from."""

    pixels: UInt8[Tensor, "3 H W"]
    focal_px: float | None
    path: Path

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

    Raises PhotoError, which names the cure, for a missing, empty, damaged or cut-off file, for a folder, for what is
    no image, and above MAX_PIXELS.
    """
    file = Path(path).expanduser()
    _check_readable(file)
    try:
        with _open(file) as image:
            _check_size(file, image)
            image.load()
            exif = _read_exif(image)
            turn = _UPRIGHT_FROM_EXIF.get(int(_number(exif.get(ExifTags.Base.Orientation))))
            upright = image if turn is None else image.transpose(turn)
            focal_px = focal_from_exif(exif, *upright.size)
            return Photo(_planes(file, upright), focal_px, file)
    except PhotoError:
        raise
    except UnidentifiedImageError as error:
        raise PhotoError(
            f"{file} is no image that can be read ({_size_text(file)}, ending {file.suffix or 'none'}): expected "
            f"JPEG, PNG, WebP, BMP or TIFF. Convert it to JPEG or PNG."
        ) from error
    except Image.DecompressionBombError as error:
        raise PhotoError(_too_large(file, "far too many pixels")) from error
    except MemoryError as error:
        raise PhotoError(f"{file}: not enough memory to decode it. Scale the photo down, then try again.") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise PhotoError(
            f"{file} is damaged or cut off ({error}): expected a whole image. Copy or download it again, or save it "
            f"anew from an image editor."
        ) from error


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
        if kind == "PNG":  # OpenCV packs twice as fast as Pillow
            handle.write(cv2.imencode(".png", rows[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])[1].tobytes())
        else:
            Image.fromarray(rows).save(handle, format=kind, quality=95, subsampling=0)


def list_photos(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """The photo files that files and folders stand for, each once, in the order given.

    A folder stands for the image files directly in it, sorted by name; hidden files are left out. A file stands for
    itself, whatever its ending. Raises PhotoError for a missing path and for a folder without photos.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    if not given:
        raise PhotoError("no photo given: expected at least one image file or folder of images.")
    found: dict[Path, None] = {}
    for path in (Path(p).expanduser() for p in given):
        found.update(dict.fromkeys(_photos_in(path) if path.is_dir() else [_existing(path)]))
    return list(found)


def readable_endings() -> tuple[str, ...]:
    """Those of PHOTO_ENDINGS that the installed Pillow can read."""
    known = Image.registered_extensions()
    return tuple(ending for ending in PHOTO_ENDINGS if known.get(ending) in Image.OPEN)


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


def _check_readable(file: Path) -> None:
    _existing(file)
    if file.is_dir():
        raise PhotoError(f"{file} is a folder, expected an image file. Name a photo in it, or list it first.")
    try:
        with open(file, "rb") as handle:
            empty = not handle.read(1)
    except OSError as error:
        raise PhotoError(f"cannot open {file} ({error.strerror}). Check its permissions.") from error
    if empty:
        raise PhotoError(f"{file} is empty (0 bytes), expected an image. Copy or download it again.")


def _existing(path: Path) -> Path:
    if not path.exists():
        raise PhotoError(f"{path} does not exist. Check the spelling; relative paths start at {Path.cwd()}.")
    return path


@contextmanager
def _open(file: Path) -> Iterator[Image.Image]:
    """Open an image under our own size limit; Pillow's is a module global, so it is put back at once."""
    with ExitStack() as stack:
        with _limit_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own check says it better
            before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
            try:
                image = stack.enter_context(Image.open(file))
                if image.format == "TIFF":  # the only one that checks its size again when it decodes
                    _check_size(file, image)
                    image.load()
            finally:
                Image.MAX_IMAGE_PIXELS = before
        yield image


def _check_size(file: Path, image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise PhotoError(_too_large(file, f"{image.width} x {image.height} pixels"))


def _too_large(file: Path, got: str) -> str:
    return (
        f"{file} has {got}, expected at most {MAX_PIXELS // 1_000_000} million in all. Scale it down first; 4000 "
        f"pixels on the longer side are plenty."
    )


def _planes(file: Path, image: Image.Image) -> UInt8[Tensor, "3 H W"]:
    """Any decoded image to three 8-bit planes."""
    if image.mode.startswith("I") or image.mode == "F":
        return torch.from_numpy(_eight_bits(file, np.asarray(image), image.mode)).expand(3, -1, -1).contiguous()
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.new("RGB", layer.size, "white")
        image.paste(layer, mask=layer.getchannel("A"))
    elif image.mode != "RGB":
        image = image.convert("RGB")
    return torch.from_numpy(np.array(np.asarray(image).transpose(2, 0, 1), order="C"))


def _eight_bits(file: Path, grey: np.ndarray, mode: str) -> np.ndarray:
    """One 16-bit, 32-bit or float channel to 8 bits: 65535 (or 1.0 of a float image) becomes 255."""
    full = 1.0 if mode == "F" else 65535.0
    low, high = float(grey.min()), float(grey.max())
    if not (low >= 0 and high <= full):  # also not-a-number
        raise PhotoError(
            f"{file} holds values from {low:g} to {high:g} in one {mode!r} channel, expected 0 to {full:g}. Save it "
            f"as an 8-bit PNG or JPEG first."
        )
    return np.rint(grey.astype(np.float32) * np.float32(255 / full)).astype(np.uint8)


def _photos_in(folder: Path) -> list[Path]:
    endings = readable_endings()
    try:
        files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    except OSError as error:
        raise PhotoError(f"cannot look into {folder} ({error.strerror}). Check its permissions.") from error
    photos = [p for p in files if p.suffix.lower() in endings]
    if not photos:
        others = ", ".join(sorted({p.suffix or "no ending" for p in files})) or "nothing"
        raise PhotoError(
            f"no photo in the folder {folder} (it holds {others}): expected files ending in {' '.join(endings)}, not "
            f"in folders below it. Give another folder, or the files themselves."
        )
    return photos


def _size_text(file: Path) -> str:
    return f"{file.stat().st_size} bytes"
