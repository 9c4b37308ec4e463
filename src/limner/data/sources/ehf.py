"""EHF as its authors hand it out: 100 photos of one person with SMPL-X registrations and scans."""

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float, Int64
from torch import Tensor

from limner.data.sources.layout import Layout
from limner.data.sources.meshes import read_mesh
from limner.geometry.rotation import rotation_from_axis_angle

LAYOUT = Layout(
    "EHF (Expressive Hands and Faces, 100 frames)",
    "https://smpl-x.is.tue.mpg.de (register, `Download EHF`)",
    "non-commercial scientific research",
    "01_img.jpg    (or 01_img.png) photo, 1600 x 1200\n"
    "01_align.ply  SMPL-X registration, 10475 vertices, world axes, metres\n"
    "01_scan.obj   the scan, optional\n"
    "02_img.jpg ... 100_align.ply",
)
FRAMES = 100
# The one camera of EHF (expose-facts, section 12): x_camera = R x_world + t
ORIENTATION = (-2.98747896, 0.01172457, -0.05704687)
TRANSLATION = (-0.03609917, 0.43416458, 2.37101226)
FOCAL_PX = 1498.22426237
CENTER_PX = (790.263706, 578.90334)


@dataclass(frozen=True)
class EhfFrame:
    """One frame: the photo and its meshes, read when asked for, in camera axes, metres."""

    name: str
    photo: Path
    registration_file: Path
    scan_file: Path | None

    def registration(self) -> tuple[Float[Tensor, "V 3"], Int64[Tensor, "F 3"]]:
        """The SMPL-X mesh that was fitted to the scan: the ground truth of V2V."""
        vertices, faces = read_mesh(self.registration_file)
        return to_camera(vertices), faces

    def scan(self) -> tuple[Float[Tensor, "V 3"], Int64[Tensor, "F 3"]] | None:
        """The scan itself, None where the file is not there."""
        if self.scan_file is None:
            return None
        vertices, faces = read_mesh(self.scan_file)
        return to_camera(vertices), faces


def read_ehf(folder: Path, complete: bool = True) -> list[EhfFrame]:
    """All frames, sorted. `complete`: 100 of them are a must, as every published number is over 100.

    Raises DataSetError for a missing folder, photos without a registration (half a download), and fewer frames.
    """
    registrations = LAYOUT.some(folder, "*_align.ply")
    frames = []
    for file in registrations:
        name = file.name.removesuffix("_align.ply")
        photos = [folder / f"{name}_img{ending}" for ending in (".jpg", ".png")]
        photo = next((path for path in photos if path.exists()), None)
        if photo is None:
            raise LAYOUT.error(folder, f"{file.name} has no photo {photos[0].name}")
        scan = folder / f"{name}_scan.obj"
        frames.append(EhfFrame(name, photo, file, scan if scan.exists() else None))
    lonely = len(list(folder.glob("*_img.jpg"))) - len(frames)
    if lonely > 0:
        raise LAYOUT.error(folder, f"{lonely} photos have no registration (*_align.ply)")
    if complete and len(frames) != FRAMES:
        raise LAYOUT.error(folder, f"{len(frames)} of {FRAMES} frames are there")
    return sorted(frames, key=lambda frame: frame.name)


def to_camera(points: Float[Tensor, "V 3"]) -> Float[Tensor, "V 3"]:
    """World axes of the registrations to axes of the one camera."""
    rotation = rotation_from_axis_angle(points.new_tensor(ORIENTATION))
    return points @ rotation.mT + points.new_tensor(TRANSLATION)
