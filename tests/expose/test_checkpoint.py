"""Reading checkpoints: file formats, foreign objects, constants that differ, errors with cures."""

import os
import pickle
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.errors import WeightsError
from limner.expose.checkpoint import CheckpointWarning, find_checkpoint, read_checkpoint

USED = "smplx.backbone.conv1.weight"


def small(**extra: object) -> dict[str, object]:
    return {USED: torch.arange(12.0).reshape(3, 4), **extra}


def saved(folder: Path, content: object, **options: object) -> Path:
    path = folder / "model.ckpt"
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("tag", ["cpu", "cuda:0"])
def test_both_file_formats_and_gpu_storages_are_read(tmp_path, monkeypatch, zipped, tag):
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: tag)
    path = saved(tmp_path, {"model": small(), "iteration": 3}, _use_new_zipfile_serialization=zipped)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checkpoint = read_checkpoint(path)
    assert torch.equal(checkpoint.tensors["backbone.conv1.weight"], torch.arange(12.0).reshape(3, 4))


def test_numpy_arrays_parameters_and_half_precision_become_float_tensors(tmp_path):
    state = small()
    state["smplx.regressor.mean_param"] = np.ones((1, 341))
    state["smplx.backbone.bn1.weight"] = torch.nn.Parameter(torch.ones(4, dtype=torch.float16))
    tensors = read_checkpoint(saved(tmp_path, {"model": state})).tensors
    assert all(t.dtype == torch.float32 and not t.requires_grad for t in tensors.values())
    assert tensors["regressor.mean_param"].shape == (1, 341)


def test_a_bare_state_dict_is_read(tmp_path):
    assert list(read_checkpoint(saved(tmp_path, small())).tensors) == ["backbone.conv1.weight"]


@pytest.mark.parametrize("old_new", [("smplx.", "module.smplx."), ("smplx.", ""), ("smplx.", "module.")])
@pytest.mark.parametrize("entry", ["model", "state_dict"])
def test_names_of_other_wrappings_are_understood(tmp_path, old_new, entry):
    renamed = {name.replace(*old_new): value for name, value in small().items()}
    checkpoint = read_checkpoint(saved(tmp_path, {entry: renamed}))
    assert list(checkpoint.tensors) == ["backbone.conv1.weight"]


class Bomb:
    """Leaves a trace when it is unpickled by a reader that runs what it finds."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_code_does_not_run(tmp_path, zipped):
    trace = tmp_path / "trace"
    content = {"model": small(), "scheduler": {"milestones": Counter([1, 2]), "odd": Bomb(trace), "f": pickle.dumps}}
    path = saved(tmp_path, content, _use_new_zipfile_serialization=zipped)
    assert len(read_checkpoint(path).tensors) == 1
    assert not trace.exists()
    with pytest.raises(WeightsError, match=r"conv1.weight is a _Shell, expected a tensor"):
        read_checkpoint(saved(tmp_path, {"model": {USED: Bomb(trace)}}))
    assert not trace.exists()


def test_unknown_names_are_named(tmp_path):
    path = saved(tmp_path, {"model": small(**{"smplx.surprise": torch.zeros(1)})})
    with pytest.warns(CheckpointWarning, match="1 names that limner does not know: smplx.surprise"):
        read_checkpoint(path)


def test_constants_that_differ_are_named(tmp_path):
    state = small(
        **{
            "smplx.neck_kin_chain": torch.tensor([12, 9, 6, 3, 0]),
            "smplx.left_hand_idxs": torch.arange(21),
            "smplx.hand_predictor.regressor.mean_param": torch.zeros(1, 109),
            "smplx.hand_predictor.camera_mean": torch.tensor([[0.5, 0.0, 0.0]]),
        }
    )
    names = "smplx.left_hand_idxs, smplx.hand_predictor.camera_mean$"
    with pytest.warns(CheckpointWarning, match=f"2 unusual constants: {names}"):
        read_checkpoint(saved(tmp_path, {"model": state}))


def test_latest_checkpoint_and_folders_lead_to_the_file(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    path = saved(folder, {"model": small()})
    (folder / "latest_checkpoint").write_text("data/checkpoints/model.ckpt\n")
    for given in (path, folder / "latest_checkpoint", folder, tmp_path):
        assert find_checkpoint(given) == path
    path.unlink()
    with pytest.raises(WeightsError, match=r"names data/checkpoints/model.ckpt, which does not exist"):
        find_checkpoint(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as a torch checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "damaged, cut off or of another kind"),
        (b"<html>Sign in</html>", "damaged, cut off or of another kind"),
    ],
)
def test_foreign_files_are_refused_with_a_cure(tmp_path, content, message):
    path = tmp_path / "model.ckpt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message) as caught:
        read_checkpoint(path)
    assert "https://expose.is.tue.mpg.de" in str(caught.value)


def test_a_cut_off_file_is_refused(tmp_path):
    path = saved(tmp_path, {"model": small()})
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(WeightsError, match="cut off"):
        read_checkpoint(path)


def test_missing_files_and_other_checkpoints_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="no checkpoint at"):
        read_checkpoint(tmp_path / "none.ckpt")
    with pytest.raises(WeightsError, match="a folder without latest_checkpoint"):
        read_checkpoint(tmp_path)
    with pytest.raises(WeightsError, match=r"is no ExPose checkpoint.*fc.weight"):
        read_checkpoint(saved(tmp_path, {"model": {"fc.weight": torch.zeros(1)}}))
    with pytest.raises(WeightsError, match="expected a dict"):
        read_checkpoint(saved(tmp_path, [1, 2]))
