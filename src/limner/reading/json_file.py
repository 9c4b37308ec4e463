"""JSON files of somebody else, read so that a hostile one neither fills the memory nor says a thing twice."""

import json
import re
from pathlib import Path
from typing import Any

from limner.reading.told import RefusedError, whole_file

MOST_BYTES = 2**26
"""64 MB: Python needs up to twenty times as much for lists of lists."""
MOST_DATA_BYTES = 2**32
"""4 GB, for the annotations of public data sets (FreiHAND's meshes are 1.5 GB)."""
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(file: Path, most_bytes: int = MOST_BYTES) -> Any:
    """What a JSON file holds, in UTF-8 with or without a byte order mark.

    Raises OSError, and ValueError (RefusedError among them) for what is no JSON, nested too deeply, larger than the
    limit, or ambiguous: an object with the same name twice. Numbers may be NaN, infinite or huge.
    """
    return parsed_json(whole_file(file, most_bytes))


def parsed_json(content: bytes | str) -> Any:
    """What a JSON text means; raises ValueError as `read_json`."""
    text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
    try:
        parsed = json.loads(text, object_pairs_hook=_unambiguous)
        if _HALF.search(text):  # half a character, as "\ud800": no file name or terminal takes it
            json.dumps(parsed, ensure_ascii=False).encode()
    except RecursionError as error:
        raise RefusedError("it is nested too deeply") from error
    return parsed


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RefusedError(f"it says {twice[:100]!r} twice")
    return found
