"""Named points that can be read off a body. ExPose's 144 keypoints and the sets of the field, mapped by name."""

from functools import cache

from limner.body.skeleton import JOINT_NAMES

EXTRA_VERTEX_NAMES = (
    "nose", "right_eye", "left_eye", "right_ear", "left_ear",
    "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
    "left_thumb", "left_index", "left_middle", "left_ring", "left_pinky",
    "right_thumb", "right_index", "right_middle", "right_ring", "right_pinky",
)  # fmt: skip
"""21 surface points after the 55 joints; a finger's plain name is its tip."""

CONTOUR_NAMES = (
    *(f"right_contour_{k}" for k in range(1, 9)),
    "contour_middle",
    *(f"left_contour_{k}" for k in range(8, 0, -1)),
)
"""iBUG 0..16: the jaw line, from the person's right ear to the left one."""

INNER_FACE_NAMES = (
    "right_eye_brow1", "right_eye_brow2", "right_eye_brow3", "right_eye_brow4", "right_eye_brow5",
    "left_eye_brow5", "left_eye_brow4", "left_eye_brow3", "left_eye_brow2", "left_eye_brow1",
    "nose1", "nose2", "nose3", "nose4",
    "right_nose_2", "right_nose_1", "nose_middle", "left_nose_1", "left_nose_2",
    "right_eye1", "right_eye2", "right_eye3", "right_eye4", "right_eye5", "right_eye6",
    "left_eye4", "left_eye3", "left_eye2", "left_eye1", "left_eye6", "left_eye5",
    "right_mouth_1", "right_mouth_2", "right_mouth_3", "mouth_top", "left_mouth_3", "left_mouth_2", "left_mouth_1",
    "left_mouth_5", "left_mouth_4", "mouth_bottom", "right_mouth_4", "right_mouth_5",
    "right_lip_1", "right_lip_2", "lip_top", "left_lip_2", "left_lip_1", "left_lip_3", "lip_bottom", "right_lip_3",
)  # fmt: skip
"""iBUG 17..67."""

KEYPOINT_NAMES: tuple[str, ...] = JOINT_NAMES + EXTRA_VERTEX_NAMES + INNER_FACE_NAMES + CONTOUR_NAMES
"""ExPose's 144 keypoints: 55 joints, 21 surface points, 51 face landmarks, 17 contour landmarks."""

FACE68 = CONTOUR_NAMES + INNER_FACE_NAMES
"""The 68 iBUG landmarks in iBUG order."""

COCO17 = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip

FEET6 = ("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel")


def hand21(side: str) -> tuple[str, ...]:
    """Wrist, then thumb to little finger, base to tip (COCO-WholeBody, OpenPose, FreiHAND, MediaPipe order)."""
    fingers = ("thumb", "index", "middle", "ring", "pinky")
    return (f"{side}_wrist", *(f"{side}_{f}{k}" for f in fingers for k in ("1", "2", "3", "")))


OPENPOSE25 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear", *FEET6,
)  # fmt: skip

HALPE25 = (
    *COCO17, "neck", "pelvis", "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_heel",
    "right_heel",
)  # fmt: skip
"""Halpe's 26 body points but the top of the head."""

MEDIAPIPE21 = (*COCO17, "left_big_toe", "left_heel", "right_big_toe", "right_heel")
"""Those of MediaPipe's 33 pose points that are among the 144."""

LSP12 = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
    "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip

KEYPOINT_SETS: dict[str, tuple[str, ...]] = {
    "expose144": KEYPOINT_NAMES,
    "coco17": COCO17,
    "coco_wholebody133": COCO17 + FEET6 + FACE68 + hand21("left") + hand21("right"),
    "openpose25": OPENPOSE25,
    "openpose135": OPENPOSE25 + hand21("left") + hand21("right") + FACE68,
    "halpe25": HALPE25,
    "halpe135": HALPE25 + FACE68 + hand21("left") + hand21("right"),
    "mediapipe63": MEDIAPIPE21 + hand21("left") + hand21("right"),
    "lsp14": (*LSP12, "neck", "head"),
    "face68": FACE68,
    "left_hand21": hand21("left"),
    "right_hand21": hand21("right"),
}
"""Named sets, each a tuple of names of the 144. LSP's head top is not among them: `head` stands in its place."""

HEAD_KEYPOINTS = ("head", *JOINT_NAMES[22:25], *EXTRA_VERTEX_NAMES[:5], *INNER_FACE_NAMES, *CONTOUR_NAMES)
"""ExPose's 77 head points: what the head crop is built around."""


@cache
def keypoint_indices(name: str) -> tuple[int, ...]:
    """Where a named set sits among the 144 keypoints.

    Raises KeyError for an unknown set and lists the known ones.
    """
    if name not in KEYPOINT_SETS:
        raise KeyError(f"no keypoint set {name!r}; known sets: {', '.join(KEYPOINT_SETS)}")
    return indices_of(KEYPOINT_SETS[name])


@cache
def indices_of(names: tuple[str, ...]) -> tuple[int, ...]:
    """Indices of named points among the 144."""
    where = {point: i for i, point in enumerate(KEYPOINT_NAMES)}
    return tuple(where[point] for point in names)
