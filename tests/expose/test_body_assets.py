"""The body model of a checkpoint: whose arrays win, and the cut-down model of the keypoints."""

from pathlib import Path

import numpy as np
import pytest
import torch

from limner.body.assets import BodyAssets, read_body_assets
from limner.errors import BodyModelError
from limner.expose.body_assets import (
    BUFFERS,
    assets_from_arrays,
    assets_to_arrays,
    checkpoint_assets,
)
from limner.expose.checkpoint import Checkpoint


@pytest.fixture(scope="module")
def users(smplx_file) -> BodyAssets:
    return read_body_assets(smplx_file)


def checkpoint_of(assets: BodyAssets, scale: float = 1.0, without: tuple[str, ...] = ()) -> Checkpoint:
    """A checkpoint that holds nothing but a body model, `scale` times as large."""
    arrays = {buffer: np.array(getattr(assets, field)) for field, buffer in BUFFERS.items()}
    arrays["v_template"] = arrays["v_template"] * scale
    arrays["shapedirs"], arrays["expr_dirs"] = arrays["shapedirs"][..., :10], arrays["expr_dirs"][..., :10]
    arrays["posedirs"] = arrays["posedirs"].reshape(-1, 486).T.copy()
    arrays["faces_tensor"] = arrays["faces_tensor"].astype(np.int64)
    tensors = {f"body_model.{k}": torch.from_numpy(v) for k, v in arrays.items() if k not in without}
    return Checkpoint(Path("model.ckpt"), tensors)


def test_the_checkpoint_s_body_wins_over_the_user_s_file(users):
    own = checkpoint_assets(checkpoint_of(users, scale=1.03), users)
    assert np.allclose(own.v_template, users.v_template * 1.03)
    assert own.hand_components is users.hand_components  # the checkpoint has six directions only


def test_pose_directions_keep_their_meaning(users):
    own = checkpoint_assets(checkpoint_of(users), None)
    assert np.array_equal(own.pose_directions, users.pose_directions)


def test_what_the_download_lacks_comes_from_the_user_s_file_or_the_older_name(users):
    checkpoint = checkpoint_of(users, without=("dynamic_lmk_bary_coords",))
    assert checkpoint_assets(checkpoint, users).contour_barycentric is users.contour_barycentric
    with pytest.raises(BodyModelError, match=r"lacks body_model.dynamic_lmk_bary_coords.*--body-model"):
        checkpoint_assets(checkpoint, None)
    older = torch.from_numpy(np.array(users.contour_barycentric)) * 0 + 1 / 3
    tensors = {**checkpoint.tensors, "body_model.dynamic_lmk_b_coords": older}
    own = checkpoint_assets(Checkpoint(checkpoint.path, tensors), None)
    assert np.allclose(own.contour_barycentric, 1 / 3)


def test_assets_survive_the_file_form(users):
    again = assets_from_arrays(users.path, assets_to_arrays(users))
    for name, array in assets_to_arrays(users).items():
        assert np.array_equal(getattr(again, name), array)
    assert again.faces.dtype == np.int64
