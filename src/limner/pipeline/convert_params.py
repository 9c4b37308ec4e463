"""How do parameter files change hands? The official demo's (matrices, crop camera) to limner's, and back."""

from contextlib import suppress
from pathlib import Path

import torch

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.errors import BodyModelError
from limner.geometry.box import Squares, squares_around
from limner.geometry.camera import Camera, WeakCamera, photo_camera, translation_from_weak, weak_from_translation
from limner.io.expose_file import ExposePerson, read_expose_params, write_expose_params
from limner.io.motion_file import POSE_PARTS, Motion, MotionFileError, read_params, write_params
from limner.networks.official_crops import BODY_MARGIN
from limner.reading.npz_file import names_in_npz

SMPLX_VERTICES = 10475


def convert_params(path: Path, out: Path, body_model: Path | None = None, focal_px: float | None = None) -> str:
    """Convert one file into the other format, told apart by content; returns what was written, in words.

    `body_model`: for the way to the demo's format, which holds a mesh. `focal_px`: for the way from it: put the person
    into a photo's camera of this focal length instead of the demo's. Raises LimnerError, which names the cure.
    """
    if _is_limners(path):
        person = expose_from_motion(read_params(path), BodyModel.load(body_model), out.stem.removesuffix("_params"))
        write_expose_params(out, person)
        return "the official demo's format (rotation matrices, weak-perspective camera, mesh)"
    write_params(out, motion_from_expose(read_expose_params(path), focal_px))
    return "limner's params.npz (axis-angle, camera_K, AMASS's keys)"


def motion_from_expose(person: ExposePerson, focal_px: float | None = None) -> Motion:
    """One frame from the demo's file: axis-angle is written from its rotations by `limner.io.motion_file`.

    focal_px: None keeps the demo's pinhole (about the crop's centre); otherwise the photo's camera of that focal
    length, the person placed in it so that they look as their weak camera saw them, in the plane of their root.
    """
    camera, transl = person.camera, person.transl.float()[None]
    if focal_px is not None:
        camera = photo_camera(*person.photo_size_px, focal_px, 1)
        transl = translation_from_weak(person.weak, person.crop, camera)
    extras = {
        "camera_K": camera.K,
        "photo_size_px": torch.tensor(person.photo_size_px, dtype=torch.float32),
        "body_square_px": torch.cat([person.crop.center_px, person.crop.size_px[:, None], torch.zeros(1, 1)], -1),
    }
    if person.box_px is not None:
        extras["box_px"] = person.box_px[None]
    return Motion(
        rotations=person.rotations[None],
        transl=transl,
        betas=person.betas,
        expression=person.expression[None],
        pelvis_rest=person.joints[0],  # the root turns about it, so it stays where it is at rest
        body_model="smplx" if len(person.vertices) == SMPLX_VERTICES else "limner",
        extras=extras,
    )


def expose_from_motion(motion: Motion, body_model: BodyModel, name: str) -> ExposePerson:
    """The first frame as the demo tells it: mesh and joints made anew, the camera as a weak one of the person's crop.

    Raises MotionFileError where the file knows no camera, BodyModelError for a body model of another kind.
    """
    extras = motion.extras
    if "camera_K" not in extras or "photo_size_px" not in extras or not {"box_px", "body_square_px"} & extras.keys():
        raise MotionFileError(
            f"{name}: the file has no camera or no person box (camera_K, photo_size_px, box_px): expected a params.npz "
            "of `limner estimate`. Estimate the photo again."
        )
    own = "limner" if body_model.assets.extra.get("region") is not None else "smplx"
    if motion.body_model != own:
        cure = "Give your SMPLX_NEUTRAL.npz with --body-model." if own == "limner" else "Leave --body-model out."
        raise BodyModelError(f"{name}: its shape belongs to the body {motion.body_model!r}, got {own!r}. {cure}")
    params = _params(motion)
    mesh = body_model(params)
    joints = body_model.keypoints144(mesh, params)
    width, height = extras["photo_size_px"].tolist()
    matrix = extras["camera_K"][:1]
    camera = Camera(matrix[:, 0, 0], matrix[:, :2, 2])
    if "box_px" in extras:
        crop = squares_around(extras["box_px"][:1], BODY_MARGIN)
    else:
        row = extras["body_square_px"][:1]
        crop = Squares(row[:, :2], row[:, 2], torch.zeros(1))
    weak: WeakCamera = weak_from_translation(motion.transl[:1], crop, camera)
    return ExposePerson(
        name=name,
        rotations=motion.rotations[0],
        betas=motion.betas,
        expression=motion.expression[0],
        transl=motion.transl[0],
        vertices=mesh.vertices[0],
        v_shaped=body_model.rest_vertices(params)[0],
        joints=joints[0],
        proj_joints=weak.project(joints)[0],
        camera=camera,
        weak=weak,
        crop=crop,
        photo_size_px=(round(width), round(height)),
        box_px=extras["box_px"][0] if "box_px" in extras else None,
    )


def _params(motion: Motion) -> BodyParams:
    """The first frame without translation."""
    pose = {name: motion.rotations[:1, part] for name, part in POSE_PARTS.items()}
    single = {name: x[:, 0] if x.shape[1] == 1 else x for name, x in pose.items()}
    return BodyParams(betas=motion.betas[None], expression=motion.expression[:1], transl=torch.zeros(1, 3), **single)


def _is_limners(path: Path) -> bool:
    """Whether a file has limner's own keys; the readers report what is wrong with it."""
    with suppress(Exception):
        return "pelvis_rest" in names_in_npz(path.expanduser())
    return False
