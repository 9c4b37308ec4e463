"""Body-model files, read safely. SMPL-X `.npz` and `.pkl` in, plain arrays out."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from limner.body.skeleton import JOINT_NAMES, PARENTS
from limner.errors import BodyModelError
from limner.reading.npz_file import read_npz
from limner.reading.pickle_file import NumbersOnly
from limner.reading.told import check_regular, told_as, whole_file

REQUIRED = ("v_template", "shapedirs", "J_regressor", "weights", "kintree_table", "f")
DOWNLOAD = (
    "Use limner's embedded body (leave --body-model out), or download SMPL-X from https://smpl-x.is.tue.mpg.de and "
    "give the path of SMPLX_NEUTRAL.npz."
)


@dataclass(frozen=True)
class BodyAssets:
    """The arrays of one body-model file, shapes as in SMPL-X; see `read_body_assets`."""

    path: Path
    v_template: np.ndarray  # V 3, metres, T-pose, y up, z forward
    shape_directions: np.ndarray  # V 3 S
    expression_directions: np.ndarray  # V 3 E
    pose_directions: np.ndarray | None  # V 3 486, or None: no pose correctives
    joint_regressor: np.ndarray  # 55 V
    weights: np.ndarray  # V 55
    faces: np.ndarray  # F 3
    hand_means: np.ndarray  # 2 45 axis-angle, left and right
    hand_components: np.ndarray | None  # 2 45 45, rows are components, left and right
    landmark_faces: np.ndarray  # 51
    landmark_barycentric: np.ndarray  # 51 3
    contour_faces: np.ndarray  # 79 17, row = head yaw
    contour_barycentric: np.ndarray  # 79 17 3
    vertex_ids: np.ndarray  # 21, extra keypoints on the surface
    extra: dict[str, np.ndarray]  # limner's own keys (regions, UV, mirror maps, ...)

    @property
    def is_limners(self) -> bool:
        """Whether this is limner's own body, wherever the file lies: its numbers mean nothing to SMPL-X."""
        return "region" in self.extra


# Public SMPL-X vertex ids of the 21 extra keypoints (../facts: section 9); valid for its 10475 vertices only
SMPLX_VERTEX_IDS = (
    9120, 9929, 9448, 616, 6, 5770, 5780, 8846, 8463, 8474, 8635,
    5361, 4933, 5058, 5169, 5286, 8079, 7669, 7794, 7905, 8022,
)  # fmt: skip
SMPLX_VERTICES = 10475
MOST_BYTES = 2**30
"""1 GB; SMPL-X of v1.1 takes 0.25."""
MOST_METRES = 1e6
"""No number of a body model is as large; damaged ones are."""
WEIGHTS_ENDINGS = (".ckpt", ".pth", ".pt", ".safetensors")


def embedded_body_path() -> Path:
    """Where the body model that limner ships lies."""
    return Path(str(files("limner.assets") / "body.npz"))


def read_body_assets(path: str | Path | None = None) -> BodyAssets:
    """Read a body model: the embedded one, or a user's SMPLX_{NEUTRAL,MALE,FEMALE} `.npz` / `.pkl` (v1.0 or v1.1).

    Raises BodyModelError, which names the cure, for a missing file, a folder, a damaged file, another model of the
    SMPL family, and for pickles that contain anything but numbers.
    """
    file = embedded_body_path() if path is None else Path(path).expanduser()
    raw = _read_raw(file)
    with told_as(BodyModelError, file, f"Its arrays do not fit together. {DOWNLOAD}"):
        assets = _assets(file, raw)
    check_assets(assets)
    return assets


def _assets(file: Path, raw: dict[str, Any]) -> BodyAssets:
    _check_variant(file, raw)
    shapedirs = np.asarray(raw["shapedirs"])
    shape_count, expression_count = _split_directions(file, raw, shapedirs.shape[-1])
    vertex_count = len(raw["v_template"])
    return BodyAssets(
        path=file,
        v_template=np.asarray(raw["v_template"], np.float64),
        shape_directions=shapedirs[..., :shape_count].astype(np.float64),
        expression_directions=shapedirs[..., shape_count : shape_count + expression_count].astype(np.float64),
        pose_directions=np.asarray(raw["posedirs"], np.float64) if "posedirs" in raw else None,
        joint_regressor=np.asarray(raw["J_regressor"], np.float64),
        weights=np.asarray(raw["weights"], np.float64),
        faces=np.asarray(raw["f"]).astype(np.int64),
        hand_means=np.stack([np.asarray(raw.get(f"hands_mean{s}", np.zeros(45)), np.float64) for s in "lr"]),
        hand_components=_hand_components(raw),
        landmark_faces=np.asarray(raw["lmk_faces_idx"]).astype(np.int64),
        landmark_barycentric=np.asarray(raw["lmk_bary_coords"], np.float64),
        contour_faces=np.asarray(raw["dynamic_lmk_faces_idx"]).astype(np.int64),
        contour_barycentric=np.asarray(raw["dynamic_lmk_bary_coords"], np.float64),
        vertex_ids=np.asarray(raw.get("vertex_ids", SMPLX_VERTEX_IDS)).astype(np.int64)
        if "vertex_ids" in raw or vertex_count == SMPLX_VERTICES
        else _nearest_to_joints(raw),
        extra={k: v for k, v in raw.items() if k not in REQUIRED and isinstance(v, np.ndarray)},
    )


def _hand_components(raw: dict[str, Any]) -> np.ndarray | None:
    if "hands_componentsl" not in raw:  # the locked-head file of the SMPL-X site lacks them
        return None
    return np.stack([np.asarray(raw[f"hands_components{s}"], np.float64) for s in "lr"])


def _nearest_to_joints(raw: dict[str, Any]) -> np.ndarray:
    raise BodyModelError(
        f"the body model has {len(raw['v_template'])} vertices, SMPL-X has {SMPLX_VERTICES}, and it stores no "
        f"`vertex_ids` for the 21 surface keypoints: add that array, or use an SMPL-X file. {DOWNLOAD}"
    )


def _split_directions(file: Path, raw: dict[str, Any], count: int) -> tuple[int, int]:
    """How many of the stored directions are shape, how many expression."""
    if "num_betas" in raw:
        return int(raw["num_betas"]), int(raw["num_expression"])
    known = {400: (300, 100), 20: (10, 10), 26: (16, 10)}
    if count not in known:
        raise BodyModelError(
            f"{file}: shapedirs has {count} components, expected 400 (SMPL-X v1.1: 300 shape + 100 expression) or 20 "
            f"(v1.0: 10 + 10). {DOWNLOAD}"
        )
    return known[count]


def _check_variant(file: Path, raw: dict[str, Any]) -> None:
    missing = [key for key in REQUIRED if key not in raw]
    if missing:
        raise BodyModelError(f"{file} is no SMPL-X model: it lacks {', '.join(missing)}. {DOWNLOAD}")
    joints = np.asarray(raw["kintree_table"]).shape[-1]
    family = {24: "SMPL", 52: "SMPL+H", 16: "MANO", 5: "FLAME"}.get(joints)
    if joints != len(JOINT_NAMES):
        what = f"a {family} model" if family else "no SMPL-X model"
        raise BodyModelError(f"{file} is {what} ({joints} joints, SMPL-X has 55). {DOWNLOAD}")
    parents = np.asarray(raw["kintree_table"])[0].astype(np.int64)
    if parents[1:].tolist() != list(PARENTS[1:]):
        raise BodyModelError(f"{file}: its joint tree differs from SMPL-X's. {DOWNLOAD}")
    if "lmk_faces_idx" not in raw or "dynamic_lmk_faces_idx" not in raw:
        raise BodyModelError(
            f"{file}: the face landmark keys (lmk_faces_idx, dynamic_lmk_faces_idx) are missing. {DOWNLOAD}"
        )


def _read_raw(file: Path) -> dict[str, Any]:
    if file.is_dir():
        raise BodyModelError(f"{file} is a folder, expected a body-model file. {_folder_hint(file)}")
    if not file.exists():
        raise BodyModelError(f"no body model at {file}. {DOWNLOAD}")
    if file.suffix in WEIGHTS_ENDINGS:
        raise BodyModelError(
            f"{file} holds network weights, expected a body model. They are for `limner expose --weights {file}`; "
            "leave --body-model out or give SMPLX_NEUTRAL.npz there."
        )
    if file.suffix not in (".npz", ".pkl"):
        unpack = " Unpack it first." if file.suffix in (".zip", ".gz", ".tar", ".7z", ".rar") else ""
        raise BodyModelError(
            f"{file}: expected an .npz or .pkl file, got {file.suffix or 'no suffix'!r}.{unpack} {DOWNLOAD}"
        )
    with told_as(BodyModelError, file, DOWNLOAD):
        check_regular(file, MOST_BYTES)
    _check_content(file)
    if file.suffix == ".pkl":
        return _read_pickle(file)
    with told_as(BodyModelError, file, f"It is no .npz of arrays, or cut off. {DOWNLOAD}"):
        return read_npz(file, "leave out", most_bytes=MOST_BYTES)  # SMPL-X stores some notes as objects


def _folder_hint(folder: Path) -> str:
    """What to give instead of this folder."""
    inside = sorted(path.relative_to(folder) for path in folder.rglob("*.[np][pk][zl]") if path.is_file())
    fitting = [str(path) for path in inside if path.name.upper().startswith("SMPLX")]
    if fitting:
        return f"Give the file itself, e.g. one of: {', '.join(fitting)}."
    if any(folder.rglob("*.ckpt")):
        return f"It holds network weights, for `limner expose --weights {folder}`. {DOWNLOAD}"
    others = [str(path) for path in inside if path.name.upper().startswith(("SMPL", "MANO", "FLAME", "GENERIC_MODEL"))]
    if others:
        return f"It holds models that are not SMPL-X ({', '.join(others[:3])}). {DOWNLOAD}"
    return DOWNLOAD


def _check_content(file: Path) -> None:
    """BodyModelError for what a download left instead of the file."""
    with file.open("rb") as opened:
        head = opened.read(200).lstrip()
    if head[:1] == b"<":
        raise BodyModelError(
            f"{file} is a web page, not a body model: the download asked for a login. Log in at "
            f"https://smpl-x.is.tue.mpg.de with a browser and download it there. {DOWNLOAD}"
        )
    if head.startswith(b"version https://git-lfs"):
        raise BodyModelError(f"{file} is a Git LFS pointer, not the file itself. Fetch it with `git lfs pull`.")


def file_notes(assets: BodyAssets) -> list[str]:
    """What is worth knowing about a body-model file, one sentence each: which release, what it lacks, what helps."""
    shape, expression = assets.shape_directions.shape[-1], assets.expression_directions.shape[-1]
    notes = []
    if len(assets.v_template) == SMPLX_VERTICES:
        release = {(300, 100): "v1.1", (10, 10): "v1.0"}.get((shape, expression))
        if release:
            notes.append(f"SMPL-X {release}: {shape} shape and {expression} expression directions.")
        if release == "v1.0":
            notes.append("Betas and expression beyond the tenth need the file of v1.1 (300 + 100).")
    if assets.hand_components is None and not assets.is_limners:  # limner's own body never had any
        notes.append(
            "No hand PCA (a locked-head file?): limner poses hands by rotations and does not need it. To read poses "
            "that are PCA coefficients, or relative to the mean hand, take the SMPL-X file without locked head."
        )
    return notes


def _read_pickle(file: Path) -> dict[str, Any]:
    with told_as(BodyModelError, file, f"Only arrays are read from pickles. {DOWNLOAD}"):
        content = NumbersOnly(whole_file(file, MOST_BYTES)).load()
    if not isinstance(content, dict):
        raise BodyModelError(f"{file} holds a {type(content).__name__}, expected a dict of arrays. {DOWNLOAD}")
    return {str(key): array for key, value in content.items() if (array := _plain(value)) is not None}


def _plain(value: Any) -> Any:
    """A plain array of numbers or texts, else None."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value
    return np.asarray(value) if isinstance(value, int | float) else None


def check_assets(assets: BodyAssets, cure: str = DOWNLOAD) -> None:
    """Raise BodyModelError for arrays whose shapes, numbers or indices cannot belong to one body."""
    V, F = len(assets.v_template), len(assets.faces)
    J, S, E = len(JOINT_NAMES), assets.shape_directions.shape[-1], assets.expression_directions.shape[-1]
    shapes: dict[str, tuple[int, ...]] = {
        "v_template": (V, 3), "shape_directions": (V, 3, S), "expression_directions": (V, 3, E),
        "joint_regressor": (J, V), "weights": (V, J), "faces": (F, 3), "hand_means": (2, 45),
        "landmark_faces": (51,), "landmark_barycentric": (51, 3), "vertex_ids": (21,),
        "contour_barycentric": (*assets.contour_faces.shape[:1], 17, 3),
        "contour_faces": (*assets.contour_faces.shape[:1], 17), "pose_directions": (V, 3, 9 * (J - 1)),
    }  # fmt: skip
    for name, shape in shapes.items():
        array = getattr(assets, name)
        if array is None:
            continue
        if array.shape != shape or not V or not F:
            raise BodyModelError(f"{assets.path}: {name} has the shape {array.shape}, expected {shape}. {cure}")
        if array.dtype.kind == "f" and not (np.isfinite(array).all() and np.abs(array).max(initial=0) < MOST_METRES):
            raise BodyModelError(f"{assets.path}: {name} has numbers that no body has: it is damaged. {cure}")
    for name, most in (("faces", V), ("landmark_faces", F), ("contour_faces", F), ("vertex_ids", V)):
        array = getattr(assets, name)
        if array.size and not 0 <= array.min() <= array.max() < most:
            raise BodyModelError(f"{assets.path}: {name} names what the file lacks: it is damaged. {cure}")
