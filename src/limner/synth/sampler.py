"""Poses, shapes, hands, faces and views of synthetic people."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import BODY_JOINTS, HAND_JOINTS, JOINT, NUM_HAND, mirrored_name
from limner.geometry.rotation import mirror_rotation, rotation_about_z, rotation_from_axis_angle
from limner.records import Rows
from limner.synth.chance import coin, normal, pick, uniform
from limner.synth.hands import rotations_from_angles, sample_angles
from limner.synth.poses import (
    ARMS,
    BODY_INDEX,
    LEGS,
    PoseLibrary,
    about_y,
    everyday_poses,
    goals,
    reaching_arms,
    read_pose_library,
    turned,
)


@dataclass(frozen=True)
class SampledPeople(Rows):
    """People in front of a camera, and which way is up for it: camera_from_world "B 3 3" (the world is y-up)."""

    params: BodyParams
    camera_from_world: Float[Tensor, "B 3 3"]


class PersonSampler:
    """Draws SMPL-X parameters of people as photos show them; without camera: `transl` is zero.

    Works on the body model's device; all randomness comes from the generator given to each call.
    """

    def __init__(self, body_model: BodyModel, poses_path: str | Path | None = None):
        """`poses_path`: `.npz` of captured key poses (`read_pose_library`); None draws everyday poses only."""
        self.body_model = body_model
        device = body_model.v_template.device
        self.library = None if poses_path is None else read_pose_library(poses_path, device)
        self.goals = goals(device)
        extra = body_model.assets.extra
        self.flexion_axis = _axes(extra, "finger_flexion_axis", device)
        self.spread_axis = _axes(extra, "finger_spread_axis", device)
        self.expressions = _named_expressions(extra, body_model.num_expression, device)

    def sample(self, count: int, generator: Generator) -> BodyParams:
        """B people: orientation in camera axes (a random view included), `transl` zero."""
        return self.sample_people(count, generator).params

    def sample_people(self, count: int, generator: Generator) -> SampledPeople:
        """B people and the view they are seen from; implausible ones (limbs inside the trunk) are drawn again."""
        drawn = count + count // 2 + 4
        people = self._draw(drawn, generator)
        good = ~self._tangled(people.params)
        # the first `count` plausible ones; should they not suffice, some implausible ones fill up
        order = torch.sort((~good).to(torch.int8), stable=True).indices
        return people[order[:count]]

    def _draw(self, count: int, generator: Generator) -> SampledPeople:
        params = self._shapes(count, generator)
        pose, orient = self._body(count, params, generator)
        orient = orient @ turned(normal(generator, (count, 3), 3))
        view = views(count, generator)
        params = params.replace(
            body_pose=pose,
            global_orient=view @ about_y(headings(count, generator)) @ _tilts(count, generator) @ orient,
            left_hand_pose=self._hand(count, 0, generator),
            right_hand_pose=self._hand(count, 1, generator),
        )
        return SampledPeople(self._faces(params, generator), view)

    def _shapes(self, count: int, generator: Generator) -> BodyParams:
        device = self.body_model.v_template.device
        wide = torch.where(coin(generator, (count, 1), 0.12), 1.5, 1.0)
        betas = normal(generator, (count, self.body_model.num_betas), limit=2.2) * wide
        return self.body_model.rest(count).to(device).replace(betas=betas)

    def _body(self, count: int, params: BodyParams, generator: Generator) -> tuple[Tensor, Tensor]:
        """Body poses and upright orientations (heading zero)."""
        device = params.betas.device
        pose = everyday_poses(count, generator)
        orient = torch.eye(3, device=device).expand(count, 3, 3)
        if self.library is not None:
            captured, upright = _captured(self.library, count, generator)
            use = coin(generator, (count,), 0.62)[:, None, None]
            pose, orient = torch.where(use[:, None], captured, pose), torch.where(use, upright, orient)
            use = use[:, 0, 0]
        else:
            use = torch.zeros(count, dtype=torch.bool, device=device)
        pose = _jittered(pose, generator)
        arms = reaching_arms(params.replace(body_pose=pose), self.body_model, self.goals, generator)
        replace = uniform(generator, (count,)) < torch.where(use, 0.2, 0.6)
        pose = torch.where(replace[:, None, None, None], arms, pose)
        return _turn_forearms(_turn_head(pose, generator), generator), orient

    def _hand(self, count: int, side: int, generator: Generator) -> Float[Tensor, "B 15 3 3"]:
        angles = sample_angles(count, generator)
        rows = slice(side * NUM_HAND, (side + 1) * NUM_HAND)
        pose = rotations_from_angles(angles, self.flexion_axis[rows], self.spread_axis[rows])
        return pose @ turned(normal(generator, (count, NUM_HAND, 3), 1.5))

    def _faces(self, params: BodyParams, generator: Generator) -> BodyParams:
        """Jaw, gaze and expression."""
        count = len(params)
        opening = uniform(generator, (count,), 0, 1) ** 2 * 24 * coin(generator, (count,), 0.5)
        jaw = torch.stack([opening, normal(generator, (count,), 1.5), normal(generator, (count,), 0.7)], -1)
        gaze = normal(generator, (count, 3), 1.0, limit=2) * opening.new_tensor([7.0, 13.0, 0.0])
        vergence = uniform(generator, (count, 1), 0, 4) * opening.new_tensor([0.0, 1.0, 0.0])
        return params.replace(
            jaw_pose=turned(jaw),
            leye_pose=turned(gaze - vergence),
            reye_pose=turned(gaze + vergence),
            expression=self._expression(count, generator),
        )

    def _expression(self, count: int, generator: Generator) -> Float[Tensor, "B E"]:
        """Sparse mixtures of the named face actions, mostly the same on both sides, plus a little of everything."""
        size = self.body_model.num_expression
        noise = normal(generator, (count, size), 0.15)
        if self.expressions is None:
            return noise + normal(generator, (count, size), 0.8) * coin(generator, (count, 1), 0.7)
        actions, mirror = self.expressions
        active = coin(generator, (count, len(actions)), 0.09) & coin(generator, (count, 1), 0.75)
        amount = uniform(generator, (count, len(actions))) * active
        symmetric = torch.maximum(amount, amount[:, mirror])
        amount = torch.where(coin(generator, (count, 1), 0.8), symmetric, amount)
        return noise + amount @ actions

    def _tangled(self, params: BodyParams) -> Bool[Tensor, "B"]:
        """True where a hand or forearm lies deep in trunk, head or thigh, or hands or legs in each other."""
        joints = self.body_model.joints(params)
        at = {name: joints[:, index] for name, index in JOINT.items()}
        size = (at["neck"] - at["pelvis"]).norm(dim=-1) / 0.5  # against a trunk of 0.5 m
        head = at["head"] + 0.6 * (at["head"] - at["neck"])
        capsules = [
            (at["pelvis"], at["spine3"], 0.095),
            (at["spine3"], at["neck"], 0.07),
            (head, 0.7 * head + 0.3 * at["head"], 0.085),
            (at["left_hip"], at["left_knee"], 0.055),
            (at["right_hip"], at["right_knee"], 0.055),
        ]
        deepest = torch.full_like(size, -1.0)
        for side in ("left", "right"):
            wrist, middle = at[f"{side}_wrist"], at[f"{side}_middle1"]
            forearm = at[f"{side}_elbow"] * 0.35 + wrist * 0.65
            for point in (wrist, middle, at[f"{side}_middle3"], forearm):
                for start, end, radius in capsules:
                    depth = radius * size - _distance_to_segment(point, start, end)
                    deepest = torch.maximum(deepest, depth)
        hands = (at["left_middle1"] - at["right_middle1"]).norm(dim=-1)
        legs = _distance_between_shanks(at)
        return (deepest > 0.0) | (hands < 0.045) | (legs < 0.05 * size)


def _distance_to_segment(point: Tensor, start: Tensor, end: Tensor) -> Float[Tensor, "B"]:
    along = end - start
    share = ((point - start) * along).sum(-1) / along.square().sum(-1).clamp_min(1e-9)
    return (point - start - share.clamp(0, 1)[:, None] * along).norm(dim=-1)


def _distance_between_shanks(at: dict[str, Tensor]) -> Float[Tensor, "B"]:
    """Least distance of some points of the left shank and thigh from the right ones."""

    def points(side: str) -> Tensor:
        hip, knee, ankle = (at[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
        return torch.stack([hip * (1 - s) + knee * s for s in (0.5, 0.75, 1.0)] + [knee * (1 - s) + ankle * s
                           for s in (0.25, 0.5, 0.75, 1.0)], 1)  # fmt: skip

    return torch.cdist(points("left"), points("right")).flatten(1).amin(1)


def _axes(extra: dict[str, np.ndarray], name: str, device: torch.device) -> Float[Tensor, "30 3"]:
    """Finger axes the body file stores; else those of straight fingers along +-x with palms down (SMPL-X's rest)."""
    if name in extra:
        return torch.as_tensor(extra[name], dtype=torch.float32).to(device)
    fingers = len(HAND_JOINTS["left"])
    flexion, spread = [[0.0, 0.0, -1.0]] * fingers, [[0.0, 1.0, 0.0]] * fingers
    left = torch.tensor(flexion if name == "finger_flexion_axis" else spread, device=device)
    return torch.cat([left, left * left.new_tensor([1.0, -1.0, -1.0])])


def _named_expressions(
    extra: dict[str, np.ndarray], size: int, device: torch.device
) -> tuple[Float[Tensor, "A E"], Tensor] | None:
    """Coefficients of the named face actions (for up to `size` components) and each one's mirrored action."""
    if "arkit_expression" not in extra:
        return None
    names = [str(name) for name in extra["arkit_names"]]
    swapped = [_swap_sides(name) for name in names]
    mirror = [names.index(name) if name in names else i for i, name in enumerate(swapped)]
    actions = torch.as_tensor(extra["arkit_expression"], dtype=torch.float32)[:, :size].to(device)
    return actions, torch.tensor(mirror, device=device)


def _swap_sides(name: str) -> str:
    for left, right in (("Left", "Right"), ("left", "right"), ("_L", "_R")):
        if left in name:
            return name.replace(left, right)
        if right in name:
            return name.replace(right, left)
    return name


def _captured(library: PoseLibrary, count: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Captured poses: by time or evenly, mirrored half the time, sometimes with the legs of another pose."""
    pose, upright = _captured_once(library, count, generator)
    other, other_upright = _captured_once(library, count, generator)
    mix = coin(generator, (count,), 0.2)
    mixed = other.clone()
    keep = [joint for joint in range(other.shape[1]) if joint not in LEGS]
    mixed[:, keep] = pose[:, keep]
    return (
        torch.where(mix[:, None, None, None], mixed, pose),
        torch.where(mix[:, None, None], other_upright, upright),
    )


def _captured_once(library: PoseLibrary, count: int, generator: Generator) -> tuple[Tensor, Tensor]:
    by_time = pick(generator, library.weight, count)
    evenly = torch.randint(len(library), (count,), generator=generator, device=generator.device)
    row = torch.where(coin(generator, (count,), 0.5), by_time, evenly)
    pose, upright = library.body_pose[row], library.upright[row]
    flip = coin(generator, (count,), 0.5)
    mirrored_pose, mirrored_upright = mirrored_bodies(pose, upright)
    return (
        torch.where(flip[:, None, None, None], mirrored_pose, pose),
        torch.where(flip[:, None, None], mirrored_upright, upright),
    )


def mirrored_bodies(
    pose: Float[Tensor, "B 21 3 3"], orient: Float[Tensor, "B 3 3"]
) -> tuple[Float[Tensor, "B 21 3 3"], Float[Tensor, "B 3 3"]]:
    """Body pose and orientation seen in a mirror (x -> -x)."""
    order = [BODY_JOINTS.index(mirrored_name(name)) - 1 for name in BODY_JOINTS[1:]]
    return mirror_rotation(pose[:, order]), mirror_rotation(orient)


def _jittered(pose: Tensor, generator: Generator) -> Tensor:
    """Every joint turned a little: 4 degrees in legs and trunk, 6 in the arms, more in one pose out of ten."""
    count, joints = pose.shape[:2]
    sigma = torch.full((joints, 1), 3.0, device=pose.device)
    sigma[ARMS] = 5.0
    sigma[[BODY_INDEX["left_foot"], BODY_INDEX["right_foot"]]] = 2.0
    hinge = torch.ones(joints, 3, device=pose.device)
    for side in ("left", "right"):
        hinge[BODY_INDEX[f"{side}_knee"]] = hinge.new_tensor([1.0, 0.2, 0.1])
        hinge[BODY_INDEX[f"{side}_elbow"]] = hinge.new_tensor([0.3, 1.0, 0.2])
        hinge[BODY_INDEX[f"{side}_wrist"]] = 0.0  # bent in `_turn_forearms`
    strength = torch.where(coin(generator, (count, 1, 1), 0.1), 2.0, 1.0)
    return pose @ turned(normal(generator, (count, joints, 3), limit=2.5) * sigma * hinge * strength)


def _turn_head(pose: Tensor, generator: Generator) -> Tensor:
    """The head looks around: turned, nodding, tilted, shared by neck and head."""
    count = len(pose)
    scale = torch.where(coin(generator, (count, 1), 0.7), 1.0, 0.2)
    look = normal(generator, (count, 3), limit=2) * scale * pose.new_tensor([11.0, 20.0, 8.0])
    pose = pose.clone()
    for name in ("neck", "head"):
        index = BODY_INDEX[name]
        pose[:, index] = pose[:, index] @ turned(look * 0.5)
    return pose


def _turn_forearms(pose: Tensor, generator: Generator) -> Tensor:
    """Forearm twist (shared by elbow and wrist) and wrist bend, within a wrist's limits."""
    count = len(pose)
    pose = pose.clone()
    for side, sign in (("left", 1.0), ("right", -1.0)):
        broad = coin(generator, (count,), 0.35)
        twist = torch.where(broad, uniform(generator, (count,), -75, 75), normal(generator, (count,), 22, limit=2))
        bend = normal(generator, (count,), 20, limit=2.2)  # about z: up and down with the palm down
        yaw = normal(generator, (count,), 9, limit=2)  # about y: towards thumb or little finger
        zero = torch.zeros_like(twist)
        elbow, wrist = BODY_INDEX[f"{side}_elbow"], BODY_INDEX[f"{side}_wrist"]
        pose[:, elbow] = pose[:, elbow] @ turned(torch.stack([twist * 0.5, zero, zero], -1))
        rest = torch.stack([twist * 0.5, zero, zero], -1)
        pose[:, wrist] = turned(rest) @ pose[:, wrist] @ turned(torch.stack([zero, sign * yaw, sign * bend], -1))
    return pose


def headings(count: int, generator: Generator) -> Float[Tensor, "B"]:
    """Which way people face, radians; 0 is towards the camera: half of them roughly, half of them anywhere."""
    frontal = normal(generator, (count,), 0.6)
    return torch.where(coin(generator, (count,), 0.55), frontal, uniform(generator, (count,), -torch.pi, torch.pi))


def _tilts(count: int, generator: Generator) -> Float[Tensor, "B 3 3"]:
    """Rarely people lie, dive or stand on their hands: any orientation at all."""
    axis = torch.nn.functional.normalize(normal(generator, (count, 3)), dim=-1)
    angle = uniform(generator, (count, 1), 0, torch.pi) * coin(generator, (count, 1), 0.05)
    return rotation_from_axis_angle(axis * angle)


def views(count: int, generator: Generator) -> Float[Tensor, "B 3 3"]:
    """Camera axes from the y-up world: mostly level, sometimes from above or below, slightly rolled."""
    level = normal(generator, (count,), 6)
    anywhere = uniform(generator, (count,), -20, 40)
    pitch = torch.deg2rad(torch.where(coin(generator, (count,), 0.55), level, anywhere))
    roll = torch.deg2rad(normal(generator, (count,), 4))
    zero = torch.zeros_like(pitch)
    flip = torch.diag(pitch.new_tensor([1.0, -1.0, -1.0]))
    # a camera above looks down: in its axes the world is turned about x towards it
    return rotation_about_z(roll) @ rotation_from_axis_angle(torch.stack([pitch, zero, zero], -1)) @ flip
