"""Body-model files: what is read, what is refused and how the message helps."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from limner.body.assets import file_notes, read_body_assets
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


def python2_pickle(arrays: dict[str, np.ndarray]) -> bytes:
    """A dict of arrays as Python 2 wrote it: byte strings for keys, type codes and data."""

    def array(x: np.ndarray) -> bytes:
        data, code = x.tobytes(), x.dtype.str[1:].encode()
        shape = b"(" + b"".join(b"J" + int(n).to_bytes(4, "little") for n in x.shape) + b"t"
        dtype = (
            b"cnumpy\ndtype\n(U" + bytes([len(code)]) + code + b"K\x00K\x01tR"
            b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        )
        made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
        return made + b"(K\x01" + shape + dtype + b"\x89T" + len(data).to_bytes(4, "little") + data + b"tb"

    items = [b"U" + bytes([len(k)]) + k.encode() + array(np.ascontiguousarray(v)) for k, v in arrays.items()]
    notes = b"U\x08bs_styleU\x03lbs"  # a text that every such file holds
    return b"\x80\x02}(" + b"".join(items) + notes + b"u."


@pytest.mark.parametrize("written_by", ["Python 2", "Python 3, numpy 1", "Python 3, numpy 2"])
def test_pickles_of_three_generations(tmp_path, smplx_file, written_by):
    arrays = {k: v for k, v in smplx_arrays().items() if v.dtype != object}
    match written_by:
        case "Python 2":
            content = python2_pickle(arrays)
        case "Python 3, numpy 1":
            content = pickle.dumps(arrays, protocol=3).replace(b"cnumpy._core.", b"cnumpy.core.")
            assert b"cnumpy.core.multiarray" in content
        case _:
            content = pickle.dumps(arrays, protocol=4)
            assert b"numpy._core" in content
    path = tmp_path / "SMPLX_NEUTRAL.pkl"
    path.write_bytes(content)
    from_pickle, from_npz = read_body_assets(path), read_body_assets(smplx_file)
    assert np.array_equal(from_pickle.v_template, from_npz.v_template)
    assert np.array_equal(from_pickle.faces, from_npz.faces)
    assert np.array_equal(from_pickle.pose_directions, from_npz.pose_directions)


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


@pytest.mark.parametrize(("directions", "release", "sizes"), [(400, "v1.1", (300, 100)), (20, "v1.0", (10, 10))])
def test_releases_are_told_apart(tmp_path, directions, release, sizes):
    assets = read_body_assets(write(tmp_path / "SMPLX_NEUTRAL.npz", smplx_arrays(directions=directions)))
    assert (assets.shape_directions.shape[-1], assets.expression_directions.shape[-1]) == sizes
    notes = file_notes(replace(assets, v_template=np.zeros((10475, 3))))  # as many vertices as SMPL-X has
    assert notes[0].startswith(f"SMPL-X {release}") and len(notes) == (2 if release == "v1.0" else 1)


def test_a_locked_head_file_is_named_with_its_cure(tmp_path, smplx_file):
    arrays = {k: v for k, v in smplx_arrays().items() if not k.startswith("hands_")}
    (note,) = file_notes(read_body_assets(write(tmp_path / "locked.npz", arrays)))
    assert note.startswith("No hand PCA (a locked-head file?)") and "take the SMPL-X file without locked head" in note
    assert file_notes(read_body_assets(smplx_file)) == []


def test_wrong_folders_say_what_to_give(tmp_path):
    def told(folder) -> str:
        with pytest.raises(BodyModelError, match="is a folder, expected a body-model file") as caught:
            read_body_assets(folder)
        return str(caught.value)

    data = tmp_path / "data"
    (data / "checkpoints").mkdir(parents=True)
    assert "download SMPL-X from" in told(data)
    (data / "checkpoints" / "model.ckpt").touch()
    assert f"for `limner expose --weights {data}`" in told(data)
    smpl = tmp_path / "smpl" / "models"
    smpl.mkdir(parents=True)
    (smpl / "SMPL_NEUTRAL.pkl").touch()
    assert "not SMPL-X (models/SMPL_NEUTRAL.pkl)" in told(smpl.parent)
    (smpl / "smplx").mkdir()
    (smpl / "smplx" / "SMPLX_MALE.npz").touch()
    assert "e.g. one of: models/smplx/SMPLX_MALE.npz." in told(smpl.parent)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.ckpt", b"", r"holds network weights.*limner expose --weights"),
        ("models.zip", b"", r"got '.zip'. Unpack it first"),
        ("SMPLX_NEUTRAL.npz", b"<!DOCTYPE html><title>Sign in</title>", r"is a web page.*Log in at"),
        ("SMPLX_NEUTRAL.pkl", b"version https://git-lfs.github.com/spec/v1", r"Git LFS pointer.*git lfs pull"),
    ],
)
def test_wrong_files_say_what_to_do(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BodyModelError, match=message):
        read_body_assets(tmp_path / name)
