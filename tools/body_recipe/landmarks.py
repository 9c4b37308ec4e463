"""Where on the face and body are the named surface points? iBUG landmarks, sliding jaw contour, extra keypoints."""

import numpy as np

from body_recipe.source import Source

# iBUG 17..67 of the person's left side and the middle, each the mean of vertices of the reduced base mesh (ids as in
# Source), picked on drawings of the mesh with its lip and eyelid masks; the right side is mirrored.
LEFT_POINTS: dict[int, tuple[int, ...]] = {
    22: (6941, 6967), 23: (6940, 6964), 24: (6937, 6963), 25: (6936, 6965), 26: (6939,),
    34: (7061,), 35: (7103,),
    42: (6834,), 43: (6822,), 44: (6768,), 45: (6792,), 46: (6809,), 47: (6815,),
    52: (7194,), 53: (11924, 7154), 54: (7169, 7234), 55: (7150, 7115), 56: (7225, 7219),
    63: (7245,), 64: (7174, 7188), 65: (7226, 7220),
}  # fmt: skip
MIDDLE_POINTS: dict[int, tuple[int, ...]] = {
    27: (132,), 28: (131, 135), 29: (201, 164), 30: (5038,), 33: (343,),
    51: (455,), 57: (492,), 62: (474, 520), 66: (493, 523),
}  # fmt: skip
RIGHT_OF = {
    17: 26, 18: 25, 19: 24, 20: 23, 21: 22, 31: 35, 32: 34, 36: 45, 37: 44, 38: 43, 39: 42, 40: 47, 41: 46,
    48: 54, 49: 53, 50: 52, 58: 56, 59: 55, 60: 64, 61: 63, 67: 65,
}  # fmt: skip

YAW_ROWS = 79  # 0..39 head turned 0..39 degrees to its own left, 40..78 by 1..39 degrees to its right


def landmarks(source: Source, template: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles "51" and barycentric coordinates "51 3" of iBUG 17..67, the right side mirrored from the left."""
    skin = np.flatnonzero((source.group[faces] == 0).all(1))
    flip = [-1, 1, 1]
    left = {k: template[list(ids)].mean(0) for k, ids in LEFT_POINTS.items()}
    middle = {k: template[list(ids)].mean(0) * [0, 1, 1] for k, ids in MIDDLE_POINTS.items()}
    points = {**left, **middle, **{r: left[k] * flip for r, k in RIGHT_OF.items()}}
    return attach(np.stack([points[k] for k in range(17, 68)]), template, faces, skin)


def attach(
    points: np.ndarray, template: np.ndarray, faces: np.ndarray, allowed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest triangle (row of `faces`, among `allowed`) and barycentric coordinates of points "N 3"."""
    import trimesh

    triangles = template[faces[allowed]]
    chosen, coordinates = [], []
    for point in points:
        near = np.argsort(np.linalg.norm(triangles.mean(1) - point, axis=1))[:80]
        foot = trimesh.triangles.closest_point(triangles[near], np.repeat(point[None], len(near), 0))
        best = np.argmin(np.linalg.norm(foot - point, axis=1))
        bary = trimesh.triangles.points_to_barycentric(triangles[near[best]][None], foot[best][None])[0]
        bary = bary.clip(0)
        chosen.append(allowed[near[best]])
        coordinates.append(bary / bary.sum())
    return np.array(chosen), np.array(coordinates)


def contour(
    source: Source, template: np.ndarray, faces: np.ndarray, face_skin: np.ndarray, eye_height: float
) -> tuple[np.ndarray, np.ndarray]:
    """iBUG 0..16 for 79 head yaws: triangles "79 17" and barycentric coordinates "79 17 3".

    `face_skin` "V" marks the skin the contour may lie on: the face without ears and without the underside of the chin.

    A point keeps its height on the head and slides, on the side that turns away, to where the cheek ends in the
    picture; on the side that turns towards the camera it stays on the jaw line. The last chin point never moves.
    """
    allowed = np.flatnonzero(face_skin[faces].all(1))
    base = _frontal_jaw_line(template, face_skin, eye_height)
    tables = {}
    for yaw in range(-39, 40):
        points = _contour_at(yaw, base, template, face_skin)
        tables[yaw] = attach(points, template, faces, allowed)
    # SMPL-X picks row d = round(-yaw) for d >= 0 and 39 - d else, yaw measured in camera axes (y down), where a head
    # turned to its own left by k degrees has yaw -k: rows 0..39 are left turns, 40..78 right turns
    yaws = [k for k in range(40)] + [39 - k for k in range(40, YAW_ROWS)]
    return np.stack([tables[y][0] for y in yaws]), np.stack([tables[y][1] for y in yaws])


def _frontal_jaw_line(template: np.ndarray, face_skin: np.ndarray, eye_height: float) -> np.ndarray:
    """17 points of equal spacing on the outline of the face seen from the front, right ear over chin to left ear."""
    from scipy.spatial import ConvexHull

    pool = np.flatnonzero(face_skin & (template[:, 1] < eye_height))
    hull = pool[ConvexHull(template[pool][:, :2]).vertices]
    hull = hull[template[hull, 1] < eye_height - 0.004]
    left = hull[template[hull, 0] >= -1e-6]
    left = left[np.argsort(template[left, 1])]  # chin upwards
    line = template[left].copy()
    line[0] = line[0] * [0, 1, 1]
    steps = np.linalg.norm(np.diff(line[:, :2], axis=0), axis=1)
    length = np.concatenate([[0], np.cumsum(steps)])
    at = np.linspace(0, length[-1], 9)
    half = np.stack([np.interp(at, length, line[:, c]) for c in range(3)], 1)
    return np.concatenate([half[:0:-1] * [-1, 1, 1], half])


def _contour_at(yaw_deg: int, base: np.ndarray, template: np.ndarray, face_skin: np.ndarray) -> np.ndarray:
    angle = np.deg2rad(yaw_deg)
    skin = template[face_skin]
    points = base.copy()
    for k in range(17):
        side = np.sign(base[k, 0])
        near = skin[(np.abs(skin[:, 1] - base[k, 1]) < 0.006) & (skin[:, 0] * side > 0) & (skin[:, 2] > base[k, 2])]
        if side == 0 or len(near) == 0:
            continue
        across = side * (np.cos(angle) * near[:, 0] + np.sin(angle) * near[:, 2])
        own = side * (np.cos(angle) * base[k, 0] + np.sin(angle) * base[k, 2])
        if across.max() > own:
            best = across > across.max() - 0.0015
            points[k] = near[best].mean(0)
            points[k, 1] = base[k, 1]
    return points


def extra_vertices(source: Source, template: np.ndarray, joints: dict[str, np.ndarray]) -> np.ndarray:
    """Ids "21" of nose, eyes, ears, toes, heels and finger tips, in ExPose's order."""
    skin = source.group == 0

    def extreme(direction: tuple[float, float, float], mask: np.ndarray) -> int:
        ids = np.flatnonzero(mask)
        return int(ids[np.argmax(template[ids] @ np.array(direction))])

    ball, ankle = joints["left_foot"], joints["left_ankle"]
    foot = skin & (template[:, 1] < ankle[1]) & (template[:, 0] > 0)
    toes = foot & (template[:, 2] > ball[2])
    inner = template[:, 0] < ball[0]
    tips = [extreme((*_along(joints, finger),), skin & _near(template, joints[f"left_{finger}3"], 0.05)) for finger in
            ("thumb", "index", "middle", "ring", "pinky")]  # fmt: skip
    left_feet = [
        extreme((0.0, 0.0, 1.0), toes & inner),
        extreme((0.8, 0.0, 0.6), toes),
        extreme((0.0, -0.2, -1.0), foot),
    ]
    eye = extreme((0.0, 0.0, 1.0), source.group == 1)
    ear = 12044
    m = source.mirror
    nose = 5038
    return np.array(
        [nose, m[eye], eye, m[ear], ear, *left_feet, *m[left_feet], *tips, *m[tips]]
    )  # fmt: skip


def _along(joints: dict[str, np.ndarray], finger: str) -> np.ndarray:
    return joints[f"left_{finger}3"] - joints[f"left_{finger}2"]


def _near(template: np.ndarray, point: np.ndarray, radius: float) -> np.ndarray:
    return np.linalg.norm(template - point, axis=1) < radius
