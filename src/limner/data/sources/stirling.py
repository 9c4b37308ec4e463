"""Stirling/ESRC 3D as the FG 2018 challenge uses it: 2000 photos of 135 people with neutral scans."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from limner.data.sources.layout import Layout
from limner.data.sources.now import FacePhoto

LAYOUT = Layout(
    "Stirling/ESRC 3D (FG 2018 challenge)",
    "http://pics.stir.ac.uk/ESRC (scans) and https://facer2vm.org/fg2018.html (photos, landmarks)",
    "research only, after registration",
    "Subset_2D_FG2018/HQ/F1001_....jpg ...  656 photos (LQ: 1344)\n"
    "F_3D_N/f1001_N.obj ... M_3D_N/m1001_N.obj ...\n"
    "annotations/F_3D_N/f1001_N.lnd ...     7 points of each scan: name x y z",
)
Quality = Literal["HQ", "LQ"]


@dataclass(frozen=True)
class StirlingPhotos:
    """The photos that can be scored, and how many were left out because their scan or landmarks were never published
    (a few people of the set)."""

    photos: tuple[FacePhoto, ...]
    without_scan: int


def read_stirling(folder: Path, quality: Quality) -> StirlingPhotos:
    """The photos of one quality with the scan of each person. Raises DataSetError for missing folders or no pair."""
    LAYOUT.need(folder, f"Subset_2D_FG2018/{quality}", "annotations")
    photos, without = [], 0
    for photo in LAYOUT.some(folder / "Subset_2D_FG2018" / quality, "*.*"):
        person = photo.stem.split("_")[0]
        scans = f"{person[0].upper()}_3D_N"
        scan = _either_case(folder / scans, person, ".obj")
        landmarks = _either_case(folder / "annotations" / scans, person, ".lnd")
        if scan is None or landmarks is None:
            without += 1
            continue
        photos.append(FacePhoto(photo.stem, person.upper(), quality, photo, scan, landmarks))
    if not photos:
        raise LAYOUT.error(folder, f"none of {without} photos has a scan and its landmarks")
    return StirlingPhotos(tuple(photos), without)


def _either_case(folder: Path, person: str, ending: str) -> Path | None:
    """File names are written with small or with capital letters."""
    names = (f"{person.lower()}_N{ending}", f"{person.upper()}_N{ending}")
    return next((folder / name for name in names if (folder / name).exists()), None)
