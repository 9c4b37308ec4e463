"""The vertices and joints that published protocols score: auxiliary files that come with SMPL-X, from the user.

They are under SMPL-X's licence, so limner ships none of them. Without a file, what needs it is "not comparable".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from limner.body.assets import read_body_assets
from limner.body.skeleton import JOINT_NAMES
from limner.data.sources.pickled import read_npy, read_pickle
from limner.data.sources.threedpw import J14_NAMES
from limner.errors import DataSetError
from limner.evaluate.person_points import NotComparable, PersonPoints

MODEL_FILES = ("SMPLX_NEUTRAL.npz", "SMPLX_NEUTRAL.pkl")
HANDS_FILE, HEAD_FILE, J14_FILE = "MANO_SMPLX_vertex_ids.pkl", "SMPL-X__FLAME_vertex_ids.npy", "SMPLX_to_J14.pkl"
WHERE = {
    MODEL_FILES[0]: "https://smpl-x.is.tue.mpg.de (Download, SMPL-X)",
    HANDS_FILE: "https://smpl-x.is.tue.mpg.de (Download, MANO and FLAME vertex indices)",
    HEAD_FILE: "https://smpl-x.is.tue.mpg.de (Download, MANO and FLAME vertex indices)",
    J14_FILE: "https://expose.is.tue.mpg.de (in the model data)",
}


@dataclass(frozen=True)
class SmplxFiles:
    """What is known of SMPL-X's mesh; None where the file was not found.

    joint_regressor "55 V", joints14 "14 V": points as weighted means of vertices; left_hand, right_hand: MANO's 778
    vertices; head: FLAME's 5023; vertex_count of SMPL-X; faces "F 3"; model_file: SMPL-X itself; missing: names of
    files not found.
    """

    vertex_count: int | None
    joint_regressor: Float[Tensor, "55 V"] | None
    joints14: Float[Tensor, "14 V"] | None
    left_hand: Int64[Tensor, "H"] | None
    right_hand: Int64[Tensor, "H"] | None
    head: Int64[Tensor, "N"] | None
    faces: Int64[Tensor, "F 3"] | None
    model_file: Path | None = None
    missing: tuple[str, ...] = ()

    def part(self, name: str) -> Int64[Tensor, "N"]:
        """Vertex numbers of `left_hand`, `right_hand`, `head`, or `body` (all but those). Raises NotComparable."""
        if name == "body":
            return torch.nonzero(self._is_body()).flatten()
        found: Tensor | None = getattr(self, name)
        if found is None:
            raise NotComparable(f"needs {HEAD_FILE if name == 'head' else HANDS_FILE}")
        return found

    def _is_body(self) -> Bool[Tensor, "V"]:
        if self.vertex_count is None:
            raise NotComparable(f"needs {MODEL_FILES[0]}")
        body = torch.ones(self.vertex_count, dtype=torch.bool)
        for name in ("left_hand", "right_hand", "head"):
            body[self.part(name)] = False
        return body

    def joint(self, prediction: PersonPoints, name: str) -> Float[Tensor, "3"]:
        """One joint of the skeleton: the prediction's own where it has one, else regressed from a mesh of SMPL-X."""
        return self.joints(prediction, (name,))[0]

    def joints(self, prediction: PersonPoints, names: tuple[str, ...]) -> Float[Tensor, "K 3"]:
        """Joints of the skeleton by name, regressed from the mesh if it is SMPL-X's, else the prediction's own.

        Regressed first, as published protocols do. Raises NotComparable.
        """
        regressor = self.joint_regressor
        if regressor is not None and prediction.vertices is not None and len(prediction.vertices) == regressor.shape[1]:
            rows = regressor[[JOINT_NAMES.index(name) for name in names]]
            return rows @ prediction.vertices.to(rows.dtype)
        try:
            return prediction.named(names).double()
        except NotComparable as error:
            if regressor is None and prediction.vertices is not None:
                raise NotComparable(f"{error}; needs {MODEL_FILES[0]} to regress it from the mesh") from error
            raise

    def fourteen(self, prediction: PersonPoints) -> Float[Tensor, "14 3"]:
        """LSP's 14 joints, regressed from the mesh, or given by name (`j14_...`). Raises NotComparable."""
        if J14_NAMES[0] in prediction.joint_names:
            return prediction.named(J14_NAMES).double()
        if self.joints14 is None:
            raise NotComparable(f"needs {J14_FILE}")
        return self.joints14 @ prediction.mesh(self.joints14.shape[1]).to(self.joints14.dtype)


def find_smplx_files(folders: Iterable[Path], body_model: Path | None = None) -> SmplxFiles:
    """Look for SMPL-X's files in folders, first found first taken; `body_model`: the user's SMPL-X file itself.

    Raises DataSetError or BodyModelError for files that are there but cannot be used.
    """
    places = [folder for folder in folders if folder.is_dir()]
    if body_model is not None:
        places.append(body_model.expanduser().parent)

    def find(*names: str) -> Path | None:
        return next((place / name for place in places for name in names if (place / name).exists()), None)

    model, hands, head, j14 = find(*MODEL_FILES), find(HANDS_FILE), find(HEAD_FILE), find(J14_FILE)
    if body_model is not None and body_model.exists():
        model = body_model
    found = {MODEL_FILES[0]: model, HANDS_FILE: hands, HEAD_FILE: head, J14_FILE: j14}
    assets = None if model is None else read_body_assets(model)
    regressor14 = None if j14 is None else _numbers(j14, read_pickle(j14), 14)
    ids = {} if hands is None else read_pickle(hands)
    if hands is not None and not {"left_hand", "right_hand"} <= set(ids):
        raise DataSetError(f"{hands}: expected left_hand and right_hand in it. Get it from {WHERE[HANDS_FILE]}.")
    count = len(assets.v_template) if assets is not None else None
    if count is None and regressor14 is not None:
        count = regressor14.shape[1]
    return SmplxFiles(
        vertex_count=count,
        joint_regressor=None if assets is None else torch.as_tensor(assets.joint_regressor),
        joints14=regressor14,
        left_hand=_ids(ids.get("left_hand")),
        right_hand=_ids(ids.get("right_hand")),
        head=None if head is None else _ids(read_npy(head)),
        faces=None if assets is None else torch.as_tensor(assets.faces),
        model_file=model,
        missing=tuple(name for name, file in found.items() if file is None),
    )


def _numbers(file: Path, content: object, rows: int) -> Float[Tensor, "R V"]:
    array = np.asarray(content, np.float64) if not isinstance(content, dict) else np.zeros(0)
    if array.ndim != 2 or len(array) != rows:
        raise DataSetError(f"{file} holds {array.shape}, expected ({rows}, 10475). Get it from {WHERE[file.name]}.")
    return torch.as_tensor(array)


def _ids(array: object) -> Int64[Tensor, "N"] | None:
    return None if array is None else torch.as_tensor(np.asarray(array).astype(np.int64).ravel())
