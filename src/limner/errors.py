"""What can go wrong that the user can mend: every such error names the cure."""

import re
import traceback
from pathlib import Path

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class LimnerError(Exception):
    """Base of all errors whose message is written for the user (what, got, expected, cure)."""


class PhotoError(LimnerError):
    """A photo cannot be read or used."""


class BoxError(LimnerError):
    """A person box is empty, inverted or outside the photo."""


class BodyModelError(LimnerError):
    """A body-model file is missing, of the wrong kind or damaged."""


class WeightsError(LimnerError):
    """A weights file is missing, truncated or does not fit the network."""


class KeypointFileError(LimnerError):
    """A keypoint file cannot be read."""


class OutputError(LimnerError):
    """A result cannot be written."""


class DataSetError(LimnerError):
    """A public data set is missing, half there, or not in its published layout."""


def failure(error: Exception) -> str:
    """What to say of a photo of many that came to nothing: the message, or of a bug what and where it is."""
    if isinstance(error, LimnerError):
        return str(error)
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"bug in limner, please report: {type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"


def shown(text: str) -> str:
    """A text with file names in it, as a terminal may have it: control characters, marks that turn the direction of
    writing, and bytes that are no UTF-8 become escapes such as \\x1b."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)
