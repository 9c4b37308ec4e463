"""How do MakeHuman's people come into SMPL-X's T-pose? Bone by bone, undoing linear blend skinning."""

import numpy as np

from body_recipe.people import mirrored_bones
from body_recipe.source import Source

MIRROR = np.array([-1.0, 1.0, 1.0])

# Directions of the left leg's bones: from the front as in SMPL-X's rest pose (thigh a little outwards, shin upright),
# from the side as MakeHuman stands (with these, feet of captured motion slip least on the ground)
THIGH = np.array([np.tan(np.deg2rad(5.0)), -1.0, np.tan(np.deg2rad(3.0))])
SHIN = np.array([0.0, -1.0, -np.tan(np.deg2rad(5.5))])
FOREARM_TWIST_SHARE = 0.55  # of the turn that brings the palm down, how much the middle of the forearm takes


def to_tpose(
    source: Source, vertices: np.ndarray, heads: np.ndarray, tails: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """People in the T-pose, pelvis (head of spine04) at the origin.

    Args:
        vertices, heads, tails: N V 3, N 163 3, N 163 3 in MakeHuman's rest pose.

    Returns:
        vertices N V 3 and bone heads and tails N 163 3. The skinning is inverted (posing the result back with the same
        weights gives MakeHuman's shape exactly), so the arms-down half of human poses keeps its volume.
    """
    results = [_one_to_tpose(source, v, h, t) for v, h, t in zip(vertices, heads, tails, strict=True)]
    vertices, heads, tails = (np.stack(x) for x in zip(*results, strict=True))
    return vertices, heads, tails


def _one_to_tpose(source: Source, vertices: np.ndarray, heads: np.ndarray, tails: np.ndarray):
    turns = bone_turns(source, heads, tails)
    posed_heads = np.zeros_like(heads)
    posed_tails = np.zeros_like(tails)
    for bone, parent in enumerate(source.bone_parents):
        posed_heads[bone] = heads[bone]
        if parent >= 0:
            posed_heads[bone] = posed_heads[parent] + turns[parent] @ (heads[bone] - heads[parent])
        posed_tails[bone] = posed_heads[bone] + turns[bone] @ (tails[bone] - heads[bone])
    # inverse skinning: blend the transforms that lead back from the T-pose, then invert the blend
    back = turns.transpose(0, 2, 1)
    shift = heads - np.einsum("bij,bj->bi", back, posed_heads)
    blend = np.einsum("vb,bij->vij", source.weights, back)
    offset = source.weights @ shift
    posed = np.linalg.solve(blend, (vertices - offset)[..., None])[..., 0]
    origin = posed_heads[source.bone("spine04")]
    return posed - origin, posed_heads - origin, posed_tails - origin


def bone_turns(source: Source, heads: np.ndarray, tails: np.ndarray) -> np.ndarray:
    """World rotation "163 3 3" that takes each bone from MakeHuman's rest pose into the T-pose."""
    own: dict[str, np.ndarray] = {}
    own.update(_arm_turns(source, heads))
    own.update(_leg_turns(source, heads))
    own.update(_finger_turns(source, heads, tails, own["wrist.L"]))
    turns = np.zeros((len(heads), 3, 3))
    for bone, parent in enumerate(source.bone_parents):
        turns[bone] = own.get(source.bones[bone], turns[parent] if parent >= 0 else np.eye(3))
    twin = mirrored_bones(source)
    flip = np.diag(MIRROR)
    for bone, name in enumerate(source.bones):
        if name.endswith(".R"):
            turns[bone] = flip @ turns[twin[bone]] @ flip
    return turns


def _arm_turns(source: Source, heads: np.ndarray) -> dict[str, np.ndarray]:
    """Left arm along +x, the elbow's crease forward (+z), the palm down (-y)."""

    def head(name: str) -> np.ndarray:
        return heads[source.bone(name)]

    upper = head("lowerarm01.L") - head("upperarm01.L")
    lower = head("wrist.L") - head("lowerarm01.L")
    hand = head("finger3-1.L") - head("wrist.L")
    across = head("finger2-1.L") - head("finger5-1.L")  # little finger to index: forward once the palm is down
    arm = _frame(upper, lower)
    axis = arm[1]  # of the elbow; straightening keeps it
    forearm = np.stack([_unit(lower), axis, np.cross(_unit(lower), axis)])
    palm = _frame(hand, across)
    # rows are the axes x, y, z of the T-pose seen in the rest pose, so each frame is the turn itself
    twist = _twist_about_x(palm @ forearm.T)
    return {
        "upperarm01.L": arm,
        "lowerarm01.L": forearm,
        "lowerarm02.L": _about_x(FOREARM_TWIST_SHARE * twist) @ forearm,
        "wrist.L": palm,
    }


def _leg_turns(source: Source, heads: np.ndarray) -> dict[str, np.ndarray]:
    """Left leg in SMPL-X's rest directions; the sole stays as flat as it was."""
    hip, knee, ankle = (heads[source.bone(f"{name}.L")] for name in ("upperleg01", "lowerleg01", "foot"))
    thigh = turn_between(knee - hip, THIGH)
    shin = turn_between(thigh @ (ankle - knee), SHIN) @ thigh
    return {"upperleg01.L": thigh, "lowerleg01.L": shin, "foot.L": np.eye(3)}


def _finger_turns(source: Source, heads: np.ndarray, tails: np.ndarray, palm: np.ndarray) -> dict[str, np.ndarray]:
    """Left fingers straight and level with the palm, their spread kept; the thumb as it was."""
    turns = {}
    for finger in (2, 3, 4, 5):
        bones = [source.bone(f"finger{finger}-{k}.L") for k in (1, 2, 3)]
        ends = [heads[bones[1]], heads[bones[2]], tails[bones[2]]]
        turn = palm
        goal = None
        for k, bone in enumerate(bones):
            along = turn @ (ends[k] - heads[bone])
            if goal is None:
                goal = along * [1.0, 0.0, 1.0]
            turn = turn_between(along, goal) @ turn
            turns[f"finger{finger}-{k + 1}.L"] = turn
    return turns


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x)


def _frame(x: np.ndarray, towards_z: np.ndarray) -> np.ndarray:
    """Rotation whose rows are x, y, z: x along the first vector, z as close to the second as can be."""
    x = _unit(x)
    z = _unit(towards_z - (towards_z @ x) * x)
    return np.stack([x, np.cross(z, x), z])


def turn_between(start: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """The smallest rotation that takes one direction to another (not for opposite ones)."""
    a, b = _unit(start), _unit(goal)
    c = np.cross(a, b)
    k = np.array([[0, -c[2], c[1]], [c[2], 0, -c[0]], [-c[1], c[0], 0]])
    return np.eye(3) + k + k @ k / (1 + a @ b)


def _twist_about_x(rotation: np.ndarray) -> float:
    """The part of a rotation that turns about x (swing-twist), radians."""
    return float(2 * np.arctan2(rotation[2, 1] - rotation[1, 2], 1 + np.trace(rotation)))


def _about_x(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
