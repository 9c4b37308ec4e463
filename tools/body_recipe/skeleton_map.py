"""Which MakeHuman bone is which SMPL-X joint, and how do its skinning weights become SMPL-X's?"""

import numpy as np

from body_recipe.source import Source
from limner.body.skeleton import JOINT_NAMES, mirrored_name

# Heads of these bones are the joints. The spine bones are the ones whose heights fit SMPL-X's three spine joints.
CENTRE_BONES = {
    "pelvis": "spine04", "spine1": "spine03", "spine2": "spine02", "spine3": "spine01", "neck": "neck01",
    "head": "head", "jaw": "jaw",
}  # fmt: skip
SIDE_BONES = {
    "hip": "upperleg01", "knee": "lowerleg01", "ankle": "foot", "foot": "toe2-1", "collar": "clavicle",
    "shoulder": "upperarm01", "elbow": "lowerarm01", "wrist": "wrist", "eye_smplx": "eye",
    **{f"{name}{k}": f"finger{number}-{k}" for name, number in
       (("thumb", 1), ("index", 2), ("middle", 3), ("ring", 4), ("pinky", 5)) for k in (1, 2, 3)},
}  # fmt: skip

FOREARM_ROUNDS = 4
KNUCKLE_BACK = {"index": 0.12, "middle": 0.095, "ring": 0.11, "pinky": 0.10}
"""MakeHuman's fingers bend where they leave the palm's web; knuckles lie this share of the way back to the wrist.

With it the first finger bones are 39, 45, 41 and 32 mm long: 39.8, 44.6, 41.4 and 32.7 on X-ray pictures (Buryanov and
Kotiuk, "Proportions of hand segments", Int. J. Morphology 28(3), 2010).
"""


def joint_bones(source: Source) -> list[int]:
    """The MakeHuman bone whose head is each of the 55 joints."""
    bones = []
    for name in JOINT_NAMES:
        side, _, part = name.partition("_")
        if name in CENTRE_BONES:
            bones.append(source.bone(CENTRE_BONES[name]))
        else:
            bones.append(source.bone(f"{SIDE_BONES[part]}.{'L' if side == 'left' else 'R'}"))
    return bones


def joints_of_bones(source: Source, heads: np.ndarray) -> np.ndarray:
    """The 55 joints "N 55 3" from bone heads "N 163 3"."""
    joints = heads[:, joint_bones(source)].copy()
    for side in ("left", "right"):
        wrist = joints[:, JOINT_NAMES.index(f"{side}_wrist")]
        for finger, share in KNUCKLE_BACK.items():
            knuckle = JOINT_NAMES.index(f"{side}_{finger}1")
            joints[:, knuckle] += share * (wrist - joints[:, knuckle])
    return joints


def mirrored_joints() -> np.ndarray:
    """Index of each joint's left-right partner."""
    return np.array([JOINT_NAMES.index(mirrored_name(name)) for name in JOINT_NAMES])


def joint_of_every_bone(source: Source) -> np.ndarray:
    """Where each bone's skin goes: its own joint, or the nearest ancestor that is one."""
    own = {bone: joint for joint, bone in enumerate(joint_bones(source))}
    own[source.bone("spine04")] = 0
    targets = np.zeros(len(source.bones), np.int64)
    for bone, parent in enumerate(source.bone_parents):
        name = source.bones[bone]
        if name.startswith("toe"):  # MakeHuman moves each toe, SMPL-X all of them at once
            targets[bone] = JOINT_NAMES.index("left_foot" if name.endswith(".L") else "right_foot")
        else:
            targets[bone] = own.get(bone, targets[parent] if parent >= 0 else 0)
    return targets


def joint_weights(source: Source, faces: np.ndarray, rounds: int = 2, most: int = 4) -> np.ndarray:
    """Skinning weights "V 55": collapsed, a little smoothed, symmetric, `most` joints a vertex at most."""
    targets = joint_of_every_bone(source)
    weights = np.zeros((len(source.vertices), len(JOINT_NAMES)))
    np.add.at(weights.T, targets, source.weights.T)
    weights = _smooth(weights, faces, source, rounds)
    weights = 0.5 * (weights + weights[source.mirror][:, mirrored_joints()])
    weights[weights < 0.004] = 0
    too_small = np.sort(weights, 1)[:, -most - 1][:, None]
    weights = np.where(weights > too_small, weights, 0)  # of a left-right pair on the midline both go or stay
    return weights / weights.sum(1, keepdims=True)


def _smooth(weights: np.ndarray, faces: np.ndarray, source: Source, rounds: int) -> np.ndarray:
    """Average weights with the neighbours; eyes, teeth and tongue, and the hands and face, keep theirs."""
    import scipy.sparse as sp

    count = len(weights)
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    near = sp.coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (count, count)).tocsr()
    near = ((near + near.T) > 0).astype(float)
    near = sp.diags(1 / np.asarray(near.sum(1)).ravel()) @ near
    fine = [j for j, name in enumerate(JOINT_NAMES) if j >= 22 or name == "head"]
    share = (1 - weights[:, fine].sum(1)).clip(0, 1) ** 2 * (source.group == 0)
    for _ in range(rounds):
        weights = weights + 0.5 * share[:, None] * (near @ weights - weights)
    elbows = [JOINT_NAMES.index(n) for n in ("left_elbow", "right_elbow")]
    for _ in range(FOREARM_ROUNDS):  # twists of elbow and wrist spread over a longer stretch
        arm = weights[:, elbows].sum(1)
        mixed = share * np.sqrt(4 * arm * (1 - arm))
        weights = weights + 0.5 * mixed[:, None] * (near @ weights - weights)
    return weights
