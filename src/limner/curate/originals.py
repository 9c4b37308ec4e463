"""Photos as they were when curated. Its bytes, or an error that names it: no fit goes with another picture."""

import hashlib
import io

from limner.curate.store import PhotoRow
from limner.errors import PhotoError
from limner.io.image import Photo, read_photo_stream
from limner.io.image_limits import MAX_BYTES, open_photo_file


def original_bytes(photo: PhotoRow) -> bytes:
    """The bytes that were curated. Raises PhotoError where the file is gone, no regular file, or holds others now."""
    try:
        with open_photo_file(photo.path) as stream:
            content = stream.read(MAX_BYTES + 1)
    except PhotoError as error:
        raise PhotoError(f"{error} Photos must stay where they were curated: put it back.") from error
    except OSError as error:
        raise PhotoError(f"{photo.path} cannot be read ({error.strerror}). Copy it to a good disk.") from error
    if photo.sha256 is None:
        raise PhotoError(f"{photo.path} has no SHA-256 in the set, expected one: curate it again into another set.")
    got = hashlib.sha256(content).hexdigest()
    if got != photo.sha256:
        raise PhotoError(
            f"{photo.path} is not the photo that was curated (SHA-256 {got[:12]}, expected {photo.sha256[:12]}): its "
            f"fits are of another picture. Put the old file back, or curate the new one under another name."
        )
    return content


def read_original(photo: PhotoRow) -> Photo:
    """`read_photo` of the bytes that were curated. Raises PhotoError as it and `original_bytes` do."""
    return read_photo_stream(io.BytesIO(original_bytes(photo)), photo.path)
