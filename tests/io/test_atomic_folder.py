"""A folder is the old or the new one, whatever happens; what killed runs leave is swept, what runs is left alone."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from limner.errors import OutputError
from limner.io import atomic_folder as module
from limner.io.atomic_folder import atomic_folder, sweep

KILLED = """
import os, sys
from pathlib import Path
from limner.io.atomic_folder import atomic_folder
calls, after = 0, int(sys.argv[2])
rename = os.rename
def counted(*paths):
    global calls
    calls += 1
    if calls > after:
        os._exit(9)
    rename(*paths)
os.rename = counted
with atomic_folder(Path(sys.argv[1])) as work:
    if after < 0:
        os._exit(9)
    (work / "a").write_text("new")
"""


def ours(path: Path) -> bool:
    return path.name in ("a", "b")


def old(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "a").write_text("old")
    (folder / "b").touch()
    return folder


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_the_umask_says_who_may_read(mask: int, tmp_path: Path):
    before = os.umask(mask)
    try:
        with atomic_folder(tmp_path / "x") as work:
            (work / "a").touch()
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o777 & ~mask
    assert hidden(tmp_path) == []


@pytest.mark.parametrize(("renames", "left"), [(-1, "old"), (0, "old"), (1, "new"), (2, "new")])
def test_a_kill_leaves_the_old_or_the_new(renames: int, left: str, tmp_path: Path):
    """Killed while writing, before the old one is put aside, before the new one is put in place, and after it."""
    folder = old(tmp_path / "x")
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(renames)])
    assert done.returncode == (9 if renames < 2 else 0) and bool(hidden(tmp_path)) == (renames < 2)
    sweep(tmp_path, ours)
    assert (folder / "a").read_text() == left and (folder / "b").exists() == (left == "old")
    assert hidden(tmp_path) == []


def test_a_kill_of_the_first_result_leaves_nothing(tmp_path: Path):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "x"), "-1"])
    assert hidden(tmp_path)
    sweep(tmp_path, ours)
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = old(tmp_path / "x")
    with pytest.raises(ZeroDivisionError), atomic_folder(folder) as work:
        (work / "a").write_text("new")
        raise ZeroDivisionError
    assert (folder / "a").read_text() == "old" and hidden(tmp_path) == []
    rename = os.rename

    def broken(source: Path, target: Path) -> None:
        if Path(source).name == module.NEW:
            raise PermissionError(13, "Permission denied")
        rename(source, target)

    monkeypatch.setattr(os, "rename", broken)
    with pytest.raises(OutputError, match="Permission denied"), atomic_folder(folder) as work:
        (work / "a").write_text("new")
    assert (folder / "a").read_text() == "old" and (folder / "b").exists() and hidden(tmp_path) == []


def test_two_runs_do_not_destroy_each_other(tmp_path: Path):
    """The other run sweeps, and writes the same folder, while this one writes."""
    folder = old(tmp_path / "x")
    with atomic_folder(folder) as work:
        (work / "a").write_text("mine")
        sweep(tmp_path, ours)
        with atomic_folder(folder) as other:
            (other / "a").write_text("theirs")
        assert (folder / "a").read_text() == "theirs"
    assert (folder / "a").read_text() == "mine" and hidden(tmp_path) == []


def test_the_other_run_is_a_moment_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It puts its folder there between this run's two renames."""
    folder = old(tmp_path / "x")
    rename, late = os.rename, []

    def slow(source: Path, target: Path) -> None:
        rename(source, target)
        if not late:
            late.append(old(folder))

    monkeypatch.setattr(os, "rename", slow)
    with atomic_folder(folder) as work:
        (work / "a").write_text("mine")
    assert late and (folder / "a").read_text() == "mine" and not (folder / "b").exists()


def test_only_limners_own_leftovers_are_swept(tmp_path: Path):
    past = time.time() - 4000
    gone = [tmp_path / f".{'0' * 32}.part", tmp_path / ".photo.abcd_123"]
    kept = [tmp_path / name for name in (".git", ".photo.12345678", ".cache", f".{'1' * 32}.part", f".{'g' * 32}.part")]
    for path in (gone[1], *kept[:3]):
        path.mkdir()
    (kept[1] / "mine.txt").touch()
    for path in (gone[0], *kept[3:]):
        path.touch()
    for path in (*gone, *kept[:3], kept[4]):
        os.utime(path, (past, past))
    sweep(tmp_path, ours)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_a_file_of_that_name_is_left_alone_and_links_are_followed(tmp_path: Path):
    (tmp_path / "file").write_text("dear to somebody")
    with pytest.raises(OutputError, match="there is a file of that name"), atomic_folder(tmp_path / "file"):
        pass
    old(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with atomic_folder(tmp_path / "link") as work:
        (work / "a").write_text("new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "elsewhere" / "a").read_text() == "new"
