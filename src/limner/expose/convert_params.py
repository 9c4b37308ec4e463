"""Parameter files from the official demo's format to limner's and back, from limner's body to the user's."""

from contextlib import suppress
from pathlib import Path

import torch

from limner.body.model import BodyModel
from limner.errors import BodyModelError
from limner.expose.crops import BODY_MARGIN
from limner.expose.demo_file import DemoPerson, person_at_origin, read_demo_params, write_demo_params
from limner.geometry.box import Squares, squares_around
from limner.geometry.camera import photo_camera, translation_from_weak
from limner.io.motion_file import (
    NEUTRAL,
    OWN_BODY,
    Motion,
    MotionFileError,
    read_params,
    write_params,
)
from limner.pipeline.convert_body import BodyConverter
from limner.pipeline.motion_bodies import camera_of_motion, converted_motion, params_of_motion
from limner.reading.npz_file import names_in_npz

NOT_SMPLX = (
    f"; the shape is that of limner's own body: betas and expression are {NEUTRAL} zeros, its numbers are in "
    "limner_betas and limner_expression (--body-model SMPLX_NEUTRAL.npz converts them)"
)


def convert_params(path: Path, out: Path, body_model: Path | None = None, focal_px: float | None = None) -> str:
    """Convert one file into the other format, told apart by content; returns what was written, in words.

    `body_model`: the user's SMPL-X, to which people of limner's own body are converted; people of SMPL-X need it on the
    way to the demo's format, which holds a mesh. `focal_px`: for the way from it: put the person into a photo's camera
    of this focal length instead of the demo's. Raises LimnerError, which names the cure.
    """
    to_expose = _is_limners(path)
    motion = read_params(path) if to_expose else motion_from_demo(read_demo_params(path), focal_px)
    model, said = None if body_model is None and not to_expose else BodyModel.load(body_model), ""
    if motion.body_model == OWN_BODY:
        converter = None if model is None else BodyConverter.to(model)
        said = NOT_SMPLX if converter is None else f". {converter.note}"
        motion = motion if converter is None else converted_motion(motion, converter)
    if model is not None and to_expose:
        write_demo_params(out, demo_from_motion(motion, model, out.stem.removesuffix("_params")))
        return f"the official demo's format (rotation matrices, weak-perspective camera, mesh){said}"
    write_params(out, motion)
    return f"limner's params.npz (axis-angle, camera_K, AMASS's keys){said}"


def motion_from_demo(person: DemoPerson, focal_px: float | None = None) -> Motion:
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
        body_model=person.body_model,
        extras=extras,
    )


def demo_from_motion(motion: Motion, body_model: BodyModel, name: str) -> DemoPerson:
    """The first frame as the demo tells it: mesh and joints made anew, the camera as a weak one of the person's crop.

    Raises MotionFileError where the file knows no camera, BodyModelError for a body model of another kind.
    """
    extras, cameras = motion.extras, camera_of_motion(motion)
    if cameras is None or "photo_size_px" not in extras or not {"box_px", "body_square_px"} & extras.keys():
        raise MotionFileError(
            f"{name}: the file has no camera or no person box (camera_K, photo_size_px, box_px): expected a params.npz "
            "of `limner estimate`. Estimate the photo again."
        )
    if motion.body_model != body_model.name:
        cure = "Give your SMPLX_NEUTRAL.npz with --body-model." if body_model.is_limners else "Convert it first."
        raise BodyModelError(
            f"{name}: its shape belongs to the body {motion.body_model!r}, got {body_model.name!r}. {cure}"
        )
    width, height = extras["photo_size_px"].tolist()
    camera = cameras[:1]
    if "box_px" in extras:
        crop = squares_around(extras["box_px"][:1], BODY_MARGIN)
    else:
        row = extras["body_square_px"][:1]
        crop = Squares(row[:, :2], row[:, 2], torch.zeros(1))
    # what a camera and a crop divide by
    lengths = torch.cat([extras["photo_size_px"].flatten(), camera.focal_px, crop.size_px])
    if not bool((torch.isfinite(lengths) & (lengths > 0)).all()) or round(width) < 1:
        raise MotionFileError(
            f"{name}: photo size, focal length and box are {[round(x, 3) for x in lengths.tolist()]}, expected "
            "positive numbers. Estimate the photo again."
        )
    size = round(width), round(height)
    box = extras["box_px"][0] if "box_px" in extras else None
    return person_at_origin(name, params_of_motion(motion)[:1], body_model, camera, crop, size, box)


def _is_limners(path: Path) -> bool:
    """Whether a file has limner's own keys; the readers report what is wrong with it."""
    with suppress(Exception):
        return "pelvis_rest" in names_in_npz(path.expanduser())
    return False
