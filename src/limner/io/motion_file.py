"""Motion files of a person (or a single pose). `params.npz` for SMPL-X and AMASS tools, and BVH.

`params.npz` holds one person over T frames (1 for a photo) as float32, without pickled objects. Rotations are
axis-angle vectors in radians, finger poses are whole (no mean hand to add: `flat_hand_mean`), lengths are metres.

In the camera frame (x right, y down, z into the scene), by SMPL-X's names:
    global_orient (T, 3)  body_pose (T, 63)  left_hand_pose (T, 45)  right_hand_pose (T, 45)  jaw_pose (T, 3)
    leye_pose (T, 3)  reye_pose (T, 3)  expression (T, E)  betas (S,)  transl (T, 3)
In a z-up world (x right, y into the scene, the camera at the origin and level), by AMASS's names, for Blender add-ons:
    poses (T, 165)  trans (T, 3)  root_orient (T, 3)  pose_body (T, 63)  pose_hand (T, 90)  pose_jaw (T, 3)
    pose_eye (T, 6)  betas (S,)  num_betas  expressions (T, E)  gender  surface_model_type = "smplx"
    mocap_frame_rate = mocap_framerate = frames a second  mocap_time_length = seconds
Both translations are SMPL-X's: they move a body that `global_orient` has turned about its rest pelvis.
limner's own: body_model (whose body the person is: "smplx", or "limner"), pelvis_rest (3,) (rest position of that
body's pelvis, body frame), and the arrays of EXTRAS that were given.

Numbers of limner's own body mean nothing to SMPL-X. A person of "limner" has them under limner_betas (S,) and
limner_expression (T, E); betas, expression and expressions are then SMPL-X's neutral ones, ten zeros each. Older
files of limner have its numbers under SMPL-X's names; they are read as what they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from limner.errors import LimnerError, OutputError
from limner.geometry.rotation import rotation_from_axis_angle, rotation_to_axis_angle
from limner.io.atomic import atomic_write, check_finite
from limner.io.frames import Y_UP_FROM_CAMERA, Z_UP_FROM_CAMERA, turn_points, turn_rotations
from limner.reading.npz_file import read_npz
from limner.reading.told import told_as

POSE_PARTS = {
    "global_orient": slice(0, 1),
    "body_pose": slice(1, 22),
    "jaw_pose": slice(22, 23),
    "leye_pose": slice(23, 24),
    "reye_pose": slice(24, 25),
    "left_hand_pose": slice(25, 40),
    "right_hand_pose": slice(40, 55),
}
"""Which of the 55 rotations a key of the file holds."""

EXTRAS: dict[str, tuple[int | str, ...]] = {
    "camera_K": ("T", 3, 3),
    "photo_size_px": (2,),
    "box_px": ("T", 4),
    "score": ("T",),
    "body_square_px": ("T", 4),
    "left_hand_square_px": ("T", 4),
    "right_hand_square_px": ("T", 4),
    "face_square_px": ("T", 4),
    "body_confidence": ("T",),
    "left_hand_confidence": ("T",),
    "right_hand_confidence": ("T",),
    "face_confidence": ("T",),
}
"""Further arrays of a file and their shapes, all in photo pixels. Size: width, height; box: x0 y0 x1 y1; square: centre
x and y, side, angle (radians, clockwise in the photo); scores and confidences are in [0, 1]."""


OWN_BODY = "limner"
"""`body_model` of people in limner's own body."""
NEUTRAL = 10
"""Zeros that stand for betas and expression where SMPL-X's are not known: what every SMPL-X file has."""
MOST_BYTES = 2**29
"""512 MB unpacked: hours of motion."""


class MotionFileError(LimnerError):
    """A motion file cannot be read."""


@dataclass(frozen=True)
class Motion:
    """One person over T frames.

    rotations "T 55 3 3" in SMPL-X order (`BodyParams.full_pose`), the root's into camera axes; transl "T 3" camera
    frame, metres; betas "S" and expression "T E" of the body that `body_model` names; pelvis_rest "3" body frame,
    metres; extras: see EXTRAS.
    """

    rotations: Float[Tensor, "T 55 3 3"]
    transl: Float[Tensor, "T 3"]
    betas: Float[Tensor, "S"]
    expression: Float[Tensor, "T E"]
    pelvis_rest: Float[Tensor, "3"]
    body_model: str
    gender: str = "neutral"
    fps: float = 30.0
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rotations)


def write_params(path: str | Path, motion: Motion) -> None:
    """Write `params.npz` as the module describes it.

    Raises OutputError for numbers that are not finite, for extras not in EXTRAS, and for what `atomic_write` names.
    """
    check_finite(
        path, rotations=motion.rotations, transl=motion.transl, betas=motion.betas, expression=motion.expression
    )
    _check_extras(path, motion)
    arrays = _camera_arrays(motion) | _world_arrays(motion) | dict(motion.extras)
    texts = {"gender": motion.gender, "surface_model_type": "smplx", "body_model": motion.body_model}
    stored: dict[str, Any] = {key: _storable(value) for key, value in arrays.items()}
    stored |= {key: np.array(text) for key, text in texts.items()}
    with atomic_write(path) as file:
        np.savez_compressed(file, **stored)


def read_params(path: str | Path) -> Motion:
    """Read a `params.npz` that limner wrote.

    Raises MotionFileError, which names the cure, for a missing, damaged or foreign file.
    """
    file = Path(path).expanduser()
    arrays = with_own_numbers(_load(file))
    needed = (*POSE_PARTS, "transl", "betas", "expression", "pelvis_rest", "body_model", "gender", "mocap_frame_rate")
    missing = [key for key in needed if key not in arrays]
    if missing:
        raise MotionFileError(
            f"{file} lacks {', '.join(missing)}: expected a params.npz written by limner (AMASS and SMPL-X files of "
            f"other programs lack the camera frame). Estimate the photo again."
        )
    frames = len(np.atleast_1d(arrays["transl"]))
    _check_shapes(file, arrays, frames)
    vectors = [torch.from_numpy(arrays[name]).reshape(frames, -1, 3) for name in POSE_PARTS]
    return Motion(
        rotations=rotation_from_axis_angle(torch.cat(vectors, 1)),
        transl=torch.from_numpy(arrays["transl"]),
        betas=torch.from_numpy(arrays["betas"]),
        expression=torch.from_numpy(arrays["expression"]),
        pelvis_rest=torch.from_numpy(arrays["pelvis_rest"]),
        body_model=str(arrays["body_model"]),
        gender=str(arrays["gender"]),
        fps=float(arrays["mocap_frame_rate"]),
        extras={name: torch.from_numpy(arrays[name]) for name in EXTRAS if name in arrays},
    )


def smplx_numbers(
    body_model: str, betas: Float[Tensor, "*P S"], expression: Float[Tensor, "*T E"]
) -> dict[str, Tensor]:
    """Shape and expression under the names that say whose they are: `betas`, `expression` are always SMPL-X's (zeros
    for limner's body), limner's own are `limner_betas`, `limner_expression`."""
    numbers = {"betas": betas, "expression": expression}
    if body_model != OWN_BODY:
        return numbers
    neutral = {name: values.new_zeros(*values.shape[:-1], NEUTRAL) for name, values in numbers.items()}
    return neutral | {f"limner_{name}": values for name, values in numbers.items()}


def with_own_numbers(arrays: dict[str, Any]) -> dict[str, Any]:
    """The arrays of a file with `betas` and `expression` of the body that it names, whichever limner wrote it."""
    own = {name: arrays[f"limner_{name}"] for name in ("betas", "expression") if f"limner_{name}" in arrays}
    return arrays | own if str(arrays.get("body_model", "")) == OWN_BODY else arrays


def write_bvh(
    path: str | Path,
    joints_rest: Float[Tensor, "J 3"],
    parents: Sequence[int],
    names: Sequence[str],
    rotations: Float[Tensor, "T J 3 3"],
    transl: Float[Tensor, "T 3"],
    fps: float,
) -> None:
    """Write a skeleton and its motion as BVH: y up, centimetres (as motion-capture programs expect), at rest in T-pose.

    joints_rest: shaped T-pose, body frame, metres; rotations local, the root's into camera axes; transl camera frame,
    metres. Channels are position (root only) and rotation about Z, X, Y in degrees. In Blender, import with scale 0.01.

    Raises OutputError.
    """
    check_finite(path, joints=joints_rest, rotations=rotations, transl=transl)
    (root,) = (j for j, parent in enumerate(parents) if parent < 0)
    rest_cm = joints_rest.double().cpu().numpy() * 100
    lines: list[str] = ["HIERARCHY"]
    order = _bvh_joint(root, rest_cm, parents, names, lines, depth=0)

    local = rotations.double().cpu().clone()
    local[:, root] = turn_rotations(Y_UP_FROM_CAMERA, local[:, root])
    angles = np.unwrap(np.degrees(_zxy_angles(local[:, order].numpy())), period=360, axis=0)
    place_cm = turn_points(Y_UP_FROM_CAMERA, (transl + joints_rest[root]).double().cpu()).numpy() * 100
    lines += ["MOTION", f"Frames: {len(local)}", f"Frame Time: {1 / fps:.8f}"]
    rows = np.concatenate([place_cm, angles.reshape(len(local), -1)], axis=1)
    lines += [" ".join(f"{value:.5f}" for value in row) for row in rows]
    with atomic_write(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def _storable(value: Tensor | np.ndarray | float | int) -> np.ndarray:
    array = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _camera_arrays(motion: Motion) -> dict[str, Tensor]:
    vectors = rotation_to_axis_angle(motion.rotations.double())
    parts = {name: vectors[:, part].flatten(1) for name, part in POSE_PARTS.items()}
    numbers = smplx_numbers(motion.body_model, motion.betas, motion.expression)
    return parts | numbers | {"transl": motion.transl, "pelvis_rest": motion.pelvis_rest}


def _world_arrays(motion: Motion) -> dict[str, Tensor | float | int]:
    """AMASS's half: the same motion with the root turned to z-up about the rest pelvis."""
    rotations = motion.rotations.double().clone()
    rotations[:, 0] = turn_rotations(Z_UP_FROM_CAMERA, rotations[:, 0])
    poses = rotation_to_axis_angle(rotations).flatten(1)
    pelvis = motion.pelvis_rest.double()
    numbers = smplx_numbers(motion.body_model, motion.betas, motion.expression)
    return {
        "poses": poses,
        "trans": turn_points(Z_UP_FROM_CAMERA, motion.transl + pelvis) - pelvis,
        "root_orient": poses[:, :3],
        "pose_body": poses[:, 3:66],
        "pose_jaw": poses[:, 66:69],
        "pose_eye": poses[:, 69:75],
        "pose_hand": poses[:, 75:],
        "expressions": numbers["expression"],
        "num_betas": len(numbers["betas"]),
        "mocap_frame_rate": motion.fps,
        "mocap_framerate": motion.fps,
        "mocap_time_length": len(motion) / motion.fps,
    }


def _shape_of(extra: str, frames: int) -> tuple[int, ...]:
    return tuple(frames if size == "T" else int(size) for size in EXTRAS[extra])


def _check_extras(path: str | Path, motion: Motion) -> None:
    for name, value in motion.extras.items():
        if name not in EXTRAS:
            raise OutputError(f"cannot write {path}: no extra array {name!r} is known. Use one of {', '.join(EXTRAS)}.")
        if tuple(value.shape) != _shape_of(name, len(motion)):
            raise OutputError(
                f"cannot write {path}: extra {name} has shape {tuple(value.shape)}, expected "
                f"{_shape_of(name, len(motion))}. Give one row a frame."
            )


def _load(file: Path) -> dict[str, np.ndarray]:
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise MotionFileError(f"{file} {what}, expected a params.npz. Check the path.")
    with told_as(MotionFileError, file, "Expected a params.npz written by limner. Copy it again."):
        arrays = read_npz(file, most_bytes=MOST_BYTES)
        return {key: array.astype(np.float32) if array.dtype.kind in "fiu" else array for key, array in arrays.items()}


def _check_shapes(file: Path, arrays: dict[str, np.ndarray], frames: int) -> None:
    expected: dict[str, tuple[int, ...]] = {
        name: (frames, 3 * (part.stop - part.start)) for name, part in POSE_PARTS.items()
    }
    expected |= {"transl": (frames, 3), "pelvis_rest": (3,), "betas": (arrays["betas"].size,)}
    expected["expression"] = (frames, arrays["expression"].shape[-1] if arrays["expression"].ndim else 0)
    expected |= {name: _shape_of(name, frames) for name in EXTRAS if name in arrays}
    for name in (*expected, "mocap_frame_rate"):
        if arrays[name].dtype.kind != "f" or not np.isfinite(arrays[name]).all():
            raise MotionFileError(f"{file}: {name} holds other things than finite numbers. Write it again.")
    if frames < 1 or arrays["mocap_frame_rate"].shape != () or arrays["mocap_frame_rate"] <= 0:
        raise MotionFileError(f"{file}: it has {frames} frames, or no frames a second. Write it again.")
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise MotionFileError(f"{file}: {name} has shape {arrays[name].shape}, expected {shape}. Write it again.")


def _bvh_joint(
    joint: int, rest_cm: np.ndarray, parents: Sequence[int], names: Sequence[str], lines: list[str], depth: int
) -> list[int]:
    """Append the lines of one joint and all below it; the joints in the order of their channels."""
    indent = "\t" * depth
    parent = parents[joint]
    # the root's channels say where it is: an offset would be added by some readers and ignored by others
    offset = rest_cm[joint] - rest_cm[parent] if parent >= 0 else np.zeros(3)
    place = "Xposition Yposition Zposition " if parent < 0 else ""
    lines += [
        f"{indent}{'JOINT' if parent >= 0 else 'ROOT'} {names[joint]}",
        f"{indent}{{",
        _bvh_offset(offset, depth + 1),
        f"{indent}\tCHANNELS {6 if place else 3} {place}Zrotation Xrotation Yrotation",
    ]
    children = [child for child, p in enumerate(parents) if p == joint]
    order = [joint]
    for child in children:
        order += _bvh_joint(child, rest_cm, parents, names, lines, depth + 1)
    if not children:  # the last bone needs an end: as long as the one before, straight on
        lines += [f"{indent}\tEnd Site", f"{indent}\t{{", _bvh_offset(offset, depth + 2), f"{indent}\t}}"]
    lines.append(f"{indent}}}")
    return order


def _bvh_offset(offset: np.ndarray, depth: int) -> str:
    return "\t" * depth + "OFFSET " + " ".join(f"{value:.5f}" for value in offset)


def _zxy_angles(rotations: np.ndarray) -> np.ndarray:
    """Angles (..., 3) in radians with R = Rz(a) Rx(b) Ry(c); where b is a right angle, c is chosen as 0."""
    sin_x = rotations[..., 2, 1].clip(-1, 1)
    locked = np.abs(sin_x) > 1 - 1e-9
    z = np.arctan2(-rotations[..., 0, 1], rotations[..., 1, 1])
    y = np.arctan2(-rotations[..., 2, 0], rotations[..., 2, 2])
    z_locked = np.arctan2(rotations[..., 1, 0], rotations[..., 0, 0])
    return np.stack([np.where(locked, z_locked, z), np.arcsin(sin_x), np.where(locked, 0.0, y)], -1)
