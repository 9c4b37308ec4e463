"""AGORA's own ground truth: pandas tables with SMPL-X joints and vertices in camera axes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from limner.data.sources.agora import FULL_WIDTH, SMALL_WIDTH, Split
from limner.data.sources.frames import Table, read_frame
from limner.data.sources.layout import Layout

LAYOUT = Layout(
    "AGORA (validation), its own ground truth",
    "https://agora.is.tue.mpg.de (register; `Camera dataframe (with SMPL-X joints and vertices)` and the photos)",
    "non-commercial research",
    "Cam/validation_0_withjv.pkl ... pandas tables: a row a photo, with lists of its people (in any sub-folder)\n"
    "validation/*_1280x720.png       photos (or 3840x2160, under the name in imgPath; in any sub-folder)\n"
    "or, instead of the tables, the parsed form: AGORA_validation_SMPLX.json, smplx_params_cam/, cam_params/\n"
    "                                (https://github.com/mks0601/Hand4Whole_RELEASE, `Data`; needs --body-model)",
)
COLUMNS = ("imgPath", "gt_joints_2d", "gt_joints_3d", "gt_verts")


@dataclass(frozen=True)
class AgoraTarget:
    """One person in one photo: SMPL-X vertices and joints in camera axes, metres; joints in pixels of `photo`."""

    vertices: Float[Tensor, "V 3"]
    joints: Float[Tensor, "J 3"]
    joints_px: Float[Tensor, "J 2"]


@dataclass(frozen=True)
class FramePerson:
    """Where one person's target lies: the table's file, the row, and the place in the row's lists."""

    name: str
    image: str
    photo: Path
    file: Path
    row: int
    place: int


class AgoraTables:
    """The tables of a split; one is in memory at a time, because vertices fill gigabytes."""

    def __init__(self, folder: Path, split: Split = "validation"):
        """Raises DataSetError where no table is found."""
        LAYOUT.need_folder(folder)
        self.folder = folder
        self.files = sorted(folder.rglob(f"{split}*withjv*.pkl"))
        if not self.files:
            raise LAYOUT.error(folder, f"nothing in it is called {split}_0_withjv.pkl")
        self._photos = {file.name: file for file in sorted(folder.rglob("*.png"))}
        self._last: tuple[Path, Table] | None = None

    def __iter__(self) -> Iterator[FramePerson]:
        """Everybody whose occlusion AGORA calls valid (0 to 90 %). Raises DataSetError for tables without a column."""
        for file in self.files:
            table = self._table(file)
            with LAYOUT.reading(file):
                for row, name in enumerate(table["imgPath"]):
                    photo = self._photo(str(name))
                    count = len(table["gt_verts"][row])
                    valid = np.ravel(table["isValid"][row]) if "isValid" in table else np.ones(count, bool)
                    for place in np.flatnonzero(valid[:count]).tolist():
                        image = Path(str(name)).stem
                        yield FramePerson(f"{image}#{place}", image, photo, file, row, place)

    def target(self, person: FramePerson) -> AgoraTarget:
        """The target of one person; people in the order of iteration are read fastest."""
        table = self._table(person.file)

        def points(column: str) -> Tensor:
            return torch.tensor(np.asarray(table[column][person.row][person.place], np.float32))

        scale = SMALL_WIDTH / FULL_WIDTH if person.photo.stem.endswith("_1280x720") else 1.0
        with LAYOUT.reading(person.file):
            return AgoraTarget(points("gt_verts"), points("gt_joints_3d"), points("gt_joints_2d")[:, :2] * scale)

    def _table(self, file: Path) -> Table:
        if self._last is None or self._last[0] != file:
            table = read_frame(file)
            LAYOUT.need_keys(file, table, *COLUMNS)
            self._last = file, table
        return self._last[1]

    def _photo(self, name: str) -> Path:
        """The photo that is there, the large one first."""
        stem = Path(name).stem
        small = f"{stem}_1280x720.png"
        return self._photos.get(f"{stem}.png") or self._photos.get(small) or self.folder / "validation" / small
