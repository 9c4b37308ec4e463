"""Box files: which people users mean. Person boxes of many photos in one JSON file, in either of two layouts.

    {"party.jpg": [[x0, y0, x1, y1], ...], "garden/tea.png": [], ...}
    {"images": ["garden/tea.png", ...], "boxes": [[x0, y0, x1, y1], ...]}

Photo pixels, (0, 0) at the corner of the first pixel; left, top, right, bottom; a box may reach out of its photo. In
the second layout box k belongs to image k; an image that is named several times, or a list of boxes in place of a box,
has several people. Other keys beside `images` and `boxes` are not read. Names may have folders in front.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from limner.errors import BoxError
from limner.reading.json_file import read_json
from limner.reading.told import reason

MOST_PX = 1e9
CURE = 'Write {"photo.jpg": [[x0, y0, x1, y1], ...], ...}: left, top, right, bottom in photo pixels.'


def read_boxes(path: str | Path) -> dict[str, Float[Tensor, "_ 4"]]:
    """The boxes of every photo that a file names; a photo with an empty list has none.

    Raises BoxError, which names the cure, for a missing, broken or foreign file and for what is no box.
    """
    file = Path(path).expanduser()
    content = _load(file)
    pairs: list[tuple[Any, Any]] = list(content.items())
    if {"images", "boxes"} <= content.keys():
        images, boxes = content["images"], content["boxes"]
        if not isinstance(images, list) or not isinstance(boxes, list) or len(images) != len(boxes):
            sizes = " and ".join(str(len(x)) if isinstance(x, list) else type(x).__name__ for x in (images, boxes))
            raise BoxError(f"{file}: images and boxes must be lists of one length, got {sizes}. {CURE}")
        pairs = list(zip(images, boxes, strict=True))
    found: dict[str, list[list[float]]] = {}
    for name, rows in pairs:
        if not isinstance(name, str):
            raise BoxError(f"{file}: {name!r} is no photo name. {CURE}")
        found.setdefault(name, []).extend(_boxes(f"{file}, {name}", rows))
    return {name: torch.tensor(rows).reshape(-1, 4) for name, rows in found.items()}


def boxes_of(photo: str | Path, table: Mapping[str, Float[Tensor, "_ 4"]]) -> Float[Tensor, "_ 4"]:
    """The boxes of one photo: of the name that agrees with its path from the end, else of its name less the ending.

    Raises BoxError where no name fits, or several do.
    """
    parts = Path(photo).absolute().parts
    named = {name: Path(name).parts for name in table}
    fits = [name for name, own in named.items() if own and parts[-len(own) :] == own]
    longest = max((len(named[name]) for name in fits), default=0)
    fits = [name for name in fits if len(named[name]) == longest]
    fits = fits or [name for name in table if Path(name).stem == Path(photo).stem]
    if len(fits) == 1:
        return table[fits[0]]
    if fits:
        raise BoxError(f"the photo {photo} fits several names: {', '.join(sorted(fits))}. Write more of its path.")
    known = ", ".join(list(table)[:5]) + (", ..." if len(table) > 5 else "")
    raise BoxError(
        f"no boxes for the photo {Path(photo).name!r}, only for: {known or 'none'}. Add it to the file (with [] where "
        "nobody is to be found), or leave the photo out."
    )


def _load(file: Path) -> dict[str, Any]:
    try:
        content = read_json(file)
    except FileNotFoundError as error:
        raise BoxError(f"{file} does not exist. Give a JSON file of person boxes.") from error
    except OSError as error:
        raise BoxError(f"cannot read {file} ({error.strerror}). Give a JSON file of person boxes.") from error
    except ValueError as error:  # also text that is no UTF-8
        raise BoxError(f"{file} is no whole JSON file ({reason(error)}). {CURE}") from error
    if not isinstance(content, dict):
        raise BoxError(f"{file} holds a {type(content).__name__}, expected an object. {CURE}")
    return content


def _boxes(where: str, rows: Any) -> list[list[float]]:
    """A list of boxes, from a list of boxes or a single one."""
    if isinstance(rows, list) and rows and not isinstance(rows[0], list):
        rows = [rows]
    if not isinstance(rows, list):
        raise BoxError(f"{where}: got {rows!r}, expected a list of boxes. {CURE}")
    for row in rows:
        if not isinstance(row, list) or len(row) != 4 or not all(_is_number(x) for x in row):
            raise BoxError(f"{where}: {row!r} is no box of four numbers. {CURE}")
    return [[float(x) for x in row] for row in rows]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST_PX
