"""What counts as a photo in Python. Files, what is in them, Pillow's images and arrays, all to one `Photo`."""

import io
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from limner.errors import PhotoError
from limner.io.image import Photo, photo_of_image, read_photo, read_photo_stream
from limner.io.image_limits import MAX_BYTES

PhotoLike = str | Path | bytes | BinaryIO | Image.Image | np.ndarray | Tensor | Photo
"""What `as_photo` takes."""

UNNAMED = Path("photo")
"""The path of a photo that is no file."""

LEAST_SIDE_PX = 8
"""Arrays with a shorter side are no photos, more likely their axes are in another order."""

EXPECTED = (
    "a path, bytes, an open file, a PIL image, a numpy array H W 3 of uint8 RGB, a torch tensor 3 H W of uint8 RGB, or "
    "a limner.Photo"
)


def as_photo(photo: Any) -> Photo:
    """One photo from what users have of it.

    path, bytes, binary file   as `read_photo`: upright by EXIF, alpha on white; a file is read from its start
    PIL image                  the same: turned upright by its EXIF mark, alpha on white, any mode
    numpy array                H W 3, uint8, RGB (OpenCV's is BGR: give `image[..., ::-1]`)
    torch tensor               3 H W, uint8, RGB
    Photo                      as it is

    Arrays are taken in this layout alone: another order of axes, floats, grey, alpha, batches, and sides under
    LEAST_SIDE_PX raise a PhotoError that names the cure. The same error is raised for what `read_photo` refuses.
    """
    match photo:
        case Photo():
            _check_array(photo.pixels, "torch", least_px=1)
            return photo
        case str() | Path():
            return read_photo(photo)
        case bytes() | bytearray() | memoryview():
            return read_photo_stream(io.BytesIO(photo), UNNAMED)
        case Image.Image():
            return _of_image(photo)
        case np.ndarray():
            _check_array(photo, "numpy")
            planes = np.array(photo.transpose(2, 0, 1), dtype=np.uint8, order="C")  # a copy: arrays change
            return Photo(torch.from_numpy(planes), None, UNNAMED)
        case Tensor():
            _check_array(photo, "torch")
            return Photo(photo.detach().cpu(), None, UNNAMED)
        case _ if callable(getattr(photo, "read", None)):
            return _of_file(photo)
    cure = "OpenCV gives None for files that it cannot read." if photo is None else "Convert it to one of these."
    raise PhotoError(f"a photo of type {type(photo).__name__}, expected {EXPECTED}. {cure}")


def _of_file(file: Any) -> Photo:
    """A binary file or stream, from its start if it can be rewound."""
    name = getattr(file, "name", None)
    path = Path(name) if isinstance(name, str) and name else UNNAMED
    try:
        if isinstance(file, io.TextIOBase):
            raise PhotoError(f"{path} is open as text, expected bytes. Open it with mode 'rb'.")
        if not (hasattr(file, "seekable") and file.seekable()):
            file = io.BytesIO(file.read(MAX_BYTES + 1))  # one more than is read: too many are named as such
        return read_photo_stream(file, path)
    except (OSError, ValueError, TypeError) as error:  # closed, not readable, or not of bytes
        raise PhotoError(f"cannot read the open file {path} ({error}). Open it with mode 'rb'.") from error


def _of_image(image: Image.Image) -> Photo:
    path = Path(getattr(image, "filename", "") or UNNAMED)
    if not (image.width and image.height):
        raise PhotoError(f"a PIL image of {image.width} x {image.height} px, expected a photo. Give another one.")
    try:
        return photo_of_image(image, path)
    except PhotoError:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged files, which PIL reads late
        raise PhotoError(
            f"the PIL image {path} cannot be decoded ({error}): expected a whole, open image. Call its load() while "
            f"its file is open, or give the path."
        ) from error


def _check_array(array: np.ndarray | Tensor, kind: str, least_px: int = LEAST_SIDE_PX) -> None:
    """Raise PhotoError unless the array has the layout of its kind: numpy H W 3, torch 3 H W, uint8."""
    shape = tuple(array.shape)
    layout = "H W 3" if kind == "numpy" else "3 H W"
    dtype = str(array.dtype).removeprefix("torch.")
    cure = _layout_cure(shape, kind) or _dtype_cure(array, dtype, kind)
    sides = shape[:2] if kind == "numpy" else shape[1:]
    if not cure and min(sides) < least_px:
        cure = "Give the whole photo, in this order of axes."
    if cure:
        size = " x ".join(map(str, shape)) or "no axes"
        least = f" and at least {least_px} px a side"
        raise PhotoError(f"a {kind} array of {size}, {dtype}: expected {layout}, uint8 RGB{least}. {cure}")


def _layout_cure(shape: tuple[int, ...], kind: str) -> str:
    """What to do about a shape; empty where it is right."""
    numpy = kind == "numpy"
    channels = shape[(-1 if numpy else 0)] if len(shape) == 3 else 0
    other_end = shape[(0 if numpy else -1)] if len(shape) == 3 else 0
    if channels == 3:
        return ""
    if len(shape) == 4:
        return "It looks like a batch: give a list of photos, list(x)."
    if len(shape) == 2 or channels == 1:
        grey = "Image.fromarray(x)" if len(shape) == 2 else "Image.fromarray(x[..., 0])"
        tensor = "x.expand(3, -1, -1)"
        return f"It looks grey: give {grey} of PIL." if numpy else f"It looks grey: give {tensor}."
    if other_end in (1, 3, 4):
        return f"Its channels are at the other end: give {'x.transpose(1, 2, 0)' if numpy else 'x.permute(2, 0, 1)'}."
    if channels == 4:
        return "It looks like RGBA: give Image.fromarray(x) of PIL, which puts it on white, or " + (
            "x[..., :3]." if numpy else "x[:3]."
        )
    return "Give one photo in this order of axes."


def _dtype_cure(array: np.ndarray | Tensor, dtype: str, kind: str) -> str:
    """What to do about a type of numbers; empty where it is right."""
    if dtype == "uint8":
        return ""
    target = "np.uint8" if kind == "numpy" else "torch.uint8"
    cast = f".astype({target})" if kind == "numpy" else f".to({target})"
    if "float" not in dtype:
        return f"If its values are 0 to 255, give x{cast}."
    if 0 not in array.shape and float(array.max()) > 1:
        return f"If its values are 0 to 255, give x.round(){cast}."
    return f"If its values are 0 to 1, give (x * 255).round(){cast}."
