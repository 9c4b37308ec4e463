"""Output files of other systems as predictions, told apart by content.

Each reader says what it assumes. All give camera axes (x right, y down, z into the scene) in metres.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.axis_angle import COUNTS, add_mean_hands, params_from_pose_vectors
from limner.body.keypoints import KEYPOINT_NAMES, hand21
from limner.body.model import BodyModel
from limner.data.sources.agora import FULL_WIDTH
from limner.data.sources.meshes import read_mesh
from limner.data.sources.now import read_points
from limner.data.sources.pickled import names_in_npz, read_npy, read_npz, read_pickle
from limner.errors import DataSetError
from limner.evaluate.benchmarks.record import Case
from limner.evaluate.person_points import PersonPoints, points_of_params
from limner.geometry.rotation import rotation_from_axis_angle, rotation_to_axis_angle
from limner.io.image import read_photo
from limner.io.motion_file import OWN_BODY, with_own_numbers
from limner.reading.json_file import MOST_DATA_BYTES, read_json
from limner.reading.told import check_regular, told_as

MOST_BYTES = 2**33
ENDINGS = (".npz", ".npy", ".pkl", ".json", ".obj", ".ply")
NEURAL_ANNOT_KEYS = {
    "root_pose": "global_orient", "lhand_pose": "left_hand_pose", "rhand_pose": "right_hand_pose", "shape": "betas",
    "expr": "expression", "trans": "transl", "cam_trans": "transl",
}  # fmt: skip
"""Names of Hand4Whole, OSX and NeuralAnnot for SMPL-X's."""
PIXIE_KEYS = {
    "global_pose": "global_orient", "body_pose": "body_pose", "jaw_pose": "jaw_pose", "exp": "expression",
    "left_hand_pose": "left_hand_pose", "right_hand_pose": "right_hand_pose", "shape": "betas",
}  # fmt: skip
Z_UP_TO_CAMERA = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""AMASS's world (x right, z up, y away) to camera axes."""
UNREAD = "limner reads: see docs/evaluation.md, section `Other systems' outputs`."


class PredictionFileError(DataSetError):
    """A file of predictions cannot be read, or lacks what is needed to make an prediction of it."""


@dataclass(frozen=True)
class FilePrediction:
    """One person of a file: by which keys a case may ask for it. What it says is read when asked for: a benchmark's
    meshes need not fit into memory."""

    keys: tuple[str, ...]
    load: Callable[[], PersonPoints]
    file: Path

    @property
    def prediction(self) -> PersonPoints:
        """Reads the file. Raises PredictionFileError (DataSetError) for what cannot be read."""
        with told_as(PredictionFileError, self.file, f"Its arrays have unusual shapes or numbers. {UNREAD}"):
            return self.load()


class PredictionFiles:
    """Another system, by the files it wrote: what it predicts is asked for by case."""

    def __init__(self, predictions: list[FilePrediction]):
        self._by_key: dict[str, list[FilePrediction]] = {}
        self._by_photo: dict[str, list[FilePrediction]] = {}
        for prediction in predictions:
            for key in prediction.keys:
                self._by_key.setdefault(key, []).append(prediction)
            for photo in dict.fromkeys(key.split("#")[0] for key in prediction.keys):
                self._by_photo.setdefault(photo, []).append(prediction)

    def prediction(self, case: Case) -> PersonPoints | None:
        """The prediction under the first of the case's keys that is known; None under none.

        Raises PredictionFileError where it is several.
        """
        found = next((self._by_key[key] for key in case.keys if key in self._by_key), [])
        if len(found) > 1:
            files = ", ".join(sorted({str(one.file) for one in found})[:3])
            raise PredictionFileError(
                f"several predictions could be {case.name} ({files}): name the files (or their folders) after it, one "
                "file a person."
            )
        return found[0].prediction if found else None

    def crowd(self, group: str, photo: Path) -> list[PersonPoints]:
        """Everybody of a photo who has joints in it: the files speak of AGORA's large photos."""
        scale = read_photo(photo).width / FULL_WIDTH
        given = [one.prediction for one in self._by_photo.get(group, [])]
        return [replace(one, points_px=one.points_px * scale) for one in given if one.points_px is not None]


def read_predictions(path: Path, model: BodyModel | None = None) -> list[FilePrediction]:
    """Everybody in a file, or in all files below a folder.

    `model`: SMPL-X, needed for files that hold parameters and no mesh. Raises PredictionFileError for what no system
    writes; damaged files of a folder raise DataSetError when they are asked for.
    """
    files = sorted(f for f in path.rglob("*") if f.suffix.lower() in ENDINGS) if path.is_dir() else [path]
    if path.is_dir() and not files:
        raise PredictionFileError(
            f"{path}: no predictions in it, expected files ending in {', '.join(ENDINGS)}. {UNREAD}"
        )
    if not path.exists():
        raise PredictionFileError(f"{path} does not exist. Give the folder or file with a system's outputs.")
    files = [f for f in files if f.name != "keypoints.json" and f.parent.name != "meta"]  # what is not bodies
    if path.is_dir():  # a mesh beside the parameters of the same person is the same prediction twice
        whole = {f.parent for f in files if f.name.endswith(("_params.npz", "params.npz"))}
        files = [f for f in files if f.parent not in whole or f.name.endswith("params.npz")]
        files = [f for f in files if not _is_landmarks(f)]
        return [prediction for file in files for prediction in _people_or_reason(file, model)]
    return people_of(path, model)


def _people_or_reason(file: Path, model: BodyModel | None) -> list[FilePrediction]:
    """As `people_of`; who is in a damaged file cannot be told, so whoever asks for it is told why."""
    try:
        return people_of(file, model)
    except PredictionFileError:
        raise  # not damaged, but of no system: so are all
    except DataSetError as error:
        return [FilePrediction(keys_of(file), partial(_refuse, error), file)]


def _refuse(error: DataSetError) -> PersonPoints:
    raise error


def people_of(file: Path, model: BodyModel | None = None) -> list[FilePrediction]:
    """Everybody in one file. Only as much of it is read as tells how many that are. Raises PredictionFileError."""
    with told_as(DataSetError, file, f"Its arrays have unusual shapes or numbers. {UNREAD}"):
        check_regular(file, MOST_BYTES)
        return _people_of(file, model)


def _people_of(file: Path, model: BodyModel | None) -> list[FilePrediction]:
    match file.suffix.lower():
        case ".npz" if "trans" in (names := names_in_npz(file)) and "poses" in names and "global_orient" not in names:
            frames = len(read_npz(file)["poses"])
            loads = [partial(_read_amass, file, model, frame) for frame in range(frames)]
            return [FilePrediction(keys_of(file, frame), load, file) for frame, load in enumerate(loads)]
        case ".json" if _starts_with_list(file):
            return _freihand_people(file)
        case ".npz" | ".pkl" | ".json":
            return [FilePrediction(keys_of(file), partial(_read_one, file, model), file)]
        case ".npy":
            return _mesh_people(file)
        case ".obj" | ".ply":
            return [FilePrediction(keys_of(file), partial(_read_mesh, file), file)]
        case _:
            raise PredictionFileError(f"{file}: unknown ending, expected one of {', '.join(ENDINGS)}. {UNREAD}")


def _read_one(file: Path, model: BodyModel | None) -> PersonPoints:
    """A file of one person: a dict of arrays, whose system shows in its keys."""
    match file.suffix.lower():
        case ".npz":
            content = read_npz(file)
        case ".pkl":
            content = read_pickle(file)
        case _:
            content = _read_json(file)
    if not isinstance(content, dict):
        raise PredictionFileError(f"{file} holds a {type(content).__name__}, expected a dict of arrays. {UNREAD}")
    keys = set(content)
    if "params" in keys or {"verts", "allSmplJoints3d"} <= keys:
        return _from_agora(file, content, model)
    if "vertices" in keys:
        return _from_expose(content)
    if "global_pose" in keys:
        return _from_pixie_params(file, content, model)
    if "joint_names" in keys and "joints" in keys:
        return _joints_only(file, content)
    if keys & {"global_orient", "root_pose"}:
        return _from_parameters(file, content, model)
    raise PredictionFileError(f"{file}: its keys ({', '.join(sorted(map(str, keys))[:8])}) are no system's. {UNREAD}")


def keys_of(file: Path, person: int | None = None) -> tuple[str, ...]:
    """Names under which a case may ask for the person: the file's, with and without its usual endings and its folders.

    `yard_00/image_00001_0.npz` is image_00001_0, image_00001#0 (person 0 of a photo), image_00001, and the same after
    yard_00/. `01_img_params.npz` is also 01_img and 01. `<photo>.jpg_000/...` (ExPose) and `<photo>/person_0/...`
    (limner) are <photo>#0.
    """
    names = [file.stem, re.sub(r"_(params|param|prediction|mesh|smplx|align)$", "", file.stem)]
    folders = file.parent.parts[-2:]
    expose = re.fullmatch(r"(.*)\.(?:jpg|jpeg|png)_(\d{3})", file.parent.name)
    if file.parent.name.startswith("person_") and file.stem == "params":  # limner's own folders
        names, person = [file.parent.parent.name], int(file.parent.name.removeprefix("person_"))
        folders = file.parent.parent.parent.parts[-2:]
    elif expose:
        names, person, folders = [expose[1]], int(expose[2]), file.parent.parent.parts[-2:]
    numbered = re.fullmatch(r"(.*?)_(?:personId_)?(\d{1,2})", names[-1])
    if person is not None:
        names = [key for name in names for key in _variants(name, person)]
    elif numbered:
        names += _variants(numbered[1], int(numbered[2]))
    names += [plain for name in names if (plain := re.sub(r"_(img|image)(?=#|$)", "", name)) != name]
    inner = [f"{folders[-1]}/{name}" for name in names] if folders else []
    outer = [f"{folders[-2]}/{name}" for name in inner] if len(folders) > 1 else []
    return tuple(dict.fromkeys([*names, *inner, *outer]))


def _variants(name: str, person: int) -> tuple[str, ...]:
    numbered = f"{name}#{person}"
    return (numbered, name) if person == 0 else (numbered,)


def _is_landmarks(file: Path) -> bool:
    """The seven points beside a mesh, `IMG_0001.npy` beside `IMG_0001.obj`."""
    return file.suffix == ".npy" and any(file.with_suffix(ending).exists() for ending in (".obj", ".ply"))


def _read_mesh(file: Path) -> PersonPoints:
    """A mesh, and the seven landmarks in a file of the same name beside it."""
    vertices, faces = read_mesh(file)
    beside = next((p for e in (".npy", ".txt") if (p := file.with_suffix(e)).exists()), None)
    landmarks = None if beside is None else read_points(beside)
    if landmarks is not None and len(landmarks) != 7:
        raise PredictionFileError(f"{beside} has {len(landmarks)} points, expected the seven landmarks of NoW.")
    return PersonPoints(vertices=vertices, faces=faces if len(faces) else None, landmarks=landmarks)


def _mesh_people(file: Path) -> list[FilePrediction]:
    """Multi-HMR's --save_mesh: vertices "P V 3" (or "V 3"), camera axes, metres."""
    shape = np.shape(read_npy(file))
    if len(shape) not in (2, 3) or shape[-1] != 3:
        raise PredictionFileError(f"{file} is {shape}, expected vertices (V, 3) or (people, V, 3). {UNREAD}")
    if len(shape) == 2:
        return [FilePrediction(keys_of(file), partial(_read_vertices, file, 0), file)]
    return [FilePrediction(keys_of(file, k), partial(_read_vertices, file, k), file) for k in range(shape[0])]


def _read_vertices(file: Path, person: int) -> PersonPoints:
    array = np.asarray(read_npy(file), np.float32)
    return PersonPoints(vertices=torch.tensor(array.reshape(-1, *array.shape[-2:])[person]))


def _starts_with_list(file: Path) -> bool:
    try:
        with open(file, "rb") as content:
            return content.read(64).lstrip()[:1] == b"["
    except OSError as error:
        raise PredictionFileError(f"{file} cannot be read ({error}). Check the path.") from error


def _read_json(file: Path) -> Any:
    with told_as(DataSetError, file, "It is no readable JSON. Copy it again."):
        return read_json(file, MOST_DATA_BYTES)


def _freihand_people(file: Path) -> list[FilePrediction]:
    """FreiHAND's pred.json: [joints (N, 21, 3), vertices (N, 778, 3)], metres, in the order of the photos."""
    content = _read_json(file)
    if len(content) != 2 or not all(isinstance(part, list) for part in content) or len(content[0]) != len(content[1]):
        raise PredictionFileError(
            f"{file}: expected FreiHAND's two lists of equal length, joints and vertices. {UNREAD}"
        )
    joints, vertices = (_rows(file, numbers) for numbers in content)
    names = hand21("right")
    loads = [
        partial(PersonPoints, vertices=v, joints=j, joint_names=names) for v, j in zip(vertices, joints, strict=True)
    ]
    return [FilePrediction((f"{k:08d}",), load, file) for k, load in enumerate(loads)]


def _rows(file: Path, numbers: list[Any]) -> Tensor:
    with told_as(DataSetError, file, f"Expected rows of numbers. {UNREAD}"):
        return torch.tensor(numbers, dtype=torch.float32)


def _from_expose(content: dict[str, Any]) -> PersonPoints:
    """ExPose's demo, *_params.npz: vertices (10475, 3) and joints (144, 3) without transl, camera axes, metres.

    Rotations are matrices without any mean hand, so the mesh is taken as it is. Also PIXIE's *_prediction.pkl, and any
    npz with `vertices` (and `joints` of 144 or 127).
    """
    shift = torch.tensor(np.ravel(content["transl"]), dtype=torch.float32) if "transl" in content else torch.zeros(3)
    vertices = _last(content["vertices"]) + shift[:3]
    joints = _last(content["joints"]) + shift[:3] if "joints" in content else None
    known = joints is not None and len(joints) in (127, 144)
    return PersonPoints(
        vertices=vertices,
        joints=joints if known else None,
        joint_names=KEYPOINT_NAMES[: len(joints)] if known and joints is not None else (),
    )


def _from_pixie_params(file: Path, content: dict[str, Any], model: BodyModel | None) -> PersonPoints:
    """PIXIE's *_param.pkl, as its decoder leaves it: matrices, `body_pose` (21) put together, whole hands.

    Axes: a person who faces the camera upright has the global_pose diag(1, -1, -1), so they are the camera's. `exp` and
    `shape` are cut to what the body model has.
    """
    if "body_pose" not in content:
        raise PredictionFileError(
            f"{file} holds PIXIE's codes before its decoder (no body_pose, only {', '.join(sorted(content)[:6])}): "
            "save after decoding, or give *_prediction.pkl."
        )
    named = {PIXIE_KEYS[key]: value for key, value in content.items() if key in PIXIE_KEYS}
    return _from_parameters(file, named | {"flat_hand_mean": True}, model)


def _joints_only(file: Path, content: dict[str, Any]) -> PersonPoints:
    """Joints (J, 3) in camera axes, metres, and their joint_names (limner's: see docs/evaluation.md)."""
    joints, names = _last(content["joints"]), tuple(str(name) for name in content["joint_names"])
    if len(joints) != len(names):
        raise PredictionFileError(f"{file}: {len(joints)} joints have {len(names)} joint_names. Give a name for each.")
    return PersonPoints(joints=joints, joint_names=names)


def _from_agora(file: Path, content: dict[str, Any], model: BodyModel | None) -> PersonPoints:
    """AGORA's submission: verts and allSmplJoints3d, or params; joints in pixels of the 3840 x 2160 photo."""
    points = _last(content["joints"])[:24, :2] if "joints" in content else None
    if "verts" in content:
        joints = _last(content["allSmplJoints3d"])
        prediction = PersonPoints(
            vertices=_last(content["verts"]), joints=joints, joint_names=KEYPOINT_NAMES[: len(joints)]
        )
    else:
        prediction = _from_parameters(file, content["params"], model)
    return replace(prediction, points_px=points)


def _from_parameters(file: Path, content: dict[str, Any], model: BodyModel | None) -> PersonPoints:
    """SMPL-X parameters by name: SMPLer-X's npz, OSX's and Hand4Whole's json, SMPLify-X's pkl, limner's params.npz.

    Rotations are axis-angle or matrices. Finger vectors are taken as offsets from the mean hand
    (`flat_hand_mean=False`, the default of the code that these systems share) unless the file says otherwise
    (`flat_hand_mean`) or is limner's; matrices are whole. limner's files of its own body are posed with that body.
    """
    named = {NEURAL_ANNOT_KEYS[key]: value for key, value in content.items() if key in NEURAL_ANNOT_KEYS} | content
    if str(named.get("body_model", "")) == OWN_BODY:
        model, named = BodyModel.load(), with_own_numbers(named)
    model = _needs_model(file, model)
    vectors = [_vectors(file, key, named.get(key), count) for key, count in COUNTS.items()]
    pose = torch.cat([rows for rows, _ in vectors])[None]
    flat = bool(named.get("flat_hand_mean", "body_model" in named))
    if not flat and not any(whole for _, whole in vectors[-2:]):
        pose = add_mean_hands(pose, model.hand_means)
    return _posed(model, pose, *(_flat(named.get(key)) for key in ("betas", "expression", "transl")))


def _read_amass(file: Path, model: BodyModel | None, frame: int) -> PersonPoints:
    """AMASS's npz of SMPL-X: poses (T, 165) whole rotations, trans (T, 3), betas; z-up world, here turned to a level
    camera that looks along +y. Each frame is a person, found as <file>#<frame>."""
    content, model = read_npz(file), _needs_model(file, model)
    poses, trans = (torch.tensor(np.asarray(content[key], np.float32)) for key in ("poses", "trans"))
    if poses.shape[1] != 165:
        raise PredictionFileError(f"{file}: poses are {tuple(poses.shape)}, expected (T, 165) of SMPL-X (156: SMPL+H).")
    expressions = np.asarray(content.get("expressions", np.zeros((len(poses), 10))), np.float32)
    betas = _flat(content.get("betas"))[:, : model.num_betas]
    expression = torch.tensor(expressions[frame])[None, : model.num_expression]
    pose = poses[frame].reshape(1, 55, 3).clone()
    pose[0, 0] = rotation_to_axis_angle(Z_UP_TO_CAMERA @ rotation_from_axis_angle(pose[0, 0]))
    pelvis = model.rest_joints(model.rest().replace(betas=betas, expression=expression))[0, 0]
    shift = Z_UP_TO_CAMERA @ (trans[frame] + pelvis) - pelvis  # both turn about the rest pelvis
    return _posed(model, pose, betas, expression, shift[None])


def _vectors(file: Path, key: str, value: Any, count: int) -> tuple[Float[Tensor, "N 3"], bool]:
    """Axis-angle rows of a pose, zeros where it is missing; and whether it was given as matrices."""
    if value is None:
        return torch.zeros(count, 3), False
    array = torch.tensor(np.asarray(value, np.float32))
    if array.numel() == count * 9:
        return rotation_to_axis_angle(array.reshape(count, 3, 3)), True
    if array.numel() != count * 3:
        what = "PCA components? Give whole rotations" if count == 15 else f"expected {count} rotations"
        raise PredictionFileError(f"{file}: {key} has {array.numel()} numbers ({what}). {UNREAD}")
    return array.reshape(count, 3), False


def _flat(value: Any) -> Float[Tensor, "1 N"]:
    return torch.zeros(1, 10) if value is None else torch.tensor(np.ravel(np.asarray(value, np.float32)))[None]


def _last(value: Any) -> Float[Tensor, "N D"]:
    """An array without its leading axes of one."""
    array = np.asarray(value, np.float32)
    return torch.tensor(array.reshape(array.shape[-2:]))


def _needs_model(file: Path, model: BodyModel | None) -> BodyModel:
    if model is None:
        raise PredictionFileError(
            f"{file} holds SMPL-X parameters and no mesh: give --body-model SMPLX_NEUTRAL.npz (download SMPL-X from "
            "https://smpl-x.is.tue.mpg.de)."
        )
    return model


@torch.no_grad()
def _posed(model: BodyModel, pose: Tensor, betas: Tensor, expression: Tensor, transl: Tensor) -> PersonPoints:
    transl = transl if transl.shape[1] == 3 else torch.zeros(1, 3)
    params = params_from_pose_vectors(pose, betas[:, : model.num_betas], expression[:, : model.num_expression], transl)
    return points_of_params(model, params)
