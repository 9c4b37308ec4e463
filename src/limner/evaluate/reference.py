"""What others reach on photos of the same sources: MediaPipe Holistic 0.10.21, for orientation.

Measured with the annotated box x 1.25, one person a crop, static mode, complexity 1, not found = wrong. "dev" numbers
are of the very photos of photos_dev, the others of other photos of the same sources; they come with the project's data
and are not measured by this code.
"""

from limner.evaluate.person_errors import (
    FACE_FAILURES,
    FACE_NME,
    FLIPS,
    HAND_MPJPE,
    HAND_PA,
    HAND_PCK,
    PCK_TORSO,
    PCK_TORSO_14,
)

MEDIAPIPE: dict[tuple[str, str], str] = {
    ("fashion_studio", PCK_TORSO): "96.0 (dev)",
    ("fashion_studio", FLIPS): "0.8",
    ("lsp", PCK_TORSO_14): "82.5 (dev)",
    ("lsp", FLIPS): "1.7",
    ("coco_mini", PCK_TORSO): "53.8 (dev)",
    ("hand3d_real", HAND_PCK): "98.5",
    ("hand3d_real", HAND_MPJPE): "26.3",
    ("hand3d_real", HAND_PA): "11.4",
    ("faces_ytf", FACE_NME): "6.98",
    ("faces_ytf", FACE_FAILURES): "8.0",
}
"""By set and metric; flips are in per cent of the people found."""

MEDIAPIPE_BY_JOINT: dict[str, dict[str, float]] = {
    "fashion_studio": {
        "face": 99.0,
        "shoulder": 98.0,
        "elbow": 96.0,
        "wrist": 91.0,
        "hip": 83.0,
        "knee": 90.0,
        "ankle": 88.0,
    }
}
"""PCK@0.2 torso in per cent, 716 other photos of the source; its hips sit elsewhere than COCO's."""
