"""Pickles of data sets give numbers and run nothing."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from limner.data.sources.pickled import names_in_npz, read_npy, read_npz, read_pickle
from limner.errors import DataSetError


class Harm:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.path), "w")


def test_arrays_in_lists_in_dicts_come_back(tmp_path: Path):
    content = {"poses": [np.arange(6.0).reshape(2, 3)], "genders": ["m"], "n": np.float64(2.5), "cam": np.eye(4)}
    file = tmp_path / "sequence.pkl"
    file.write_bytes(pickle.dumps(content, protocol=2))
    read = read_pickle(file)
    assert np.array_equal(read["poses"][0], content["poses"][0]) and read["genders"] == ["m"] and read["n"] == 2.5


def test_pickles_run_no_code(tmp_path: Path):
    harm = tmp_path / "harm"
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps({"a": Harm(harm)}))
    np.savez(tmp_path / "bad.npz", a=np.array(Harm(harm), dtype=object))
    np.save(tmp_path / "bad.npy", np.array(Harm(harm), dtype=object))
    for read, name in ((read_pickle, "bad.pkl"), (read_npz, "bad.npz"), (read_npy, "bad.npy")):
        with pytest.raises(DataSetError, match="refused"):
            read(tmp_path / name)
    assert not harm.exists()


def test_an_archive_with_objects_is_read(tmp_path: Path):
    file = tmp_path / "data.npz"
    np.savez(file, smplx={"betas": np.ones(3)}, nothing=None, names=np.array(["a", "b"]), numbers=np.arange(3))
    read = read_npz(file)
    assert names_in_npz(file) == set(read) == {"smplx", "nothing", "names", "numbers"}
    assert read["smplx"]["betas"].tolist() == [1, 1, 1] and read["nothing"] is None
    assert read["names"].tolist() == ["a", "b"] and read["numbers"].tolist() == [0, 1, 2]


def test_a_cut_off_file_is_named(tmp_path: Path):
    np.savez(tmp_path / "whole.npz", a=np.zeros(1000))
    np.save(tmp_path / "whole.npy", np.zeros(1000))
    for read, name in ((read_npz, "whole.npz"), (read_npy, "whole.npy")):
        file = tmp_path / name
        file.write_bytes(file.read_bytes()[:300])
        with pytest.raises(DataSetError, match=name):
            read(file)
    (tmp_path / "cut.pkl").write_bytes(pickle.dumps(np.zeros(100))[:50])
    for read, name in (
        (read_pickle, "cut.pkl"),
        (read_pickle, "no.pkl"),
        (read_npz, "no.npz"),
        (names_in_npz, "no.npz"),
        (read_npy, "no.npy"),
    ):
        with pytest.raises(DataSetError, match=name):
            read(tmp_path / name)
