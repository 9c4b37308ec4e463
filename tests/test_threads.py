"""How many threads a process may use, and that OpenMP's sleep while they wait."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from limner import threads
from limner.threads import one_torch_thread, prepare, quota_cores, usable_threads


def cgroup(folder: Path, limits: dict[str, dict[str, str]], own: str) -> tuple[Path, Path]:
    """A made /sys/fs/cgroup and /proc/self/cgroup."""
    for name, files in limits.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (folder / name / file).write_text(text, encoding="utf-8")
    (folder / "self").write_text(own, encoding="utf-8")
    return folder, folder / "self"


def test_quota_of_version_2_is_the_least_on_the_way_up(tmp_path: Path) -> None:
    limits = {"a/b": {"cpu.max": "max 100000\n"}, "a": {"cpu.max": "150000 100000\n"}, "c": {"cpu.max": "1000 100000"}}
    assert quota_cores(*cgroup(tmp_path, limits, "0::/a/b\n")) == 2
    assert quota_cores(*cgroup(tmp_path, {"a/b": {"cpu.max": "50000 100000"}}, "0::/a/b\n")) == 1
    assert quota_cores(*cgroup(tmp_path, {}, "0::/elsewhere\n")) is None


def test_quota_of_version_1(tmp_path: Path) -> None:
    files = {"cpu.cfs_quota_us": "400000\n", "cpu.cfs_period_us": "100000\n"}
    own = "4:memory:/x\n3:cpu,cpuacct:/box\n"
    assert quota_cores(*cgroup(tmp_path, {"cpu,cpuacct/box": files}, own)) == 4
    assert quota_cores(*cgroup(tmp_path, {"cpu,cpuacct/box": files | {"cpu.cfs_quota_us": "-1"}}, own)) is None


def test_odd_files_limit_nothing(tmp_path: Path) -> None:
    assert quota_cores(*cgroup(tmp_path, {"": {"cpu.max": "much"}}, "0::/\nnonsense")) is None
    assert quota_cores(tmp_path, tmp_path / "missing") is None


@pytest.mark.parametrize(
    ("cores", "quota", "asked", "expected"),
    [(8, None, None, 8), (8, 3, None, 3), (2, 3, None, 2), (8, 4, "2", 2), (8, None, "3,1", 3), (8, 2, "6", 2),
     (4, None, "many", 4), (4, None, "0", 4)],
)  # fmt: skip
def test_threads_are_the_least_of_all_limits(monkeypatch, cores, quota, asked, expected) -> None:
    monkeypatch.setattr(threads, "visible_cores", lambda: cores)
    monkeypatch.setattr(threads, "quota_cores", lambda: quota)
    assert usable_threads({} if asked is None else {"OMP_NUM_THREADS": asked}) == expected


def test_what_the_user_has_set_stands(monkeypatch) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(threads, "visible_cores", lambda: 8)
    monkeypatch.setattr(threads, "quota_cores", lambda: 3)
    fresh: dict[str, str] = {}
    prepare(fresh)
    assert fresh == {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0", "OMP_NUM_THREADS": "3"}
    own = {"OMP_WAIT_POLICY": "ACTIVE", "KMP_BLOCKTIME": "200", "OMP_NUM_THREADS": "5"}
    prepare(own)
    assert own == {"OMP_WAIT_POLICY": "ACTIVE", "KMP_BLOCKTIME": "200", "OMP_NUM_THREADS": "5"}


def test_importing_limner_prepares_and_loads_no_torch() -> None:
    code = "import os, sys, limner; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    bare = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "KMP_"))}
    run = subprocess.run([sys.executable, "-c", code], env=bare, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["PASSIVE", "False"]


def test_one_torch_thread_and_back(monkeypatch) -> None:
    calls = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    monkeypatch.setattr(torch, "set_num_threads", calls.append)
    with pytest.raises(ValueError), one_torch_thread():
        raise ValueError
    assert calls == [1, 7]
