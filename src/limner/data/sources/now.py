"""The NoW benchmark: phone photos of 100 people with a neutral scan of each head."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from limner.data.sources.layout import Layout
from limner.data.sources.meshes import read_mesh
from limner.reading.npz_file import read_npy
from limner.reading.told import whole_file

LAYOUT = Layout(
    "NoW (validation: 20 people with scans; the test scans stay with its authors)",
    "https://now.is.tue.mpg.de (register)",
    "non-commercial research",
    "imagepathsvalidation.txt                       one photo a line: SUBJECT/CATEGORY/IMG_0045.jpg\n"
    "iphone_pictures/SUBJECT/CATEGORY/IMG_0045.jpg  (also below final_release_version/ or NoW_Dataset/)\n"
    "scans/SUBJECT/*.obj                            millimetres\n"
    "scans_lmks_onlypp/SUBJECT/*.pp                 7 points picked on the scan",
)
LANDMARKS = (
    "right_eye_outer", "right_eye_inner", "left_eye_inner", "left_eye_outer", "nose_bottom",
    "right_mouth", "left_mouth",
)  # fmt: skip
"""The seven points of NoW and of the Stirling/ESRC challenge, the person's right first."""


@dataclass(frozen=True)
class FacePhoto:
    """One photo and the neutral scan of the person's head, read when asked for; millimetres, the scan's own axes."""

    name: str
    subject: str
    category: str
    photo: Path
    scan_file: Path
    landmarks_file: Path

    def scan(self) -> tuple[Float[Tensor, "V 3"], Int64[Tensor, "F 3"]]:
        """Vertices and triangles of the scan."""
        return read_mesh(self.scan_file)

    def landmarks(self) -> Float[Tensor, "7 3"]:
        """The seven points on the scan, in the order of LANDMARKS."""
        points = read_points(self.landmarks_file)
        if len(points) != 7:
            raise LAYOUT.unreadable(self.landmarks_file, f"it has {len(points)} points, expected 7")
        return points


def read_now(folder: Path) -> list[FacePhoto]:
    """The photos of the validation list. Raises DataSetError for missing lists, scans or landmarks."""
    LAYOUT.need(folder, "scans", "scans_lmks_onlypp")
    listed = sorted(folder.rglob("imagepathsvalidation.txt"))
    if not listed:
        raise LAYOUT.error(folder, "the list imagepathsvalidation.txt is missing")
    pictures = next((path for path in sorted(folder.rglob("iphone_pictures")) if path.is_dir()), None)
    if pictures is None:
        raise LAYOUT.error(folder, "the folder iphone_pictures is missing")
    photos = []
    for line in listed[0].read_text().split("\n"):
        if line.strip():
            photos.append(_photo(folder, pictures, Path(line.strip())))
    return photos


def _photo(folder: Path, pictures: Path, path: Path) -> FacePhoto:
    subject, category = path.parts[-3], path.parts[-2]
    scans = sorted((folder / "scans" / subject).glob("*.obj"))
    landmarks = sorted((folder / "scans_lmks_onlypp" / subject).glob("*.pp"))
    if not scans or not landmarks:
        lacking = "scan" if not scans else "landmarks"
        raise LAYOUT.error(folder, f"{subject} of the list has no {lacking}")
    return FacePhoto(
        name=str(Path(subject) / category / path.stem),
        subject=subject,
        category=category,
        photo=pictures / subject / category / path.name,
        scan_file=scans[0],
        landmarks_file=landmarks[0],
    )


def read_points(file: Path) -> Float[Tensor, "L 3"]:
    """Picked points: MeshLab's .pp, Stirling's .lnd (name x y z a line), .npy, or lines of three numbers."""
    with LAYOUT.reading(file):
        if file.suffix == ".npy":
            return torch.as_tensor(read_npy(file)).float().reshape(-1, 3)
        text = whole_file(file).decode(errors="replace")
        if file.suffix == ".pp":
            return _picked_points(text)
        rows = [line.replace(",", " ").split() for line in text.splitlines() if line.strip()]
        return torch.tensor([[float(value) for value in row[-3:]] for row in rows])


def _picked_points(text: str) -> Float[Tensor, "L 3"]:
    """MeshLab's XML, by its attributes only: `<point x=".." y=".." z=".." .../>`."""
    rows = []
    for tag in text.split("<point")[1:]:
        attributes = dict(part.split("=", 1) for part in tag.split(">")[0].strip(" /").split() if "=" in part)
        rows.append([float(attributes[axis].strip("\"'")) for axis in "xyz"])
    return torch.tensor(rows).reshape(-1, 3)
