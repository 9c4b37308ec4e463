"""The skeleton: an SMPL-X body's joints, and how they hang together. The only joint indices in limner."""

BODY_JOINTS = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
)  # fmt: skip
FACE_JOINTS = ("jaw", "left_eye_smplx", "right_eye_smplx")
FINGERS = ("index", "middle", "pinky", "ring", "thumb")
FINGER_JOINTS = tuple(f"{finger}{k}" for finger in FINGERS for k in (1, 2, 3))
"""15 joints of one hand, knuckle to tip, in SMPL-X order (thumb last, pinky before ring)."""
HAND_JOINTS = {side: tuple(f"{side}_{joint}" for joint in FINGER_JOINTS) for side in ("left", "right")}
JOINT_NAMES: tuple[str, ...] = BODY_JOINTS + FACE_JOINTS + HAND_JOINTS["left"] + HAND_JOINTS["right"]
"""The 55 joints of SMPL-X in file order."""

JOINT = {name: index for index, name in enumerate(JOINT_NAMES)}

PARENTS: tuple[int, ...] = (
    -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15,
    20, 25, 26, 20, 28, 29, 20, 31, 32, 20, 34, 35,
    20, 37, 38, 21, 40, 41, 21, 43, 44, 21, 46, 47, 21, 49, 50, 21, 52, 53,
)  # fmt: skip

NUM_BODY = len(BODY_JOINTS) - 1
"""21: joints of `body_pose` (all body joints but the root)."""
NUM_HAND = len(FINGER_JOINTS)


def chain_to_root(joint: str) -> list[int]:
    """Indices from the root down to `joint`, both included."""
    index, chain = JOINT[joint], []
    while index >= 0:
        chain.append(index)
        index = PARENTS[index]
    return chain[::-1]


def mirrored_name(name: str) -> str:
    """left_x <-> right_x; other names stay."""
    for side, other in (("left_", "right_"), ("right_", "left_")):
        if name.startswith(side):
            return other + name.removeprefix(side)
    return name
