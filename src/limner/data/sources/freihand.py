"""FreiHAND's evaluation set: 3960 photos of right hands with MANO meshes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from limner.data.sources.layout import Layout
from limner.reading.json_file import MOST_DATA_BYTES, read_json

LAYOUT = Layout(
    "FreiHAND v2",
    "https://lmb.informatik.uni-freiburg.de/projects/freihand (the evaluation set with annotations)",
    "research only",
    "evaluation/rgb/00000000.jpg ... 00003959.jpg\nevaluation_xyz.json evaluation_verts.json",
)


@dataclass(frozen=True)
class HandPhoto:
    """One photo of 224 x 224 px with one right hand: 21 joints (wrist, thumb to little finger, base to tip) and
    MANO's 778 vertices in camera axes, metres."""

    name: str
    photo: Path
    joints: Float[Tensor, "21 3"]
    vertices: Float[Tensor, "778 3"]


def read_freihand(folder: Path) -> Iterator[HandPhoto]:
    """All hands. Raises DataSetError for missing or damaged files, and for lists of unequal length."""
    LAYOUT.need(folder, "evaluation/rgb", "evaluation_xyz.json", "evaluation_verts.json")
    xyz, verts = (_read(folder / f"evaluation_{what}.json") for what in ("xyz", "verts"))
    if len(xyz) != len(verts):
        raise LAYOUT.error(folder, f"{len(xyz)} skeletons, {len(verts)} meshes")
    with LAYOUT.reading(folder / "evaluation_xyz.json"):
        for row, (joints, vertices) in enumerate(zip(xyz, verts, strict=True)):
            photo = folder / "evaluation" / "rgb" / f"{row:08d}.jpg"
            yield HandPhoto(photo.stem, photo, torch.tensor(joints).float(), torch.tensor(vertices).float())


def _read(file: Path) -> list[Any]:
    with LAYOUT.reading(file):
        content = read_json(file, MOST_DATA_BYTES)
    if not isinstance(content, list):
        raise LAYOUT.unreadable(file, f"it holds a {type(content).__name__}, expected a list")
    return content
