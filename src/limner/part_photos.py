"""How are photos of hands or faces alone estimated? One folder a photo, an error is a row of the table."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from limner.errors import BoxError, LimnerError, WeightsError, shown
from limner.estimator import Estimator
from limner.expose.estimator import PREFIX
from limner.geometry.camera import check_focal
from limner.io.image import read_photo
from limner.io.photo_list import find_photos
from limner.pipeline.part_alone import PartAlone, Side
from limner.pipeline.part_results import save_parts
from limner.pipeline.result_names import result_names
from limner.pipeline.results import check_writable, sweep_results

Part = Literal["hand", "face"]


def estimate_parts(
    photos: Sequence[Path],
    out: Path,
    part: Part,
    side: Side = "auto",
    box: tuple[float, ...] = (),
    weights: str = "limner",
    focal_px: float | None = None,
    recursive: bool = False,
) -> int:
    """Estimate the hand or the face in each photo and write results to `out`; returns the exit code: 0, or 1 if a photo
    failed.

    box: x0 y0 x1 y1 of each hand or face, in every photo; without, one is looked for. recursive: folders below those
    given, too. Raises LimnerError for what concerns all photos.
    """
    if weights.startswith(PREFIX):
        raise WeightsError(f"--part {part} is for limner's own networks, got --weights {weights}. Leave --weights out.")
    if len(box) % 4:
        raise BoxError(f"--box takes 4 numbers a {part} (x0 y0 x1 y1, photo pixels), got {len(box)} numbers.")
    listed = find_photos(photos, recursive, without=[out])
    check_focal(focal_px)
    estimator = Estimator.load(weights)
    check_writable(out)
    names = result_names(listed.photos, listed.below)
    sweep_results(out, names)
    boxes = torch.tensor(box).reshape(-1, 4) if box else None
    table = Table("photo", f"{part}s", "seconds", "note")
    failed = 0
    for file, name in zip(listed.photos, names, strict=True):
        start = time.perf_counter()
        try:
            photo = read_photo(file)
            if part == "hand":
                found = estimator.hands(photo, boxes, side, focal_px)
            else:
                found = estimator.faces(photo, boxes, focal_px)
            seconds = time.perf_counter() - start
            save_parts(found, photo, estimator.own_body, out / name)
            table.add_row(Text(shown(file.name)), str(len(found)), f"{seconds:.2f}", Text(_note(found)))
        except LimnerError as error:
            failed += 1
            table.add_row(Text(shown(file.name)), "-", "-", Text(shown(str(error))), style="red")
    for left in listed.left_out:
        table.add_row(Text(shown(left.file.name)), "-", "-", Text(shown(left.reason)), style="yellow")
    console = Console()
    console.print(table)
    for remark in listed.remarks():
        console.print(Text(remark), soft_wrap=True)
    if failed < len(names):
        console.print(Text(shown(f"Results are in {out.resolve()}")), soft_wrap=True)
    return 1 if failed else 0


def _note(found: Sequence[PartAlone]) -> str:
    """What each part is, and how sure that is; a guess is called one."""
    doubt = {True: "", False: ", hardly seen: a guess, give --box"}
    return ", ".join(f"{one.part.replace('_', ' ')} ({one.presence:.2f}){doubt[one.seen]}" for one in found)
