"""Where on the face and body are the named surface points? iBUG landmarks, sliding jaw contour, extra keypoints."""

import numpy as np

from body_recipe.eyes import LEFT_EYE
from body_recipe.source import Source
from limner.body.skeleton import JOINT_NAMES

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

# The drawn brow vertices are those of a short, low brow. Millimetres outwards and upwards to where people see brows,
# as the face-mesh network reports them on renders of this body (median over 1529 faces, 14 % of the eyes' distance).
BROW_SHIFT_MM = {22: (-1.3, 4.9), 23: (4.9, 5.0), 24: (9.4, 5.4), 25: (11.1, 3.5), 26: (12.7, 1.5)}

NOSE_TIP, LEFT_EAR = 5038, 12044

YAW_ROWS = 79  # 0..39 head turned 0..39 degrees to its own left, 40..78 by 1..39 degrees to its right


def landmarks(source: Source, template: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles "51" and barycentric coordinates "51 3" of iBUG 17..67, the right side mirrored from the left."""
    skin = np.flatnonzero((source.group[faces] == 0).all(1))
    flip = [-1, 1, 1]
    left = {k: template[list(ids)].mean(0) for k, ids in LEFT_POINTS.items()}
    for k, shift in BROW_SHIFT_MM.items():
        left[k] = _on_front(left[k][:2] + np.array(shift) / 1000, template[source.group == 0], left[k][2])
    middle = {k: template[list(ids)].mean(0) * [0, 1, 1] for k, ids in MIDDLE_POINTS.items()}
    points = {**left, **middle, **{r: left[k] * flip for r, k in RIGHT_OF.items()}}
    return attach(np.stack([points[k] for k in range(17, 68)]), template, faces, skin)


def _on_front(place: np.ndarray, skin: np.ndarray, near_z: float, reach: float = 0.008) -> np.ndarray:
    """The point of the skin "N 3" seen from the front at `place` (x, y), not farther than 3 cm behind near_z."""
    front = skin[skin[:, 2] > near_z - 0.03]
    distance = np.linalg.norm(front[:, :2] - place, axis=1)
    weight = (1 - distance / reach).clip(0)
    return np.array([*place, (weight * front[:, 2]).sum() / weight.sum()])


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
    template: np.ndarray, faces: np.ndarray, mirror: np.ndarray, face_skin: np.ndarray, eye_height: float
) -> tuple[np.ndarray, np.ndarray]:
    """iBUG 0..16 for 79 head yaws: triangles "79 17" and barycentric coordinates "79 17 3".

    `face_skin` "V" marks the skin the contour may lie on: the face without ears and without the underside of the chin.
    A point keeps its height on the head and slides, on the side that turns away, to where the cheek ends in the
    picture; on the side that turns towards the camera it stays on the jaw line. The middle chin point never moves.
    """
    allowed = np.flatnonzero(face_skin[faces].all(1))
    cloud, face_of, bary_of = _sample_triangles(template, faces, allowed)
    base = _frontal_jaw_line(template, face_skin, eye_height, cloud)
    # SMPL-X picks row d = round(-yaw) for d >= 0 and 39 - d else, yaw measured in camera axes (y down), where a head
    # turned to its own left by k degrees has yaw -k: rows 0..39 are left turns, 40..78 right turns
    yaws = [k for k in range(40)] + [39 - k for k in range(40, YAW_ROWS)]
    left = {yaw: _contour_at(yaw, base, cloud) for yaw in range(-39, 40)}  # iBUG 8..16
    other_face, corner = mirrored_faces(faces, mirror)
    rows_of_faces, rows_of_bary = [], []
    for yaw in yaws:
        here, there = left[yaw], left[-yaw][:0:-1]  # the right side is the left one of the head turned the other way
        flipped = np.take_along_axis(bary_of[there], corner[face_of[there]], 1)
        rows_of_faces.append(np.concatenate([other_face[face_of[there]], face_of[here]]))
        rows_of_bary.append(np.concatenate([flipped, bary_of[here]]))
    return np.stack(rows_of_faces), np.stack(rows_of_bary)


def mirrored_faces(faces: np.ndarray, mirror: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row of each triangle's mirror image "F", and which of its own corners lies at each corner of that image "F 3"."""
    row = {tuple(sorted(face)): index for index, face in enumerate(faces.tolist())}
    other = np.array([row[tuple(sorted(face))] for face in mirror[faces].tolist()])
    corner = (faces[other][:, :, None] == mirror[faces][:, None, :]).argmax(2)
    return other, corner


def _sample_triangles(
    template: np.ndarray, faces: np.ndarray, allowed: np.ndarray, steps: int = 6
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evenly spread points on triangles: places "N 3", triangle rows "N", barycentric coordinates "N 3"."""
    grid = [(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]
    bary = np.array(grid) / steps
    places = np.einsum("fkc,gk->fgc", template[faces[allowed]], bary).reshape(-1, 3)
    return places, np.repeat(allowed, len(bary)), np.tile(bary, (len(allowed), 1))


def _frontal_jaw_line(template: np.ndarray, face_skin: np.ndarray, eye_height: float, cloud: np.ndarray) -> np.ndarray:
    """9 rows of `cloud`, equally spaced on the outline of the face seen from the front, chin to left ear."""
    from scipy.spatial import ConvexHull

    pool = np.flatnonzero(face_skin & (template[:, 1] < eye_height))
    hull = pool[ConvexHull(template[pool][:, :2]).vertices]
    hull = hull[template[hull, 1] < eye_height - 0.004]
    left = template[hull[template[hull, 0] >= -1e-6]][:, :2]
    line = left[np.argsort(left[:, 1])]  # chin upwards
    line[0, 0] = 0.0
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    length = np.concatenate([[0], np.cumsum(steps)])
    at = np.linspace(0, length[-1], 9)
    outline = np.stack([np.interp(at, length, line[:, c]) for c in range(2)], 1)
    # the outline's own depth is free; of the skin that appears at it, the nearest
    return np.array([np.argmin(np.linalg.norm(cloud[:, :2] - point, axis=1)) for point in outline])


def _contour_at(yaw_deg: int, base: np.ndarray, cloud: np.ndarray) -> np.ndarray:
    """9 rows of `cloud`, iBUG 8..16, for a head turned to its left by `yaw_deg` (negative: to its right)."""
    angle = np.deg2rad(yaw_deg)
    across = np.cos(angle) * cloud[:, 0] + np.sin(angle) * cloud[:, 2]  # picture x of the turned head
    rows = base.copy()
    for k, row in enumerate(base[1:], start=1):
        start = cloud[row]
        level = np.abs(cloud[:, 1] - start[1]) < 0.0015
        path = np.flatnonzero(level & (cloud[:, 0] > 0) & (cloud[:, 2] >= start[2]))
        best = path[np.argmax(across[path])]
        if across[best] > across[row] + 0.0005:
            rows[k] = best
    return rows


def extra_vertices(source: Source, template: np.ndarray, weights: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Ids "21" of nose, eyes, ears, toes, heels and finger tips, in ExPose's order."""
    named = dict(zip(JOINT_NAMES, joints, strict=True))
    skin = source.group == 0

    def extreme(direction: tuple[float, float, float] | np.ndarray, mask: np.ndarray) -> int:
        ids = np.flatnonzero(mask)
        return int(ids[np.argmax(template[ids] @ np.array(direction))])

    def tip(finger: str) -> int:
        own = weights[:, JOINT_NAMES.index(f"left_{finger}3")] > 0.5  # no skin of the neighbour
        return extreme(named[f"left_{finger}3"] - named[f"left_{finger}2"], skin & own)

    ball = named["left_foot"]
    foot = skin & (template[:, 1] < named["left_ankle"][1]) & (template[:, 0] > 0)
    toes = foot & (template[:, 2] > ball[2])
    left_feet = [
        extreme((0.0, 0.0, 1.0), toes & (template[:, 0] < ball[0])),
        extreme((0.8, 0.0, 0.6), toes),
        extreme((0.0, -0.2, -1.0), foot),
    ]
    tips = [tip(finger) for finger in ("thumb", "index", "middle", "ring", "pinky")]
    eye = extreme((0.0, 0.0, 1.0), source.group == LEFT_EYE)
    m = source.mirror
    return np.array([NOSE_TIP, m[eye], eye, m[LEFT_EAR], LEFT_EAR, *left_feet, *m[left_feet], *tips, *m[tips]])
