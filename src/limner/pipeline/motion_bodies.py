"""Motions as bodies: their frames as parameters and cameras, and in the user's body instead of limner's own."""

from dataclasses import replace

from limner.body.params import BodyParams
from limner.geometry.camera import Camera
from limner.io.motion_file import POSE_PARTS, Motion
from limner.pipeline.convert_body import BodyConverter


def params_of_motion(motion: Motion) -> BodyParams:
    """Every frame as a body of its own."""
    pose = {name: motion.rotations[:, part] for name, part in POSE_PARTS.items()}
    single = {name: x[:, 0] if x.shape[1] == 1 else x for name, x in pose.items()}
    betas = motion.betas.expand(len(motion), -1)
    return BodyParams(betas=betas, expression=motion.expression, transl=motion.transl, **single)


def camera_of_motion(motion: Motion) -> Camera | None:
    """The photo's camera of each frame, where the file has it."""
    matrix = motion.extras.get("camera_K")
    return None if matrix is None else Camera(matrix[:, 0, 0], matrix[:, :2, 2])


def converted_motion(motion: Motion, converter: BodyConverter) -> Motion:
    """A motion of limner's own body as one of the converter's target, in the same place."""
    params = converter(params_of_motion(motion), camera_of_motion(motion))
    return replace(
        motion,
        rotations=params.full_pose(),
        transl=params.transl,
        betas=converter.betas(motion.betas[None])[0],
        expression=params.expression,
        pelvis_rest=converter.target.rest_joints(params[:1])[0, 0],
        body_model=converter.target.name,
    )
