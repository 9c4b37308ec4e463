"""Body-model files: what is read, what is refused and how the message helps."""

import pickle

import numpy as np
import pytest

from limner.body.assets import read_body_assets
from limner.errors import BodyModelError
from tests.conftest import smplx_arrays


def write(path, arrays):
    np.savez(path, **arrays)
    return path


def test_pickle_equals_npz(tmp_path, smplx_file):
    import scipy.sparse

    arrays = smplx_arrays()
    arrays["J_regressor"] = scipy.sparse.csc_matrix(arrays["J_regressor"])
    path = tmp_path / "SMPLX_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps(arrays, protocol=2))
    from_pickle, from_npz = read_body_assets(path), read_body_assets(smplx_file)
    assert np.array_equal(from_pickle.v_template, from_npz.v_template)
    assert np.allclose(from_pickle.joint_regressor, from_npz.joint_regressor)


def test_chumpy_arrays_are_read_without_chumpy(tmp_path, monkeypatch):
    import sys
    import types

    module = types.ModuleType("chumpy.ch")
    module.Ch = type("Ch", (), {"__module__": "chumpy.ch"})
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)
    arrays = smplx_arrays()
    record = module.Ch()
    record.x = arrays["shapedirs"]
    path = tmp_path / "SMPLX_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps(arrays | {"shapedirs": record}, protocol=2))
    monkeypatch.undo()
    assert read_body_assets(path).shape_directions.shape[-1] == 300


def test_pickles_run_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    path = tmp_path / "SMPLX_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps({"v_template": Evil()}))
    with pytest.raises(BodyModelError, match="refused"):
        read_body_assets(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(("joints", "family"), [(24, "SMPL"), (52, "SMPL\\+H"), (16, "MANO"), (5, "FLAME")])
def test_other_models_are_named(tmp_path, joints, family):
    arrays = smplx_arrays() | {"kintree_table": np.zeros((2, joints))}
    with pytest.raises(BodyModelError, match=f"is a {family} model"):
        read_body_assets(write(tmp_path / "model.npz", arrays))


def test_messages_name_the_cure(tmp_path):
    with pytest.raises(BodyModelError, match="no body model at .*Use limner's embedded body"):
        read_body_assets(tmp_path / "nothing.npz")
    with pytest.raises(BodyModelError, match="is a folder"):
        read_body_assets(tmp_path)
    (tmp_path / "SMPLX_NEUTRAL.npz").write_bytes(b"")
    with pytest.raises(BodyModelError, match="damaged"):
        read_body_assets(tmp_path / "SMPLX_NEUTRAL.npz")
    whole = write(tmp_path / "whole.npz", smplx_arrays()).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BodyModelError, match="damaged"):
        read_body_assets(tmp_path / "cut.npz")
    with pytest.raises(BodyModelError, match="SMPLX_NEUTRAL.npz"):
        read_body_assets(tmp_path)
    arrays = smplx_arrays()
    del arrays["weights"]
    with pytest.raises(BodyModelError, match="lacks weights"):
        read_body_assets(write(tmp_path / "part.npz", arrays))
    with pytest.raises(BodyModelError, match="has 7 components"):
        read_body_assets(write(tmp_path / "dirs.npz", smplx_arrays(directions=7)))


def test_locked_head_file_without_hand_components(tmp_path):
    arrays = {k: v for k, v in smplx_arrays().items() if not k.startswith("hands_")}
    assets = read_body_assets(write(tmp_path / "locked.npz", arrays))
    assert assets.hand_components is None and not assets.hand_means.any()
