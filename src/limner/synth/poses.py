"""Poses of bodies: captured ones, everyday ones, and arms that reach for something."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn.functional import normalize

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import BODY_JOINTS, JOINT, NUM_BODY
from limner.body.skinning import pose_joints
from limner.errors import DataSetError
from limner.geometry.rotation import rotation_from_axis_angle
from limner.reading.npz_file import read_npz
from limner.reading.told import RefusedError, told_as
from limner.synth.chance import coin, normal, pick, uniform

BODY_INDEX = {name: index - 1 for index, name in enumerate(BODY_JOINTS) if index > 0}
"""Row of a joint in `body_pose`."""
LEGS = [BODY_INDEX[f"{side}_{joint}"] for side in ("left", "right") for joint in ("hip", "knee", "ankle", "foot")]
ARMS = [BODY_INDEX[f"{side}_{j}"] for side in ("left", "right") for j in ("collar", "shoulder", "elbow", "wrist")]


@dataclass(frozen=True)
class PoseLibrary:
    """Captured key poses: body_pose "N 21 3 3", upright "N 3 3" (orientation, heading removed), weight "N" (time)."""

    body_pose: Float[Tensor, "N 21 3 3"]
    upright: Float[Tensor, "N 3 3"]
    weight: Float[Tensor, "N"]

    def __len__(self) -> int:
        return len(self.weight)


def read_pose_library(path: str | Path, device: torch.device) -> PoseLibrary:
    """Read an `.npz` of key poses (`body_pose`, `global_orient`, `weight`; axis-angle, y up)."""
    with told_as(DataSetError, path, "Expected an .npz of key poses (body_pose, global_orient, weight)."):
        names = ("body_pose", "global_orient", "weight")
        arrays = read_npz(Path(path), names=names)
        pose, orient, weight = (torch.as_tensor(arrays[name].astype(np.float32)).to(device) for name in names)
        turned = rotation_from_axis_angle(orient)
        if not (len(pose) == len(orient) == len(weight) > 0 and all(bool(x.isfinite().all()) for x in (pose, orient))):
            raise RefusedError("its arrays are of different lengths, or not finite")
    return PoseLibrary(rotation_from_axis_angle(pose), without_heading(turned), weight)


def without_heading(orient: Float[Tensor, "B 3 3"]) -> Float[Tensor, "B 3 3"]:
    """Orientations turned about the vertical so that the pelvis looks along +z.

    Where the pelvis looks up or down (lying people), its up axis tells the heading instead.
    """
    forward, up = orient[:, :, 2], orient[:, :, 1]
    flat = forward[:, [0, 2]].norm(dim=-1) > 0.4
    # lying on the back the pelvis' up axis points where the head is: away from where the feet look
    guide = torch.where(flat[:, None], forward, up * forward[:, 1:2].sign())
    angle = torch.atan2(guide[:, 0], guide[:, 2])
    return about_y(-angle) @ orient


def about_y(angle_rad: Float[Tensor, "B"]) -> Float[Tensor, "B 3 3"]:
    """Rotations about the vertical of the y-up frame."""
    return rotation_from_axis_angle(angle_rad[:, None] * angle_rad.new_tensor([0.0, 1.0, 0.0]))


def turned(vectors_deg: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Axis times angle in degrees to rotation matrices."""
    return rotation_from_axis_angle(torch.deg2rad(vectors_deg))


def everyday_poses(count: int, generator: Generator) -> Float[Tensor, "B 21 3 3"]:
    """Standing and sitting people with hanging arms: what photos show most and motion capture shows least."""
    degrees = torch.zeros(count, NUM_BODY, 3, device=generator.device)
    _stand(degrees, generator)
    sitting = coin(generator, (count,), 0.28)
    seated = degrees.clone()
    _sit(seated, generator)
    degrees = torch.where(sitting[:, None, None], seated, degrees)
    _hang_arms(degrees, generator)
    return turned(degrees)


def _stand(degrees: Tensor, generator: Generator) -> None:
    """Legs side by side, in step, or one relaxed; trunk nearly straight. Writes into `degrees` (B 21 3)."""
    count = len(degrees)
    stride = normal(generator, (count,), 9) * coin(generator, (count,), 0.6)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        hip, knee, ankle = (BODY_INDEX[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
        bend = uniform(generator, (count,), 0, 8) + coin(generator, (count,), 0.2) * uniform(generator, (count,), 0, 30)
        degrees[:, hip, 0] = stride * sign - bend * 0.6 + normal(generator, (count,), 3)
        degrees[:, hip, 1] = sign * uniform(generator, (count,), -6, 18)
        degrees[:, hip, 2] = sign * (uniform(generator, (count,), -4, 9) + normal(generator, (count,), 2))
        degrees[:, knee, 0] = bend
        degrees[:, ankle, 0] = -bend * 0.4 + normal(generator, (count,), 3)
    lean = normal(generator, (count, 3), 5)
    for name in ("spine1", "spine2", "spine3"):
        degrees[:, BODY_INDEX[name]] = lean * 0.7 + normal(generator, (count, 3), 2)


def _sit(degrees: Tensor, generator: Generator) -> None:
    """Thighs forward, shanks down, slightly apart, or crossed a little."""
    count = len(degrees)
    slouch = uniform(generator, (count,), -4, 14)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        hip, knee, ankle = (BODY_INDEX[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
        lift = uniform(generator, (count,), 72, 104)
        degrees[:, hip, 0] = -lift
        degrees[:, hip, 1] = sign * uniform(generator, (count,), -4, 26)
        degrees[:, hip, 2] = sign * uniform(generator, (count,), -6, 4)
        degrees[:, knee, 0] = lift + uniform(generator, (count,), -22, 18)
        degrees[:, ankle, 0] = normal(generator, (count,), 8)
    for name in ("spine1", "spine2", "spine3"):
        degrees[:, BODY_INDEX[name], 0] = slouch


def _hang_arms(degrees: Tensor, generator: Generator) -> None:
    """Arms beside the body: nearly straight, swung a little, palms inward or backward."""
    count = len(degrees)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        collar, shoulder, elbow = (BODY_INDEX[f"{side}_{name}"] for name in ("collar", "shoulder", "elbow"))
        degrees[:, collar, 2] = sign * uniform(generator, (count,), -8, 0)
        degrees[:, shoulder, 2] = -sign * uniform(generator, (count,), 58, 76)
        degrees[:, shoulder, 1] = -sign * normal(generator, (count,), 10)
        degrees[:, shoulder, 0] = uniform(generator, (count,), -18, 12)
        degrees[:, elbow, 1] = -sign * uniform(generator, (count,), 3, 32)


@dataclass(frozen=True)
class Goals:
    """Where wrists go. Offsets and poles for the left arm, in the anchor joint's frame; metres of a 0.52 m arm."""

    names: tuple[str, ...]
    weight: Float[Tensor, "G"]
    anchor: Int[Tensor, "G 2"]
    offset: Float[Tensor, "G 3"]
    spread: Float[Tensor, "G 3"]
    pole: Float[Tensor, "G 3"]
    wrist_deg: Float[Tensor, "G 3"]
    together: Float[Tensor, "G"]


# name: weight, anchor joint, offset, its standard deviation, elbow direction, wrist (twist, yaw, bend; degrees),
# chance that the other arm does the same
_Triple = tuple[float, float, float]
_GOALS: dict[str, tuple[float, str, _Triple, _Triple, _Triple, _Triple, float]] = {
    "hip": (2.0, "pelvis", (0.19, 0.08, 0.02), (0.02, 0.04, 0.03), (1.0, 0.0, -0.5), (10, -15, 35), 0.6),
    "belly": (1.5, "spine1", (0.06, 0.05, 0.19), (0.05, 0.07, 0.03), (0.8, -0.6, -0.3), (-10, 0, 5), 0.5),
    "crossed": (1.2, "spine3", (-0.06, -0.12, 0.20), (0.04, 0.04, 0.03), (0.7, -0.7, 0.1), (0, 0, 0), 0.9),
    "chest": (0.8, "spine3", (0.08, -0.06, 0.18), (0.05, 0.05, 0.03), (0.8, -0.6, -0.1), (0, 0, 5), 0.2),
    "chin": (0.7, "head", (0.06, -0.14, 0.13), (0.04, 0.03, 0.03), (0.4, -1.0, 0.1), (40, 0, -15), 0.15),
    "cheek": (0.6, "head", (0.13, -0.08, 0.07), (0.03, 0.04, 0.03), (0.5, -1.0, 0.1), (30, 0, -10), 0.15),
    "phone": (0.8, "head", (0.15, -0.02, 0.05), (0.02, 0.03, 0.03), (0.6, -0.8, 0.3), (20, 0, 0), 0.02),
    "hair": (0.6, "head", (0.17, 0.12, -0.02), (0.03, 0.05, 0.04), (1.0, 0.3, 0.1), (0, 0, -10), 0.4),
    "pocket": (1.2, "left_hip", (0.13, 0.0, 0.05), (0.02, 0.04, 0.03), (0.6, -0.1, -0.9), (0, 0, 5), 0.5),
    "behind": (0.8, "pelvis", (0.07, 0.06, -0.17), (0.05, 0.04, 0.02), (0.9, 0.0, -0.4), (-20, 0, 0), 0.6),
    "lap": (0.8, "left_knee", (-0.03, 0.15, 0.05), (0.04, 0.08, 0.03), (0.9, -0.5, -0.2), (0, 0, 0), 0.7),
    "gesture": (4.0, "spine3", (0.20, -0.05, 0.34), (0.12, 0.13, 0.08), (0.7, -0.8, -0.3), (0, 0, -5), 0.5),
    "wave": (2.5, "spine3", (0.32, 0.22, 0.14), (0.10, 0.12, 0.10), (0.6, -0.8, -0.1), (0, 0, -10), 0.2),
    "overhead": (1.0, "spine3", (0.20, 0.60, 0.05), (0.12, 0.10, 0.12), (1.0, 0.0, 0.0), (0, 0, 0), 0.5),
    "aside": (1.2, "spine3", (0.62, 0.08, 0.05), (0.10, 0.14, 0.14), (0.3, -0.8, -0.6), (0, 0, 0), 0.5),
    "camera": (1.5, "spine3", (0.14, 0.16, 0.50), (0.10, 0.10, 0.06), (0.7, -0.7, 0.0), (0, 0, -10), 0.3),
    "prayer": (0.6, "spine3", (0.05, -0.06, 0.27), (0.01, 0.06, 0.04), (0.9, -0.4, 0.0), (60, 0, -30), 0.95),
    "anywhere": (4.0, "spine3", (0.22, 0.05, 0.22), (0.22, 0.28, 0.20), (0.7, -0.7, -0.2), (0, 0, 0), 0.3),
}


def goals(device: torch.device) -> Goals:
    """The table of what arms reach for."""
    rows = list(_GOALS.values())
    anchors = [[JOINT[row[1]], JOINT[row[1].replace("left_", "right_")]] for row in rows]

    def column(k: int) -> Tensor:
        return torch.tensor([row[k] for row in rows], dtype=torch.float32, device=device)

    anchor = torch.tensor(anchors, device=device)
    return Goals(tuple(_GOALS), column(0), anchor, column(2), column(3), column(4), column(5), column(6))


def reaching_arms(
    params: BodyParams, body_model: BodyModel, table: Goals, generator: Generator
) -> Float[Tensor, "B 21 3 3"]:
    """Body poses of `params` with both arms replaced by arms that reach for a random goal each."""
    count = len(params)
    first = pick(generator, table.weight, count)
    same = coin(generator, (count,), 1.0) & (uniform(generator, (count,)) < table.together[first])
    second = torch.where(same, first, pick(generator, table.weight, count))
    swap = coin(generator, (count,), 0.5)
    choice = {"left": torch.where(swap, second, first), "right": torch.where(swap, first, second)}
    pose = params.body_pose.clone()
    pose[:, ARMS] = torch.eye(3, device=pose.device)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        # a raised arm takes the shoulder girdle along
        height = table.offset[choice[side], 1] * (table.anchor[choice[side], 0] == JOINT["spine3"])
        lift = height.clamp(-0.1, 0.6) * 45 + normal(generator, (count,), 3)
        degrees = lift[:, None] * lift.new_tensor([0.0, 0.0, sign])
        pose[:, BODY_INDEX[f"{side}_collar"]] = turned(degrees)
    rest = body_model.rest_joints(params)
    absolute, posed = pose_joints(params.replace(body_pose=pose).full_pose(), rest)
    for side in ("left", "right"):
        _reach_one(pose, side, choice[side], table, rest, absolute, posed, generator)
    return pose


def _reach_one(
    pose: Tensor,
    side: str,
    choice: Tensor,
    table: Goals,
    rest: Tensor,
    absolute: Tensor,
    posed: Tensor,
    generator: Generator,
) -> None:
    """Bend one arm; writes shoulder, elbow and wrist into `pose` (B 21 3 3)."""
    count, sign = len(choice), 1.0 if side == "left" else -1.0
    people = torch.arange(count, device=choice.device)
    flip = rest.new_tensor([sign, 1.0, 1.0])
    shoulder, elbow, wrist = (JOINT[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist"))
    upper = (rest[:, elbow] - rest[:, shoulder]).norm(dim=-1)
    lower = (rest[:, wrist] - rest[:, elbow]).norm(dim=-1)
    size = (upper + lower) / 0.52
    anchor = table.anchor[choice, 0 if side == "left" else 1]
    frame = absolute[people, anchor]
    offset = (table.offset[choice] + normal(generator, (count, 3), limit=2) * table.spread[choice]) * flip
    target = posed[people, anchor] + (frame @ (offset * size[:, None])[..., None])[..., 0]
    pole = (table.pole[choice] + normal(generator, (count, 3), 0.15)) * flip
    pole = (absolute[:, JOINT["spine3"]] @ pole[..., None])[..., 0]
    turn, bend = reach(posed[:, shoulder], target, pole, upper, lower, sign)
    pose[:, BODY_INDEX[f"{side}_shoulder"]] = absolute[:, JOINT[f"{side}_collar"]].mT @ turn
    pose[:, BODY_INDEX[f"{side}_elbow"]] = bend
    mean = table.wrist_deg[choice] * table.wrist_deg.new_tensor([1.0, sign, sign])
    pose[:, BODY_INDEX[f"{side}_wrist"]] = turned(mean)


def reach(
    shoulder: Float[Tensor, "B 3"],
    target: Float[Tensor, "B 3"],
    pole: Float[Tensor, "B 3"],
    upper_length: Float[Tensor, "B"],
    lower_length: Float[Tensor, "B"],
    side: float,
) -> tuple[Float[Tensor, "B 3 3"], Float[Tensor, "B 3 3"]]:
    """Absolute shoulder rotation and local elbow rotation that bring the wrist to `target` (body frame, metres).

    `pole` is where the elbow should point; `side` is +1 for the left arm (rest along +x), -1 for the right. The elbow
    is a hinge about y. Targets out of reach are approached as near as the arm allows.
    """
    longest = upper_length + lower_length
    away = target - shoulder
    distance = torch.minimum(away.norm(dim=-1).clamp_min(1e-3), 0.995 * longest)
    # a forearm folded closer than this would lie inside the upper arm
    distance = torch.maximum(distance, 0.42 * longest)
    along = normalize(away, dim=-1)
    out = normalize(pole - (pole * along).sum(-1, keepdim=True) * along, dim=-1)
    cosine = (upper_length**2 + distance**2 - lower_length**2) / (2 * upper_length * distance)
    cosine = cosine.clamp(-1, 1)[:, None]
    upper = along * cosine + out * (1 - cosine**2).sqrt()
    lower = normalize(along * distance[:, None] - upper * upper_length[:, None], dim=-1)
    x = upper * side
    z = normalize(-out + (out * upper).sum(-1, keepdim=True) * upper, dim=-1)  # bends away from the pole
    shoulder_rotation = torch.stack([x, torch.linalg.cross(z, x), z], -1)
    angle = torch.acos((upper * lower).sum(-1).clamp(-1, 1))
    elbow_axis = angle.new_tensor([0.0, -side, 0.0])
    return shoulder_rotation, rotation_from_axis_angle(angle[:, None] * elbow_axis)
