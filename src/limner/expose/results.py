"""The official ExPose demo's files of a photo, so that people's scripts go on working."""

from pathlib import Path

from limner.body.model import BodyModel
from limner.expose.crops import BODY_MARGIN
from limner.expose.demo_file import DemoPerson, person_at_origin, write_camera_ply, write_demo_params
from limner.geometry.box import squares_around
from limner.io.image import Photo, write_image
from limner.pipeline.people import People
from limner.pipeline.result_names import safe_name
from limner.pipeline.results import LITTER, result_folder
from limner.render.overlay import overlay


def save_demo_results(people: People, photo: Photo, body_model: BodyModel, out: str | Path, first: int) -> list[Path]:
    """Write one folder a person, named as the demo does: `<photo's file name>_<running number, 3 digits>`.

    <name>_params.npz         parameters, mesh, joints, cameras: see `limner.expose.demo_file`
    <name>.ply                the mesh in the camera, x right, y down, z forward
    body_<name>.ply           the same of the body network alone, where it is known
    hd_imgs.png               the photo        hd_overlay.png        the person over it, in the photo's size
    hd_orig_overlay.png       the body network's estimate over it, where it is known
    `first`: running number of the first person; numbers run over all photos of a run. `<name>` is the folder's.

    Each folder appears whole or not at all and replaces an older one. Raises OutputError.
    """
    folders = demo_folders(photo.path, Path(out), first, len(people))
    for i, folder in enumerate(folders):
        name = folder.name
        with result_folder(folder, lambda path, name=name: _is_ours(path, name)) as work:  # type: ignore[misc]
            _write_person(people[i : i + 1], photo, body_model, work, name)
    return folders


def demo_folders(photo: Path, out: Path, first: int, count: int) -> list[Path]:
    """The folders of a photo's people in the demo's way: the photo's file name, made safe, and a running number."""
    return [out / f"{safe_name(photo.name)}_{first + i:03d}" for i in range(count)]


def _is_ours(path: Path, name: str) -> bool:
    numbered = {f"{name}_params.npz", f"{name}.ply", f"body_{name}.ply"}
    return path.name in numbered | LITTER or (path.name.startswith("hd_") and path.suffix == ".png")


def _write_person(person: People, photo: Photo, body_model: BodyModel, folder: Path, name: str) -> None:
    size = max(photo.width, photo.height)
    write_demo_params(folder / f"{name}_params.npz", demo_person(person, photo, body_model, name))
    write_image(folder / "hd_imgs.png", photo.pixels)
    write_camera_ply(folder / f"{name}.ply", person.vertices[0], person.faces)
    final = overlay(photo.pixels, person.vertices, person.faces, person.camera, longest_side=size)
    write_image(folder / "hd_overlay.png", final)
    if person.coarse is not None:
        vertices = body_model(person.coarse).vertices
        write_camera_ply(folder / f"body_{name}.ply", vertices[0], person.faces)
        coarse = overlay(photo.pixels, vertices, person.faces, person.camera, longest_side=size)
        write_image(folder / "hd_orig_overlay.png", coarse)


def demo_person(person: People, photo: Photo, body_model: BodyModel, name: str) -> DemoPerson:
    """One person (a People of length 1) as the demo tells it.

    The body crop is the demo's: the square about the person box, 1.2 times its longer side; `proj_joints` are the
    person's `keypoints_px` in it.
    """
    crop = squares_around(person.boxes, BODY_MARGIN)
    size, seen = (photo.width, photo.height), crop.unit_from_photo(person.keypoints_px)[0]
    return person_at_origin(name, person.params, body_model, person.camera, crop, size, person.boxes[0], seen)
