"""What is written for a photo: pictures to look at, meshes to open, numbers to compute with."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from limner.body.keypoints import KEYPOINT_SETS
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import JOINT_NAMES, PARENTS
from limner.errors import OutputError
from limner.geometry.box import Squares
from limner.io.atomic_folder import atomic_folder, sweep
from limner.io.glb_file import SkinnedMesh, write_glb
from limner.io.image import Photo, write_image
from limner.io.keypoint_file import PersonKeypoints, PhotoKeypoints, write_keypoints
from limner.io.mesh_file import write_obj, write_ply
from limner.io.motion_file import Motion, write_params
from limner.pipeline.people import People
from limner.pipeline.result_names import FILES, check_files
from limner.pipeline.result_record import RECORD_FILE, MadeOf, ResultRecord, write_record
from limner.render.overlay import clay, overlay
from limner.render.shade import sky_light
from limner.render.sheet import sheet

KEYPOINT_SET = "coco_wholebody133"
RESULT_FILES = {FILES["overlay"], FILES["sheet"], FILES["keypoints"], RECORD_FILE}
PERSON = re.compile(r"person_\d+")
PERSON_FILES = set(FILES.values()) - {FILES["sheet"]}
LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}
HAND_POINTS = {"left": 25, "right": 40}  # first finger joint among the 144


def check_writable(folder: Path) -> None:
    """Make the folder if need be; OutputError where nothing can be written to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"cannot write to the folder {folder} ({error.strerror}). Give a folder that you may write to with --out."
        ) from error


def save_results(
    people: People,
    photo: Photo,
    body_model: BodyModel,
    folder: str | Path,
    source: MadeOf | None = None,
    note: str = "",
    files: Iterable[str] = FILES,
) -> Path:
    """Write everything about a photo's people to `folder`, whole or not at all; an older result there is replaced.

    overlay.png     all people over the photo            sheet.png  crops, overlay and side view in one picture
    keypoints.json  COCO-WholeBody-133 of all people     person_N/  overlay.png, mesh.glb (rigged), mesh.obj, mesh.ply,
                                                                    params.npz, keypoints.json of one person
    result.json     `source`, what the result was made of, and `note`, where that is known
    files: which of them, by the names of `FILES`: overlay sheet glb obj ply params keypoints; others cost nothing.
    Raises OutputError for a folder that cannot be written, or that holds what limner did not write, and for files that
    are not known.
    """
    folder, chosen = Path(folder), check_files(files)
    with result_folder(folder, is_result_file) as work:
        _write_all(people, photo, body_model, work, chosen)
        if source is not None:
            write_record(work, ResultRecord(source, len(people), note))
    return folder


@contextmanager
def result_folder(folder: Path, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """A folder to write to, which takes the place of `folder` at the end: see `limner.io.atomic_folder`.

    Raises OutputError where the old folder holds what is not ours, and where nothing can be written.
    """
    _check_replaceable(folder, is_ours)
    check_writable(folder.parent)
    with atomic_folder(folder) as work:
        yield work
        _check_replaceable(folder, is_ours)


def sweep_results(out: Path, names: Sequence[str]) -> None:
    """Take away what killed runs left where results of these names will be; runs that go on now are left alone."""
    for folder in {(out / name).parent for name in names}:
        sweep(folder, is_result_file)


def is_result_file(path: Path) -> bool:
    """Whether a file or folder in a result folder is one of limner's, or one that systems strew about."""
    if path.is_dir():
        return PERSON.fullmatch(path.name) is not None and all(
            inside.is_file() and inside.name in PERSON_FILES | LITTER for inside in path.iterdir()
        )
    return path.name in RESULT_FILES | LITTER


def _check_replaceable(folder: Path, is_ours: Callable[[Path], bool]) -> None:
    """OutputError where an older result cannot be replaced because the folder is somebody else's."""
    foreign = [path for path in (folder.iterdir() if folder.is_dir() else ()) if not is_ours(path)]
    if foreign:
        inside = [path for path in foreign[0].rglob("*") if not path.is_dir() and path.name not in PERSON_FILES]
        what = (inside or foreign)[0].relative_to(folder)
        raise OutputError(
            f"{folder} exists and holds {what}, which limner did not write: it is left alone. Move it, or give "
            f"another --out."
        )


def _write_all(people: People, photo: Photo, body_model: BodyModel, folder: Path, files: Set[str]) -> None:
    if files & {"overlay", "sheet"}:
        _draw(people, photo, folder, files)
    if "keypoints" in files:
        _write_keypoints(folder / FILES["keypoints"], people, photo)
    for i in range(len(people)):
        one, own = people[i : i + 1], folder / f"person_{i}"
        if "obj" in files:
            write_obj(own / FILES["obj"], one.vertices[0], one.faces)
        if "ply" in files:
            write_ply(own / FILES["ply"], one.vertices[0], one.faces)
        if "glb" in files:
            write_glb(own / FILES["glb"], skinned_mesh(one, body_model, own.name))
        if "params" in files:
            write_params(own / FILES["params"], motion(one, body_model, photo))
        if "keypoints" in files:
            _write_keypoints(own / FILES["keypoints"], one, photo)


def _draw(people: People, photo: Photo, folder: Path, files: Set[str]) -> None:
    """Write the pictures: all people, each alone, and the sheet."""
    pixels = photo.pixels.to(people.vertices.device)
    sky = sky_light(people.vertices, people.faces)
    colors, together = clay(people.vertices, people.faces, sky), None
    if "overlay" in files:
        together = overlay(pixels, people.vertices, people.faces, people.camera, colors=colors)
        write_image(folder / FILES["overlay"], together)
        for i in range(len(people)):
            one, own = people[i : i + 1], folder / f"person_{i}"
            if len(people) == 1:
                own.mkdir()
                shutil.copyfile(folder / FILES["overlay"], own / FILES["overlay"])
            else:
                alone = overlay(pixels, one.vertices, one.faces, one.camera, colors=colors[i : i + 1])
                write_image(own / FILES["overlay"], alone)
    if "sheet" in files and len(people):
        parts = [
            ("right hand", people.right_hand_square),
            ("left hand", people.left_hand_square),
            ("face", people.face_square),
        ]
        picture = sheet(
            pixels, people.vertices, people.faces, people.camera, people.boxes, parts,
            colors=colors, sky=sky, overlaid=together,
        )  # fmt: skip
        write_image(folder / FILES["sheet"], picture)


def skinned_mesh(person: People, body_model: BodyModel, name: str) -> SkinnedMesh:
    """One person (a People of length 1) as skeleton, skin and expression morphs."""
    params = person.params
    neutral = params.replace(expression=torch.zeros_like(params.expression))
    first = body_model.num_betas
    return SkinnedMesh(
        vertices_rest=body_model.rest_vertices(neutral)[0],
        faces=body_model.faces,
        joints_rest=body_model.rest_joints(params)[0],
        parents=PARENTS,
        joint_names=JOINT_NAMES,
        weights=body_model.weights,
        rotations=params.full_pose()[0],
        transl=params.transl[0],
        morphs=body_model.directions[first : first + body_model.num_expression],
        morph_weights=params.expression[0],
        morph_names=[f"expression_{k}" for k in range(body_model.num_expression)],
        name=name,
    )


def motion(person: People, body_model: BodyModel, photo: Photo) -> Motion:
    """One person (a People of length 1) as a single-frame motion with camera, boxes and confidences."""
    body = person.confidence[:, :22].mean(1)
    hands = {side: person.confidence[:, first : first + 15].mean(1) for side, first in HAND_POINTS.items()}
    extras = {
        "camera_K": person.camera.K,
        "photo_size_px": person.boxes.new_tensor([photo.width, photo.height]),
        "box_px": person.boxes,
        "score": person.scores,
        "body_square_px": _square_row(person.body_square),
        "left_hand_square_px": _square_row(person.left_hand_square),
        "right_hand_square_px": _square_row(person.right_hand_square),
        "face_square_px": _square_row(person.face_square),
        "body_confidence": body,
        "left_hand_confidence": hands["left"],
        "right_hand_confidence": hands["right"],
        "face_confidence": person.confidence[:, 76:].mean(1),
    }
    return motion_of(person.params, body_model, extras)


def motion_of(params: BodyParams, body_model: BodyModel, extras: dict[str, Tensor]) -> Motion:
    """One person's parameters (a BodyParams of length 1) as a single-frame motion."""
    return Motion(
        rotations=params.full_pose(),
        transl=params.transl,
        betas=params.betas[0],
        expression=params.expression,
        pelvis_rest=body_model.rest_joints(params)[0, 0],
        body_model=body_model.name,
        extras=extras,
    )


def _square_row(squares: Squares) -> Tensor:
    return torch.cat([squares.center_px, squares.size_px[:, None], squares.angle_rad[:, None]], -1)


def _write_keypoints(path: Path, people: People, photo: Photo) -> None:
    pixels, confidence, metres = people.keypoint_set(KEYPOINT_SET)
    rows = [
        PersonKeypoints(KEYPOINT_SET, pixels[i], confidence[i], people.boxes[i], metres[i], float(people.scores[i]))
        for i in range(len(people))
    ]
    camera = None
    if len(people):
        center = people.camera.center_px[0].tolist()
        camera = (float(people.camera.focal_px[0]), center[0], center[1])
    record = PhotoKeypoints(photo.path.name, rows, (photo.width, photo.height), camera)
    write_keypoints(path, record, KEYPOINT_SETS[KEYPOINT_SET])
