"""Are damaged or foreign weight files refused with a cure?"""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import limner
from limner.errors import WeightsError
from limner.networks.blaze.face import BlazeFace
from limner.networks.blaze.hand import BlazeHand

WEIGHTS = Path(limner.__file__).parent / "assets" / "weights"


def test_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match="none.safetensors.*Reinstall"):
        BlazeFace.load(tmp_path / "none.safetensors")


def test_weights_of_another_network_are_refused():
    with pytest.raises(WeightsError, match="BlazeHand"):
        BlazeHand.load(WEIGHTS / "blaze_face.safetensors")


def test_truncated_file_is_refused(tmp_path):
    path = tmp_path / "half.safetensors"
    path.write_bytes((WEIGHTS / "blaze_face.safetensors").read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="cannot be read"):
        BlazeFace.load(path)


def test_incomplete_state_is_refused(tmp_path):
    path = tmp_path / "one.safetensors"
    save_file({"stem.conv.weight": torch.zeros(16, 3, 3, 3)}, path)
    with pytest.raises(WeightsError, match="Missing key"):
        BlazeFace.load(path)


@pytest.mark.parametrize("name", ["blaze_pose", "blaze_hand", "blaze_face"])
def test_files_carry_their_origin_and_licence(name):
    with safe_open(WEIGHTS / f"{name}.safetensors", "pt") as file:
        metadata = file.metadata()
        assert all(file.get_tensor(key).dtype == torch.float16 for key in file.keys())  # noqa: SIM118
    assert metadata["licence"].startswith("Apache-2.0")
    assert metadata["origin"].startswith("mediapipe-0.10.21")
    assert len(metadata["sha256"]) == 64
