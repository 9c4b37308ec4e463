"""Whatever users have of a photo is the same photo, or is refused with the cure."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from limner.errors import PhotoError
from limner.io.image import Photo, read_photo
from limner.io.photo_input import as_photo

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
PLANES = torch.from_numpy(RGB.transpose(2, 0, 1).copy())


def encoded(image: Image.Image, kind: str = "PNG", **more: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    return buffer.getvalue()


PNG = encoded(Image.fromarray(RGB))


class Pipe(io.RawIOBase):
    """A stream that cannot be rewound, as the network gives it."""

    def __init__(self, content: bytes):
        self.content = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self.content.read(size)


def rewound_nowhere() -> io.BytesIO:
    stream = io.BytesIO(PNG)
    stream.seek(0, io.SEEK_END)
    return stream


@pytest.mark.parametrize(
    "given",
    [
        PNG,
        bytearray(PNG),
        memoryview(PNG),
        io.BytesIO(PNG),
        rewound_nowhere(),
        Pipe(PNG),
        Image.fromarray(RGB),
        Image.open(io.BytesIO(PNG)),
        RGB,
        RGB[..., ::-1].copy()[..., ::-1],
        PLANES,
        torch.from_numpy(RGB).permute(2, 0, 1),
        Photo(PLANES, None, Path("a.png")),
    ],
    ids=lambda given: type(given).__name__,
)
def test_the_same_pixels_from_everything(given: Any):
    assert torch.equal(as_photo(given).pixels, PLANES)


def test_files_by_path_and_opened(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    for given in (path, str(path)):
        assert as_photo(given).path == path and torch.equal(as_photo(given).pixels, PLANES)
    with open(path, "rb") as file:
        photo = as_photo(file)
        assert photo.path == path and torch.equal(photo.pixels, PLANES)
        assert not file.closed


def test_arrays_are_copied_and_their_owner_may_change_them():
    mine = RGB.copy()
    photo = as_photo(mine)
    mine[:] = 0
    assert torch.equal(photo.pixels, PLANES)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1", "CMYK", "I;16"])
@pytest.mark.parametrize("turn", [1, 6])
def test_pil_images_are_as_their_files(tmp_path: Path, mode: str, turn: int):
    grey = Image.fromarray(RGB[..., 0])
    image = Image.fromarray(RGB[..., 0].astype(np.uint16) * 257) if mode == "I;16" else grey.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = turn
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    image.save(path, exif=exif)
    with Image.open(path) as opened:
        assert torch.equal(as_photo(opened).pixels, read_photo(path).pixels)
        assert as_photo(opened).width == (30 if turn == 1 else 20)


def test_alpha_is_put_on_white():
    clear = Image.new("RGBA", (20, 10), (255, 0, 0, 0))
    assert (as_photo(clear).pixels == 255).all()


@pytest.mark.parametrize(
    ("given", "cure"),
    [
        (torch.from_numpy(RGB), r"x\.permute\(2, 0, 1\)"),
        (torch.zeros(20, 30, 4, dtype=torch.uint8), r"x\.permute\(2, 0, 1\)"),
        (PLANES.float() / 255, r"\(x \* 255\)\.round\(\)\.to\(torch\.uint8\)"),
        (PLANES.float(), r"x\.round\(\)\.to\(torch\.uint8\)"),
        (PLANES.long(), r"x\.to\(torch\.uint8\)"),
        (PLANES[0], r"x\.expand\(3, -1, -1\)"),
        (PLANES[:1], r"x\.expand\(3, -1, -1\)"),
        (torch.cat([PLANES, PLANES[:1]]), r"x\[:3\]"),
        (PLANES[None], r"list\(x\)"),
        (PLANES[:, :0], "whole photo"),
        (PLANES[:, :1, :1], "at least 8 px"),
        (torch.zeros(0), "order of axes"),
        (RGB.transpose(2, 0, 1), r"x\.transpose\(1, 2, 0\)"),
        (RGB / 255, r"\(x \* 255\)\.round\(\)\.astype\(np\.uint8\)"),
        (RGB.astype(np.float32), r"x\.round\(\)\.astype\(np\.uint8\)"),
        (RGB.astype(np.int64), r"x\.astype\(np\.uint8\)"),
        (RGB.astype(object), "uint8"),
        (RGB > 100, "uint8"),
        (RGB[..., 0], r"Image\.fromarray\(x\)"),
        (RGB[..., :1], r"Image\.fromarray\(x\[\.\.\., 0\]\)"),
        (np.dstack([RGB, RGB[..., 0]]), r"Image\.fromarray\(x\).* or x\[\.\.\., :3\]"),
        (RGB[None], r"list\(x\)"),
        (RGB[:0], "whole photo"),
        (RGB[:1, :1], "at least 8 px"),
        (np.zeros((0, 0, 3), np.float32), r"\.astype\(np\.uint8\)"),
        (Image.new("RGB", (0, 5)), "0 x 5 px"),
        (None, "OpenCV gives None"),
        (3, "type int"),
        ({"photo": "a.jpg"}, "type dict"),
        (io.StringIO("text"), "'rb'"),
        (b"", "0 bytes"),
        (b"no image", "no image that can be read"),
        (PNG[: len(PNG) // 2], "cut off"),
        (Pipe(b""), "0 bytes"),
    ],
)
def test_anything_else_is_refused_with_the_cure(given: Any, cure: str):
    with pytest.raises(PhotoError, match=cure):
        as_photo(given)


def test_closed_files_and_files_for_writing_are_refused(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    with open(path, "rb") as file:
        pass
    with pytest.raises(PhotoError, match="rb"):
        as_photo(file)
    with pytest.raises(PhotoError, match="empty"), open(tmp_path / "b.png", "wb") as writing:
        as_photo(writing)
    with pytest.raises(PhotoError, match="rb"), open(path, encoding="utf-8") as text:
        as_photo(text)


def test_a_pil_image_whose_file_is_gone_is_refused():
    image = Image.open(io.BytesIO(PNG[: len(PNG) // 2]))
    with pytest.raises(PhotoError, match="cannot be decoded"):
        as_photo(image)


def test_a_photo_prints_as_one_line():
    assert repr(as_photo(RGB)) == "Photo(photo, 30 x 20 px)"
    assert repr(Photo(PLANES, 900.0, Path("in/a.jpg"))) == "Photo(a.jpg, 30 x 20 px, focal length 900 px)"
