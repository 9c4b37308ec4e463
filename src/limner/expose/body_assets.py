"""The body model of an official checkpoint."""

from dataclasses import fields
from pathlib import Path

import numpy as np

from limner.body.assets import BodyAssets
from limner.errors import BodyModelError
from limner.expose.checkpoint import Checkpoint

BUFFERS = {
    "v_template": "v_template",
    "shape_directions": "shapedirs",
    "expression_directions": "expr_dirs",
    "pose_directions": "posedirs",
    "joint_regressor": "J_regressor",
    "weights": "lbs_weights",
    "faces": "faces_tensor",
    "landmark_faces": "lmk_faces_idx",
    "landmark_barycentric": "lmk_bary_coords",
    "contour_faces": "dynamic_lmk_faces_idx",
    "contour_barycentric": "dynamic_lmk_bary_coords",
    "vertex_ids": "vertex_joint_selector.extra_joints_idxs",
}
"""Field of BodyAssets: buffer below `body_model.` of a checkpoint."""
OLDER_NAMES = {"contour_barycentric": "dynamic_lmk_b_coords"}


def checkpoint_assets(checkpoint: Checkpoint, users: BodyAssets | None) -> BodyAssets:
    """The body model of a checkpoint: its own buffers first, then the user's file (as the original's loading order).

    Raises BodyModelError where neither has an array, naming it.
    """
    stored = {name: tensor.numpy() for name, tensor in checkpoint.part("body_model.").items()}
    if "posedirs" in stored:  # 486 x 3V there, V 3 486 here; a view, the numbers stay where they are
        stored["posedirs"] = stored["posedirs"].reshape(486, -1, 3).transpose(1, 2, 0)
    arrays = {}
    for field, buffer in BUFFERS.items():
        array = stored.get(buffer)
        if array is None and users is not None:
            array = getattr(users, field)
        if array is None:
            array = stored.get(OLDER_NAMES.get(field, ""))
        if array is None:
            raise BodyModelError(
                f"{checkpoint.path} lacks body_model.{buffer}. Give the SMPL-X file that belongs to it with "
                "--body-model PATH/TO/SMPLX_NEUTRAL.npz."
            )
        arrays[field] = array
    means = [stored[name] for name in ("left_hand_mean", "right_hand_mean") if name in stored]
    if len(means) < 2:  # no number depends on them here: the hands come as rotations
        means = list(users.hand_means) if users else [np.zeros(45, np.float32)] * 2
    return BodyAssets(
        path=checkpoint.path,
        hand_means=np.stack(means),
        hand_components=users.hand_components if users else None,
        extra={},
        **arrays,
    )


def assets_to_arrays(assets: BodyAssets) -> dict[str, np.ndarray]:
    """The arrays of a body model by field name, for a file; integers as int64."""
    arrays = {f.name: getattr(assets, f.name) for f in fields(assets) if f.name not in ("path", "extra")}
    return {
        name: array.astype(np.int64) if array.dtype.kind in "iu" else array
        for name, array in arrays.items()
        if array is not None
    }


def assets_from_arrays(path: Path, arrays: dict[str, np.ndarray]) -> BodyAssets:
    """Inverse of `assets_to_arrays`."""
    optional: dict[str, np.ndarray | None] = {"pose_directions": None, "hand_components": None}
    return BodyAssets(path=path, extra={}, **(optional | arrays))  # type: ignore[arg-type]
