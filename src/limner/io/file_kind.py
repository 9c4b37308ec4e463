"""Kinds of files that somebody takes for a photo: one that limner reads, another picture, a film, or neither."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Sort = Literal["photo", "heif", "not read"]

FILM = (
    "a film, and limner reads photos: make frames first (mkdir frames; ffmpeg -i {name} frames/%05d.png), then give "
    "the folder; keypoints of the frames go to limner fit --video"
)
RAW = "a camera's raw file: develop it to JPEG or PNG first, with the camera's own or any raw program"
OTHER_PICTURE = "a picture that is no photo format: save it as JPEG or PNG first"
HEIC_EXTRA = "HEIC, which needs the package pillow-heif: pip install 'limner[heic]', or save the photo as JPEG"


@dataclass(frozen=True)
class Kind:
    """One kind of file: its sort, its endings (lower case), and what helps where limner does not read it."""

    sort: Sort
    endings: tuple[str, ...]
    cure: str = ""


KINDS = (
    Kind("photo", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo")),
    Kind("photo", (".png", ".apng")),
    Kind("photo", (".webp",)),
    Kind("photo", (".bmp", ".dib")),
    Kind("photo", (".tif", ".tiff")),
    Kind("photo", (".avif", ".avifs")),
    Kind("photo", (".gif",)),
    Kind("photo", (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx")),
    Kind("heif", (".heic", ".heif", ".hif", ".heics", ".heifs"), HEIC_EXTRA),
    Kind(
        "not read",
        (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".mts", ".m2ts")
        + (".ogv", ".vob", ".insv", ".mxf"),
        FILM,
    ),
    Kind(
        "not read",
        (".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".dng", ".raf", ".rw2", ".orf", ".pef")
        + (".raw", ".rwl", ".srw", ".x3f", ".3fr", ".iiq", ".erf", ".kdc", ".dcr", ".mrw", ".gpr"),
        RAW,
    ),
    Kind(
        "not read",
        (".psd", ".psb", ".xcf", ".kra", ".svg", ".svgz", ".eps", ".ps", ".ai", ".pdf", ".tga", ".exr", ".hdr", ".jxl")
        + (".jxr", ".ico", ".icns", ".pcx", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".qoi", ".dds", ".wmf", ".emf")
        + (".fits", ".dcm", ".sgi", ".cur", ".flif", ".bpg", ".webarchive"),
        OTHER_PICTURE,
    ),
)
"""What limner means: photos it reads (`photo`, and `heif` with a package), and what people take for photos."""

_STARTS = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
    (b"\0\0\0\x0cjP  ", ".jp2"),
    (b"\xff\x4f\xff\x51", ".j2k"),
    (b"\x1aE\xdf\xa3", ".mkv"),
    (b"8BPS", ".psd"),
    (b"%PDF", ".pdf"),
    (b"%!PS", ".eps"),
    (b"FUJIFILM", ".raf"),
)
_BRANDS = (
    (("avif", "avis"), ".avif"),
    (("heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"), ".heic"),
    (("crx ",), ".cr3"),
)
_RIFF = {b"WEBP": ".webp", b"AVI ": ".avi"}
_SNIFFED = 32


def kind_by_name(file: Path) -> Kind | None:
    """What the ending says; None for an ending of neither pictures nor films."""
    ending = file.suffix.lower()
    return next((kind for kind in KINDS if ending in kind.endings), None)


def kind_by_content(file: Path) -> Kind | None:
    """What the first bytes say; None where they are no known picture or film, or cannot be read."""
    try:
        with open(file, "rb") as handle:
            start = handle.read(_SNIFFED)
    except OSError:
        return None
    ending = next((ending for begin, ending in _STARTS if start.startswith(begin)), None)
    if ending == ".bmp" and (len(start) < 18 or start[6:10] != bytes(4)):
        ending = None  # a text may begin with BM; a bitmap has reserved zeros
    if start[:4] == b"RIFF":
        ending = _RIFF.get(start[8:12])
    if start[4:8] == b"ftyp":
        brand = start[8:12].decode("latin-1")
        ending = next((ending for brands, ending in _BRANDS if brand in brands), ".mp4")
    return None if ending is None else kind_by_name(Path(f"file{ending}"))


def cure_for(file: Path) -> str | None:
    """What a file is that is no photo to limner, and what helps, by its content or else its ending; None if unknown."""
    seen, named = kind_by_content(file), kind_by_name(file)
    kind = seen if seen is not None and seen.cure else named
    return None if kind is None or not kind.cure else cure_of(kind, file)


def cure_of(kind: Kind, file: Path) -> str:
    """What such a file is and what helps, with its name in the commands."""
    return kind.cure.format(name=shlex.quote(file.name))
