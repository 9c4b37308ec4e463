"""How is FreiHAND read? 3960 photos of right hands with MANO meshes (evaluation), 4 x 32560 to train on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from limner.data.sources.layout import Layout
from limner.reading.json_file import MOST_DATA_BYTES, read_json

LAYOUT = Layout(
    "FreiHAND v2",
    "https://lmb.informatik.uni-freiburg.de/projects/freihand (training set, and the evaluation set with annotations)",
    "research only",
    "evaluation/rgb/00000000.jpg ... 00003959.jpg\n"
    "evaluation_K.json evaluation_xyz.json evaluation_verts.json evaluation_mano.json evaluation_scale.json\n"
    "training/rgb/00000000.jpg ... 00130239.jpg   (4 backgrounds of 32560 hands)\n"
    "training_K.json training_xyz.json training_verts.json training_mano.json training_scale.json",
)
Split = Literal["training", "evaluation"]
SIDE_PX = 224
BACKGROUNDS = {"training": 4, "evaluation": 1}


@dataclass(frozen=True)
class HandPhoto:
    """One photo of 224 x 224 px with one right hand: 21 joints (wrist, thumb to little finger, base to tip) and
    MANO's 778 vertices in camera axes, metres; K in pixels; mano: the 61 numbers of the file."""

    name: str
    photo: Path
    K: Float[Tensor, "3 3"]
    joints: Float[Tensor, "21 3"]
    vertices: Float[Tensor, "778 3"]
    mano: Float[Tensor, "61"] | None


def read_freihand(folder: Path, split: Split = "evaluation") -> Iterator[HandPhoto]:
    """All hands of a split; the training hands once for each background.

    Raises DataSetError for missing or damaged files, and for lists of unequal length (half a download).
    """
    LAYOUT.need(folder, f"{split}/rgb", *(f"{split}_{what}.json" for what in ("K", "xyz", "verts")))
    K, xyz, verts = (_read(folder / f"{split}_{what}.json") for what in ("K", "xyz", "verts"))
    mano_file = folder / f"{split}_mano.json"
    mano = _read(mano_file) if mano_file.exists() else None
    if not len(K) == len(xyz) == len(verts):
        raise LAYOUT.error(folder, f"{split}: {len(K)} cameras, {len(xyz)} skeletons, {len(verts)} meshes")
    with LAYOUT.reading(folder / f"{split}_xyz.json"):
        for background in range(BACKGROUNDS[split]):
            for row in range(len(K)):
                number = background * len(K) + row
                yield HandPhoto(
                    name=f"{number:08d}",
                    photo=folder / split / "rgb" / f"{number:08d}.jpg",
                    K=torch.tensor(K[row], dtype=torch.float32),
                    joints=torch.tensor(xyz[row], dtype=torch.float32),
                    vertices=torch.tensor(verts[row], dtype=torch.float32),
                    mano=None if mano is None else torch.tensor(mano[row], dtype=torch.float32).reshape(-1),
                )


def _read(file: Path) -> list[Any]:
    with LAYOUT.reading(file):
        content = read_json(file, MOST_DATA_BYTES)
    if not isinstance(content, list):
        raise LAYOUT.unreadable(file, f"it holds a {type(content).__name__}, expected a list")
    return content
