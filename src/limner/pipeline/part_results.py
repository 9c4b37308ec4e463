"""What is written for a photo that shows a hand or a face alone."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from limner.body.keypoints import KEYPOINT_SETS
from limner.body.model import BodyModel
from limner.io.image import Photo, write_image
from limner.io.keypoint_file import PersonKeypoints, PhotoKeypoints, write_keypoints
from limner.io.mesh_file import write_obj, write_ply
from limner.io.motion_file import Motion, write_params
from limner.pipeline.part_alone import PartAlone
from limner.pipeline.result_names import FILES, check_files
from limner.pipeline.results import is_result_file, motion_of, result_folder
from limner.render.overlay import overlay

PART_FILES = ("overlay", "obj", "ply", "params", "keypoints")


def save_parts(
    parts: Sequence[PartAlone],
    photo: Photo,
    own_body: BodyModel,
    folder: str | Path,
    files: Iterable[str] = PART_FILES,
) -> Path:
    """Write everything about the parts of a photo to `folder`, whole or not at all; an older result is replaced.

    overlay.png   all parts over the photo
    person_N/     one part: overlay.png, mesh.obj and mesh.ply (of the part alone), params.npz (a body in the T-pose
                  that turns with the part: see `PartAlone`), keypoints.json (21 points of a hand, 68 of a face)
    own_body: limner's. files: which of them, some of PART_FILES. Raises OutputError as `save_results` does.
    """
    folder, chosen = Path(folder), check_files(files, PART_FILES)
    with result_folder(folder, is_result_file) as work:
        if "overlay" in chosen:
            together, full = photo.pixels, max(photo.width, photo.height)
            for part in parts:
                together = overlay(together, part.vertices[None], part.faces, part.camera, longest_side=full)
            write_image(work / FILES["overlay"], together)
        for i, part in enumerate(parts):
            own = work / f"person_{i}"
            if "overlay" in chosen:
                alone = overlay(photo.pixels, part.vertices[None], part.faces, part.camera)
                write_image(own / FILES["overlay"], alone)
            if "obj" in chosen:
                write_obj(own / FILES["obj"], part.vertices, part.faces)
            if "ply" in chosen:
                write_ply(own / FILES["ply"], part.vertices, part.faces)
            if "params" in chosen:
                write_params(own / FILES["params"], _motion(part, own_body, photo))
            if "keypoints" in chosen:
                write_keypoints(own / FILES["keypoints"], _keypoints(part, photo), KEYPOINT_SETS[part.keypoint_set])
    return folder


def _motion(part: PartAlone, own_body: BodyModel, photo: Photo) -> Motion:
    extras = {
        "camera_K": part.camera.K,
        "photo_size_px": part.box.new_tensor([photo.width, photo.height]),
        "box_px": part.box[None],
        "score": part.box.new_tensor([part.presence]),
    }
    return motion_of(part.params, own_body, extras)


def _keypoints(part: PartAlone, photo: Photo) -> PhotoKeypoints:
    sure = part.keypoints_px.new_full((len(part.names),), part.presence)
    person = PersonKeypoints(part.keypoint_set, part.keypoints_px, sure, part.box, part.keypoints, part.presence)
    x, y = part.camera.center_px[0].tolist()
    return PhotoKeypoints(photo.path.name, [person], (photo.width, photo.height), (float(part.camera.focal_px), x, y))
