"""The official ExPose demo's own file of one person, `<name>_params.npz`: read and written.

Keys and shapes of the demo (for a body of V vertices; poses are rotation MATRICES; axes x right, y down, z forward):
    fname                       text
    global_orient, jaw_pose     (1, 3, 3)     body_pose (21, 3, 3)     left_hand_pose, right_hand_pose (15, 3, 3)
    betas (10,)                 expression (10,)
    vertices (V, 3)             joints (144, 3)        metres, WITHOUT transl
    proj_joints (144, 2)        weak perspective, in [-1, 1] of the body crop
    transl (3,) float64         for a pinhole of focal_length_in_px about `center`
    focal_length_in_px, center (2,) photo pixels
    focal_length_in_mm, sensor_width (36), shift_x, shift_y      the same for Blender
    full_pose, v_shaped         pickled None there; here the arrays they are named after, (55, 3, 3) and (V, 3), so that
                                the file needs no `allow_pickle`
What limner adds, because the demo forgot it:
    joints_px (144, 2)          the projected joints in photo pixels
    camera_scale (), camera_translation (2,)     proj_joints = camera_scale * (joints[:, :2] + camera_translation)
    crop_center_px (2,), crop_size_px ()         square of the body crop     box_px (4,)   person box x0 y0 x1 y1
    body_model                  text: smplx, or limner. The mesh of limner's body has its own vertices; its numbers are
                                under limner_betas, limner_expression, and betas, expression are ten zeros
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.errors import LimnerError
from limner.geometry.box import Squares
from limner.geometry.camera import Camera, WeakCamera, weak_from_translation
from limner.io.atomic import atomic_write, check_finite
from limner.io.mesh_file import ply_bytes
from limner.io.motion_file import OWN_BODY, smplx_numbers, with_own_numbers
from limner.io.motion_file import POSE_PARTS as ALL_POSE_PARTS
from limner.reading.npz_file import read_npz
from limner.reading.told import RefusedError, told_as

SENSOR_MM = 36.0
SMPLX_VERTICES = 10475
MOST_BYTES = 2**28
"""256 MB unpacked; the demo's files have less than 1."""
POSE_PARTS = {key: part for key, part in ALL_POSE_PARTS.items() if "eye" not in key}
"""Which of the 55 rotations a key holds; the eyes (23, 24) are in `full_pose` only, ExPose never turns them."""
NEEDED = (
    *(*POSE_PARTS, "betas", "expression", "vertices", "joints", "proj_joints", "transl", "center"),
    *("focal_length_in_px", "focal_length_in_mm", "sensor_width", "shift_y"),
)
"""Arrays that a file must have, all numbers of them finite."""


class DemoFileError(LimnerError):
    """A parameter file in the official demo's format cannot be read."""


@dataclass(frozen=True)
class DemoPerson:
    """One person as the demo's file tells it, see above.

    rotations "55 3 3" in SMPL-X order; vertices and joints without `transl`; `camera` (a pinhole) and `weak` with
    `crop` (a square) are the two ways to project them, each of length 1; photo_size_px: width, height; betas and
    expression are those of the body that `body_model` names.
    """

    name: str
    rotations: Float[Tensor, "55 3 3"]
    betas: Float[Tensor, "S"]
    expression: Float[Tensor, "E"]
    transl: Float[Tensor, "3"]
    vertices: Float[Tensor, "V 3"]
    v_shaped: Float[Tensor, "V 3"] | None
    joints: Float[Tensor, "144 3"]
    proj_joints: Float[Tensor, "144 2"]
    camera: Camera
    weak: WeakCamera
    crop: Squares
    photo_size_px: tuple[int, int]
    box_px: Float[Tensor, "4"] | None = None
    body_model: str = "smplx"


def person_at_origin(
    name: str,
    params: BodyParams,
    body_model: BodyModel,
    camera: Camera,
    crop: Squares,
    photo_size_px: tuple[int, int],
    box_px: Float[Tensor, "4"] | None,
    proj_joints: Float[Tensor, "144 2"] | None = None,
) -> DemoPerson:
    """One person (all records of length 1) as the demo tells it: mesh and joints made anew without `transl`, since
    subtracting it would cost digits. `proj_joints`: by default as the weak camera sees the joints."""
    here = params.replace(transl=torch.zeros_like(params.transl))
    mesh, weak = body_model(here), weak_from_translation(params.transl, crop, camera)
    joints = body_model.keypoints144(mesh, here)
    return DemoPerson(
        name=name,
        rotations=params.full_pose()[0],
        betas=params.betas[0],
        expression=params.expression[0],
        transl=params.transl[0],
        vertices=mesh.vertices[0],
        v_shaped=body_model.rest_vertices(here)[0],
        joints=joints[0],
        proj_joints=weak.project(joints)[0] if proj_joints is None else proj_joints,
        camera=camera,
        weak=weak,
        crop=crop,
        photo_size_px=photo_size_px,
        box_px=box_px,
        body_model=body_model.name,
    )


def write_demo_params(path: str | Path, person: DemoPerson) -> None:
    """Write the demo's `<name>_params.npz`. Raises OutputError."""
    check_finite(path, rotations=person.rotations, vertices=person.vertices, transl=person.transl)
    focal, center = float(person.camera.focal_px[0]), person.camera.center_px[0].double()
    width, height = person.photo_size_px
    arrays: dict[str, Tensor] = {key: person.rotations[part] for key, part in POSE_PARTS.items()}
    for name in ("vertices", "joints", "proj_joints"):
        arrays[name] = getattr(person, name)
    arrays |= smplx_numbers(person.body_model, person.betas, person.expression)
    arrays |= {"full_pose": person.rotations, "transl": person.transl.double(), "center": center}
    arrays |= {"camera_scale": person.weak.scale[0], "camera_translation": person.weak.translation[0]}
    arrays |= {"crop_center_px": person.crop.center_px[0], "crop_size_px": person.crop.size_px[0]}
    arrays["joints_px"] = person.crop.photo_from_unit(person.proj_joints[None])[0]
    arrays |= {name: array for name in ("v_shaped", "box_px") if (array := getattr(person, name)) is not None}
    numbers = {
        "focal_length_in_px": focal,
        "focal_length_in_mm": focal / width * SENSOR_MM,
        "sensor_width": SENSOR_MM,
        "shift_x": -(float(center[0]) / width - 0.5),
        "shift_y": (float(center[1]) - 0.5 * height) / width,
    }
    stored = {key: np.asarray(value.detach().cpu()) for key, value in arrays.items()}
    stored |= {key: np.asarray(value) for key, value in numbers.items()}
    with atomic_write(path) as file:
        np.savez(file, fname=np.array(person.name), body_model=np.array(person.body_model), **stored)  # type: ignore[arg-type]


def read_demo_params(path: str | Path) -> DemoPerson:
    """Read such a file, written by limner or by the original demo; pickled objects in it are left out.

    Where it lacks camera and crop (the demo's do), they follow from `proj_joints` and `transl`: exactly, but for
    rounding. Raises DemoFileError, which names the cure.
    """
    file = Path(path).expanduser()
    arrays = with_own_numbers(_load(file))
    missing = sorted({*NEEDED} - arrays.keys())
    if missing:
        raise DemoFileError(
            f"{file} lacks {', '.join(missing)}: expected <name>_params.npz of the ExPose demo, or of `limner expose "
            "--format expose`. limner's own params.npz is read by limner.io.motion_file.read_params."
        )
    with told_as(DemoFileError, file, "Its arrays have unusual shapes or numbers. Write it again."):
        numbers = {key: torch.from_numpy(array) for key, array in arrays.items() if array.dtype.kind in "fiu"}
        return _person(file, numbers, arrays)


def write_camera_ply(path: str | Path, vertices: Float[Tensor, "V 3"], faces: Int[Tensor, "F 3"]) -> None:
    """Write a mesh as the demo does: PLY in camera axes (x right, y down, z forward). Raises OutputError."""
    check_finite(path, vertices=vertices)
    with atomic_write(path) as file:
        file.write(ply_bytes(vertices, faces))


def _person(file: Path, found: dict[str, Tensor], arrays: dict[str, np.ndarray]) -> DemoPerson:
    rotations = torch.eye(3).repeat(55, 1, 1)
    for key, part in POSE_PARTS.items():
        rotations[part] = found[key].float().reshape(-1, 3, 3)
    if "full_pose" in found:
        rotations = found["full_pose"].float().reshape(55, 3, 3)
    camera = Camera(found["focal_length_in_px"].reshape(1).float(), found["center"].reshape(1, 2).float())
    weak, crop = _weak(found, camera)
    width = float(found["focal_length_in_px"] / found["focal_length_in_mm"] * found["sensor_width"])
    numbers = [found[key].double().flatten() for key in (*NEEDED, "full_pose", "box_px") if key in found]
    if not bool(torch.isfinite(torch.cat(numbers)).all()):
        raise RefusedError("it has numbers that are not finite")
    height = 2 * (float(camera.center_px[0, 1]) - float(found["shift_y"]) * width)
    return DemoPerson(
        name=str(arrays.get("fname", file.stem.removesuffix("_params"))),
        rotations=rotations,
        betas=found["betas"].float().flatten(),
        expression=found["expression"].float().flatten(),
        transl=found["transl"].double().reshape(3),
        vertices=found["vertices"].float().reshape(-1, 3),
        v_shaped=found["v_shaped"].float().reshape(-1, 3) if "v_shaped" in found else None,
        joints=found["joints"].float().reshape(144, 3),
        proj_joints=found["proj_joints"].float().reshape(144, 2),
        camera=camera,
        weak=weak,
        crop=crop,
        photo_size_px=(round(width), round(height)),
        box_px=found["box_px"].float().reshape(4) if "box_px" in found else None,
        body_model=_body_of(arrays),
    )


def _body_of(arrays: dict[str, np.ndarray]) -> str:
    """Whose body a file is of; the demo's and older files do not say, but limner's has other vertices than SMPL-X."""
    if "body_model" in arrays:
        return str(arrays["body_model"])
    return "smplx" if arrays["vertices"].size == 3 * SMPLX_VERTICES else OWN_BODY


def _weak(found: dict[str, Tensor], camera: Camera) -> tuple[WeakCamera, Squares]:
    """Weak camera and crop: stored, or from what the demo computed with them."""
    if "camera_scale" in found:
        scale, translation = found["camera_scale"], found["camera_translation"]
        center, size = found["crop_center_px"], found["crop_size_px"]
    else:  # proj = scale (xy + t); t = transl_xy; transl_z = 2 focal / (scale size); center = the crop's
        translation, center = found["transl"].double()[:2], camera.center_px[0]
        moved, seen = found["joints"].double()[:, :2] + translation, found["proj_joints"].double()
        scale = (moved * seen).sum() / moved.square().sum()
        size = 2 * camera.focal_px[0] / (scale * found["transl"].double()[2])
    weak = WeakCamera(scale.reshape(1).float(), translation.reshape(1, 2).float())
    return weak, Squares(center.reshape(1, 2).float(), size.reshape(1).float(), torch.zeros(1))


def _load(file: Path) -> dict[str, np.ndarray]:
    """All arrays that are no pickled objects."""
    if not file.is_file():
        raise DemoFileError(f"{file} {'is a folder' if file.is_dir() else 'does not exist'}. Give the .npz file.")
    with told_as(DemoFileError, file, "It is no .npz file, or cut off. Copy it again."):
        return read_npz(file, "leave out", most_bytes=MOST_BYTES)
