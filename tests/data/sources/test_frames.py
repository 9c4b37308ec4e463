"""Tables that pandas 1.5 and 3.1 have pickled (in tables/), and the form of older ones, are read without pandas."""

import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from limner.data.sources.frames import read_frame
from limner.errors import DataSetError

TABLES = Path(__file__).parent / "tables"


@pytest.mark.parametrize("name", ["pandas_1_5.pkl", "pandas_3_1.pkl"])
def test_tables_of_pandas_are_read(name: str):
    table = read_frame(TABLES / name)
    assert list(table) == [
        "imgPath", "X", "camX", "camYaw", "isValid", "gender", "gt_joints_2d", "gt_joints_3d", "gt_verts",
    ]  # fmt: skip
    assert table["imgPath"] == ["ag_validationset_a_00_00000.png", "ag_validationset_b_00_00001.png"]
    assert table["X"] == [[1.0, 2.0], [3.0]] and table["camX"] == [0.5, 0.25] and table["camYaw"] == [3, 4]
    assert table["isValid"][0] == [True, False] and table["gender"][1] == ["female"]
    assert np.array_equal(table["gt_verts"][0][1], np.full((2, 3), 2.5))


class OldIndex:
    def __init__(self, labels: np.ndarray):
        self.labels = labels

    def __reduce__(self) -> tuple[Any, ...]:
        return new_index, (OldIndex, {"data": self.labels, "name": None})


def new_index(kind: type, content: dict[str, Any]) -> OldIndex:
    raise AssertionError("only its name is pickled")


class OldManager:
    def __init__(self, state: tuple[Any, ...] = ()):
        self.state = state

    def __getstate__(self) -> tuple[Any, ...]:
        return self.state


class OldFrame:
    def __init__(self, manager: OldManager):
        self.__dict__ = {"_data": manager, "_typ": "dataframe", "_metadata": []}


def test_tables_of_pandas_before_1_3_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    parents = ("pandas", "pandas.core", "pandas.core.internals", "pandas.core.indexes")
    for parent in parents:
        monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
    for kind, module, name in (
        (OldFrame, "pandas.core.frame", "DataFrame"),
        (OldManager, "pandas.core.internals.managers", "BlockManager"),
        (OldIndex, "pandas.core.indexes.base", "Index"),
        (new_index, "pandas.core.indexes.base", "_new_Index"),
    ):
        fake = sys.modules.get(module) or ModuleType(module)
        setattr(fake, name, kind)
        monkeypatch.setitem(sys.modules, module, fake)
        kind.__module__, kind.__qualname__ = module, name
    numbers, texts = np.array([[1.0, 2.0]]), np.array([["a", "b"], ["c", "d"]], object)
    axes = [OldIndex(np.array(["x", "n", "y"], object)), OldIndex(np.arange(2))]
    blocks = [{"values": texts, "mgr_locs": np.array([0, 2])}, {"values": numbers, "mgr_locs": slice(1, 2, 1)}]
    state = (axes, [texts, numbers], [axes[0], axes[0]], {"0.14.1": {"axes": axes, "blocks": blocks}})
    (tmp_path / "old.pkl").write_bytes(pickle.dumps(OldFrame(OldManager(state)), protocol=2))
    assert read_frame(tmp_path / "old.pkl") == {"x": ["a", "b"], "n": [1.0, 2.0], "y": ["c", "d"]}


class Harm:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.path), "w")


def test_tables_run_no_code_and_damaged_ones_are_named(tmp_path: Path):
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps({"a": Harm(tmp_path / "harm")}))
    (tmp_path / "cut.pkl").write_bytes((TABLES / "pandas_1_5.pkl").read_bytes()[:900])
    (tmp_path / "dict.pkl").write_bytes(pickle.dumps({"imgPath": []}))
    for name, why in (
        ("bad.pkl", "refused"),
        ("cut.pkl", "cut.pkl"),
        ("dict.pkl", "holds a dict"),
        ("no.pkl", "exist"),
    ):
        with pytest.raises(DataSetError, match=why):
            read_frame(tmp_path / name)
    assert not (tmp_path / "harm").exists()
