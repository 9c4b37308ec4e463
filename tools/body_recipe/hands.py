"""How do fingers bend? Joint axes, a relaxed hand, and synergies, all in the flat T-pose."""

from dataclasses import dataclass

import numpy as np

from limner.body.skeleton import FINGERS, JOINT_NAMES

PALM = np.array([0.0, -1.0, 0.0])  # the palm faces down in the T-pose

# Relaxed bend of joints 1, 2, 3 in degrees; the little finger curls most
RELAXED_DEG = {
    "index": (14, 22, 12),
    "middle": (18, 27, 14),
    "ring": (20, 29, 15),
    "pinky": (20, 27, 15),
    "thumb": (4, 8, 14),
}
RELAXED_SPREAD_DEG = {"index": -5, "middle": 0, "ring": -5, "pinky": -9, "thumb": 0}


@dataclass(frozen=True)
class Hands:
    flexion_axis: np.ndarray  # 30 3, left then right, SMPL-X order; positive turns bend towards the palm
    spread_axis: np.ndarray  # 30 3; positive turns move away from the middle finger
    mean: np.ndarray  # 2 45 axis-angle
    components: np.ndarray  # 2 45 45, orthonormal rows


def build_hands(joints: np.ndarray, thumb_tip: np.ndarray) -> Hands:
    """From joints "55 3" of the template and the tip of the left thumb; the right hand is the mirror image."""
    flexion, spread = _left_axes(joints, thumb_tip)
    turn = np.array([1.0, -1.0, -1.0])  # mirrored rotation axes (of an axial vector)
    mean = _relaxed(flexion, spread)
    components = _synergies(flexion, spread)
    both = [components, (components.reshape(45, 15, 3) * turn).reshape(45, 45)]
    return Hands(
        np.concatenate([flexion, flexion * turn]),
        np.concatenate([spread, spread * turn]),
        np.stack([mean.ravel(), (mean * turn).ravel()]),
        np.stack(both),
    )


def _left_axes(joints: np.ndarray, thumb_tip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    flexion, spread = np.zeros((15, 3)), np.zeros((15, 3))
    first = JOINT_NAMES.index("left_index1")
    for number, finger in enumerate(FINGERS):
        chain = joints[first + 3 * number : first + 3 * number + 3]
        if finger == "thumb":
            flexion[12:], spread[12:] = _thumb_axes(np.vstack([chain, thumb_tip]), joints)
            continue
        for k in range(3):
            along = chain[min(k + 1, 2)] - chain[min(k, 1)]
            along = along / np.linalg.norm(along)
            row = 3 * number + k
            flexion[row] = _unit(np.cross(along, PALM))
            # +y turns +x towards -z, the little finger's side of the left hand
            side = 1.0 if finger in ("ring", "pinky") else -1.0
            spread[row] = side * _unit(np.cross(flexion[row], along)) * np.sign(np.cross(flexion[row], along)[1])
    return flexion, spread


def _thumb_axes(chain: np.ndarray, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Thumb of the left hand: it bends in the plane of its own curve, towards the base of the little finger."""
    target = joints[JOINT_NAMES.index("left_pinky1")]
    flexion, spread = np.zeros((3, 3)), np.zeros((3, 3))
    for k in range(3):
        along = _unit(chain[k + 1] - chain[k])
        towards = target - chain[k]
        flexion[k] = _unit(np.cross(along, towards))
        away = PALM if k == 0 else np.cross(flexion[k], along)
        spread[k] = _unit(np.cross(along, away)) if k == 0 else _unit(-np.cross(along, np.cross(flexion[k], along)))
    return flexion, spread


def _relaxed(flexion: np.ndarray, spread: np.ndarray) -> np.ndarray:
    mean = np.zeros((15, 3))
    for number, finger in enumerate(FINGERS):
        for k in range(3):
            row = 3 * number + k
            mean[row] = np.deg2rad(RELAXED_DEG[finger][k]) * flexion[row]
        mean[3 * number] += np.deg2rad(RELAXED_SPREAD_DEG[finger]) * spread[3 * number]
    return mean


def _synergies(flexion: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Orthonormal rows: close all fingers, thumb, spread, single fingers, then the rest of the 45 dimensions."""

    def bend(fingers: tuple[str, ...], share: tuple[float, float, float]) -> np.ndarray:
        v = np.zeros((15, 3))
        for finger in fingers:
            for k in range(3):
                row = 3 * FINGERS.index(finger) + k
                v[row] = share[k] * flexion[row]
        return v.ravel()

    def fan(share: dict[str, float]) -> np.ndarray:
        v = np.zeros((15, 3))
        for finger, amount in share.items():
            v[3 * FINGERS.index(finger)] = amount * spread[3 * FINGERS.index(finger)]
        return v.ravel()

    four = ("index", "middle", "ring", "pinky")
    seeds = [
        bend(four, (1.0, 1.1, 0.7)) + 0.3 * bend(("thumb",), (0.5, 1.0, 1.0)),
        bend(("thumb",), (0.6, 1.0, 1.0)),
        bend(four, (1.0, -0.6, -0.4)),
        fan({"index": 1.0, "ring": 0.7, "pinky": 1.2}),
        fan({"thumb": 1.0}),
        bend(("index",), (1.0, 1.0, 0.6)),
        bend(("pinky", "ring"), (1.0, 1.0, 0.6)),
        bend(("pinky",), (1.0, 1.0, 0.6)),
        bend(("index", "middle"), (1.0, 1.0, 0.6)),
    ]
    basis: list[np.ndarray] = []
    for seed in [*seeds, *np.eye(45)]:
        rest = seed - sum((b @ seed) * b for b in basis)
        if np.linalg.norm(rest) > 1e-3 * np.linalg.norm(seed):
            basis.append(_unit(rest))
    return np.stack(basis)


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x)
