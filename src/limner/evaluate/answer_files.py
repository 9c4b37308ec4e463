"""What do other systems write, and how does it become an answer? Readers of their output files, told apart by content.

Each reader says what it assumes. All give camera axes (x right, y down, z into the scene) in metres.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.keypoints import KEYPOINT_NAMES, hand21
from limner.body.model import BodyModel
from limner.data.sources.fits import add_mean_hands, params_from_axis_angle
from limner.data.sources.meshes import read_mesh
from limner.data.sources.now import read_points
from limner.data.sources.pickled import read_npy, read_npz, read_pickle
from limner.errors import DataSetError
from limner.evaluate.answer import Answer
from limner.geometry.rotation import rotation_from_axis_angle, rotation_to_axis_angle

ENDINGS = (".npz", ".npy", ".pkl", ".json", ".obj", ".ply")
POSE_KEYS = {
    "global_orient": 1, "body_pose": 21, "jaw_pose": 1, "leye_pose": 1, "reye_pose": 1,
    "left_hand_pose": 15, "right_hand_pose": 15,
}  # fmt: skip
NEURAL_ANNOT_KEYS = {
    "root_pose": "global_orient", "lhand_pose": "left_hand_pose", "rhand_pose": "right_hand_pose", "shape": "betas",
    "expr": "expression", "trans": "transl", "cam_trans": "transl",
}  # fmt: skip
"""Names of Hand4Whole, OSX and NeuralAnnot for SMPL-X's."""
Z_UP_TO_CAMERA = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""AMASS's world (x right, z up, y away) to camera axes."""
UNREAD = "limner reads: see docs/evaluation.md, section `Other systems' outputs`."


class AnswerFileError(DataSetError):
    """A file of predictions cannot be read, or lacks what is needed to make an answer of it."""


@dataclass(frozen=True)
class FileAnswer:
    """One person of a file: by which keys a case may ask for it, and what it says."""

    keys: tuple[str, ...]
    answer: Answer
    file: Path


class AnswerBook:
    """A system's answers, to be asked for by case."""

    def __init__(self, answers: list[FileAnswer]):
        self.answers = answers
        self._by_key: dict[str, list[FileAnswer]] = {}
        for answer in answers:
            for key in answer.keys:
                self._by_key.setdefault(key, []).append(answer)

    def __len__(self) -> int:
        return len(self.answers)

    def find(self, *keys: str) -> Answer | None:
        """The answer under the first key that is known; None under none. Raises AnswerFileError where it is several."""
        found = next((self._by_key[key] for key in keys if key in self._by_key), [])
        if len(found) > 1:
            files = ", ".join(sorted({str(one.file) for one in found})[:3])
            raise AnswerFileError(
                f"several predictions could be {keys[0]} ({files}): name the files (or their folders) after it, one "
                "file a person."
            )
        return found[0].answer if found else None

    def of_photo(self, name: str) -> list[Answer]:
        """Everybody who was found in a photo, by its name without ending."""
        return [one.answer for one in self.answers if any(key.split("#")[0] == name for key in one.keys)]


def read_answers(path: Path, model: BodyModel | None = None) -> list[FileAnswer]:
    """Everybody in a file, or in all files below a folder.

    `model`: SMPL-X, needed for files that hold parameters and no mesh. Raises AnswerFileError for what cannot be read.
    """
    files = sorted(f for f in path.rglob("*") if f.suffix.lower() in ENDINGS) if path.is_dir() else [path]
    if path.is_dir() and not files:
        raise AnswerFileError(f"{path}: no predictions in it, expected files ending in {', '.join(ENDINGS)}. {UNREAD}")
    if not path.exists():
        raise AnswerFileError(f"{path} does not exist. Give the folder or file with a system's outputs.")
    files = [f for f in files if f.name != "keypoints.json" and f.parent.name != "meta"]  # what is not bodies
    if path.is_dir():  # a mesh beside the parameters of the same person is the same answer twice
        whole = {f.parent for f in files if f.name.endswith(("_params.npz", "params.npz"))}
        files = [f for f in files if f.parent not in whole or f.name.endswith("params.npz")]
        files = [f for f in files if not _is_landmarks(f)]
    return [answer for file in files for answer in read_answer_file(file, model)]


def read_answer_file(file: Path, model: BodyModel | None = None) -> list[FileAnswer]:
    """Everybody in one file. Raises AnswerFileError."""
    match file.suffix.lower():
        case ".npz":
            found = list(_from_content(file, read_npz(file), model))
        case ".pkl":
            found = list(_from_content(file, read_pickle(file), model))
        case ".json":
            found = list(_from_json(file, model))
        case ".npy":
            found = list(_from_array(file, read_npy(file)))
        case ".obj" | ".ply":
            found = [FileAnswer(keys_of(file), _with_landmarks(file, *read_mesh(file)), file)]
        case _:
            raise AnswerFileError(f"{file}: unknown ending, expected one of {', '.join(ENDINGS)}. {UNREAD}")
    return found


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


def _with_landmarks(file: Path, vertices: Tensor, faces: Tensor) -> Answer:
    beside = next((p for e in (".npy", ".txt") if (p := file.with_suffix(e)).exists()), None)
    landmarks = None if beside is None else read_points(beside)
    if landmarks is not None and len(landmarks) != 7:
        raise AnswerFileError(f"{beside} has {len(landmarks)} points, expected the seven landmarks of NoW.")
    return Answer(vertices=vertices, faces=faces if len(faces) else None, landmarks=landmarks)


def _from_array(file: Path, content: Any) -> Iterator[FileAnswer]:
    """Multi-HMR's --save_mesh: vertices "P V 3" (or "V 3"), camera axes, metres."""
    if isinstance(content, dict):
        yield from _from_content(file, content, None)
        return
    array = np.asarray(content)
    if array.dtype == object or array.ndim not in (2, 3) or array.shape[-1] != 3:
        raise AnswerFileError(f"{file} is {array.shape}, expected vertices (V, 3) or (people, V, 3). {UNREAD}")
    meshes = array.reshape(-1, *array.shape[-2:]).astype(np.float32)
    for person, vertices in enumerate(meshes):
        keys = keys_of(file) if array.ndim == 2 else keys_of(file, person)
        yield FileAnswer(keys, Answer(vertices=torch.tensor(vertices)), file)


def _from_json(file: Path, model: BodyModel | None) -> Iterator[FileAnswer]:
    try:
        content = json.loads(file.read_text())
    except (ValueError, OSError) as error:
        raise AnswerFileError(f"{file} is no readable JSON ({error}). Copy it again.") from error
    if isinstance(content, list):
        yield from _from_freihand(file, content)
    elif isinstance(content, dict):
        yield from _from_content(file, content, model)
    else:
        raise AnswerFileError(f"{file} holds a {type(content).__name__}, expected a dict. {UNREAD}")


def _from_freihand(file: Path, content: list[Any]) -> Iterator[FileAnswer]:
    """FreiHAND's pred.json: [joints (N, 21, 3), vertices (N, 778, 3)], metres, in the order of the photos."""
    if len(content) != 2 or len(content[0]) != len(content[1]):
        raise AnswerFileError(f"{file}: expected FreiHAND's two lists of equal length, joints and vertices. {UNREAD}")
    for number, (joints, vertices) in enumerate(zip(*content, strict=True)):
        answer = Answer(
            vertices=torch.tensor(vertices, dtype=torch.float32),
            joints=torch.tensor(joints, dtype=torch.float32),
            joint_names=hand21("right"),
        )
        yield FileAnswer((f"{number:08d}",), answer, file)


def _from_content(file: Path, content: Any, model: BodyModel | None) -> Iterator[FileAnswer]:
    """Dicts of arrays: which system's they are shows in their keys."""
    if not isinstance(content, dict):
        raise AnswerFileError(f"{file} holds a {type(content).__name__}, expected a dict of arrays. {UNREAD}")
    keys = set(content)
    if "poses" in keys and "trans" in keys and "global_orient" not in keys:
        yield from _from_amass(file, content, model)
    elif "params" in keys or {"verts", "allSmplJoints3d"} <= keys:
        yield FileAnswer(keys_of(file), _from_agora(file, content, model), file)
    elif "transformed_vertices" in keys or ("vertices" in keys and "smplx_kpt3d" in keys):
        yield FileAnswer(keys_of(file), _from_pixie(content), file)
    elif "vertices" in keys:
        yield FileAnswer(keys_of(file), _from_expose(content), file)
    elif "joint_names" in keys and "joints" in keys:
        yield FileAnswer(keys_of(file), _joints_only(file, content), file)
    elif keys & {"global_orient", "root_pose"}:
        yield FileAnswer(keys_of(file), _from_parameters(file, content, model), file)
    else:
        raise AnswerFileError(f"{file}: its keys ({', '.join(sorted(map(str, keys))[:8])}) are no system's. {UNREAD}")


def _from_expose(content: dict[str, Any]) -> Answer:
    """ExPose's demo, *_params.npz: vertices (10475, 3) and joints (144, 3) without transl, camera axes, metres.

    Rotations are matrices without any mean hand, so the mesh is taken as it is. Also any npz with `vertices`
    (and `joints` of 144 or 127).
    """
    shift = torch.tensor(np.ravel(content["transl"]), dtype=torch.float32) if "transl" in content else torch.zeros(3)
    vertices = _last(content["vertices"]) + shift[:3]
    joints = _last(content["joints"]) + shift[:3] if "joints" in content else None
    known = joints is not None and len(joints) in (127, 144)
    return Answer(
        vertices=vertices,
        joints=joints if known else None,
        joint_names=KEYPOINT_NAMES[: len(joints)] if known and joints is not None else (),
    )


def _from_pixie(content: dict[str, Any]) -> Answer:
    """PIXIE's demo, *_prediction.pkl: vertices (1, 10475, 3), metres, y up and towards the camera: turned about x."""
    return Answer(vertices=_last(content["vertices"]) * torch.tensor([1.0, -1.0, -1.0]))


def _joints_only(file: Path, content: dict[str, Any]) -> Answer:
    """Joints (J, 3) in camera axes, metres, and their joint_names (limner's: see docs/evaluation.md)."""
    joints, names = _last(content["joints"]), tuple(str(name) for name in content["joint_names"])
    if len(joints) != len(names):
        raise AnswerFileError(f"{file}: {len(joints)} joints have {len(names)} joint_names. Give a name for each.")
    return Answer(joints=joints, joint_names=names)


def _from_agora(file: Path, content: dict[str, Any], model: BodyModel | None) -> Answer:
    """AGORA's submission: verts and allSmplJoints3d, or params; joints in pixels of the 3840 x 2160 photo."""
    points = _last(content["joints"])[:24, :2] if "joints" in content else None
    if "verts" in content:
        joints = _last(content["allSmplJoints3d"])
        answer = Answer(vertices=_last(content["verts"]), joints=joints, joint_names=KEYPOINT_NAMES[: len(joints)])
    else:
        answer = _from_parameters(file, content["params"], model)
    return Answer(answer.vertices, answer.faces, answer.joints, answer.joint_names, points_px=points)


def _from_parameters(file: Path, content: dict[str, Any], model: BodyModel | None) -> Answer:
    """SMPL-X parameters by name: SMPLer-X's npz, OSX's and Hand4Whole's json, SMPLify-X's pkl, limner's params.npz.

    Rotations are axis-angle or matrices. Finger vectors are taken as offsets from the mean hand
    (`flat_hand_mean=False`, the default of the code that these systems share) unless the file says otherwise
    (`flat_hand_mean`) or is limner's; matrices are whole. limner's files of its own body are posed with that body.
    """
    named = {NEURAL_ANNOT_KEYS[key]: value for key, value in content.items() if key in NEURAL_ANNOT_KEYS} | content
    if str(named.get("body_model", "")) == "limner":
        model = BodyModel.load()
    model = _needs_model(file, model)
    vectors = [_vectors(file, key, named.get(key), count) for key, count in POSE_KEYS.items()]
    pose = torch.cat([rows for rows, _ in vectors])[None]
    flat = bool(named.get("flat_hand_mean", "body_model" in named))
    if not flat and not any(whole for _, whole in vectors[-2:]):
        pose = add_mean_hands(pose, model.hand_means)
    return _posed(model, pose, *(_flat(named.get(key)) for key in ("betas", "expression", "transl")))


def _from_amass(file: Path, content: dict[str, Any], model: BodyModel | None) -> Iterator[FileAnswer]:
    """AMASS's npz of SMPL-X: poses (T, 165) whole rotations, trans (T, 3), betas; z-up world, here turned to a level
    camera that looks along +y. Each frame is a person, found as <file>#<frame>."""
    model = _needs_model(file, model)
    poses = torch.tensor(np.asarray(content["poses"], np.float32))
    if poses.shape[1] != 165:
        raise AnswerFileError(f"{file}: poses are {tuple(poses.shape)}, expected (T, 165) of SMPL-X (156: SMPL+H).")
    trans = torch.tensor(np.asarray(content["trans"], np.float32))
    expressions = np.asarray(content.get("expressions", np.zeros((len(poses), 10))), np.float32)
    betas = _flat(content.get("betas"))[:, : model.num_betas]
    for frame in range(len(poses)):
        pose = poses[frame].reshape(1, 55, 3).clone()
        pose[0, 0] = rotation_to_axis_angle(Z_UP_TO_CAMERA @ rotation_from_axis_angle(pose[0, 0]))
        expression = torch.tensor(expressions[frame])[None, : model.num_expression]
        pelvis = model.rest_joints(model.rest().replace(betas=betas, expression=expression))[0, 0]
        shift = Z_UP_TO_CAMERA @ (trans[frame] + pelvis) - pelvis  # both turn about the rest pelvis
        yield FileAnswer(keys_of(file, frame), _posed(model, pose, betas, expression, shift[None]), file)


def _vectors(file: Path, key: str, value: Any, count: int) -> tuple[Float[Tensor, "N 3"], bool]:
    """Axis-angle rows of a pose, zeros where it is missing; and whether it was given as matrices."""
    if value is None:
        return torch.zeros(count, 3), False
    array = torch.tensor(np.asarray(value, np.float32))
    if array.numel() == count * 9:
        return rotation_to_axis_angle(array.reshape(count, 3, 3)), True
    if array.numel() != count * 3:
        what = "PCA components? Give whole rotations" if count == 15 else f"expected {count} rotations"
        raise AnswerFileError(f"{file}: {key} has {array.numel()} numbers ({what}). {UNREAD}")
    return array.reshape(count, 3), False


def _flat(value: Any) -> Float[Tensor, "1 N"]:
    return torch.zeros(1, 10) if value is None else torch.tensor(np.ravel(np.asarray(value, np.float32)))[None]


def _last(value: Any) -> Float[Tensor, "N D"]:
    """An array without its leading axes of one."""
    array = np.asarray(value, np.float32)
    return torch.tensor(array.reshape(array.shape[-2:]))


def _needs_model(file: Path, model: BodyModel | None) -> BodyModel:
    if model is None:
        raise AnswerFileError(
            f"{file} holds SMPL-X parameters and no mesh: give --body-model SMPLX_NEUTRAL.npz (download SMPL-X from "
            "https://smpl-x.is.tue.mpg.de)."
        )
    return model


@torch.no_grad()
def _posed(model: BodyModel, pose: Tensor, betas: Tensor, expression: Tensor, transl: Tensor) -> Answer:
    transl = transl if transl.shape[1] == 3 else torch.zeros(1, 3)
    params = params_from_axis_angle(pose, betas[:, : model.num_betas], expression[:, : model.num_expression], transl)
    return answer_of_params(model, params)


@torch.no_grad()
def answer_of_params(model: BodyModel, params: Any) -> Answer:
    """Mesh and 144 keypoints of one person's parameters."""
    mesh = model(params)
    return Answer(
        vertices=mesh.vertices[0],
        faces=model.faces,
        joints=model.keypoints144(mesh, params)[0],
        joint_names=KEYPOINT_NAMES,
    )
