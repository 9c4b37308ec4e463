"""Files appear whole or not at all."""

import errno
import os

import pytest

from limner.errors import OutputError
from limner.io.atomic import atomic_write


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "new" / "folder" / "a.bin"
    for content in (b"one", b"two"):
        with atomic_write(path) as file:
            file.write(content)
        assert path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("error", [ValueError("bug"), KeyboardInterrupt()])
def test_failure_keeps_the_old_file_and_leaves_no_rubbish(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(type(error)), atomic_write(path) as file:
        file.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_nothing_is_visible_before_the_end(tmp_path):
    path = tmp_path / "a.bin"
    with atomic_write(path) as file:
        file.write(b"x")
        file.flush()
        assert not path.exists()
    assert path.exists()


def test_disk_full_names_the_cure(tmp_path):
    path = tmp_path / "a.bin"
    with pytest.raises(OutputError, match="disk is full: free some space"), atomic_write(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_path_below_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="a file, not a folder"), atomic_write(tmp_path / "file" / "a.bin"):
        pass
    with pytest.raises(OutputError, match="a file, not a folder"), atomic_write(tmp_path / "file" / "b" / "a.bin"):
        pass


def test_folders_and_devices_are_not_replaced(tmp_path):
    with pytest.raises(OutputError, match="is a folder"), atomic_write(tmp_path):
        pass
    with pytest.raises(OutputError, match="no regular file"), atomic_write("/dev/null"):
        pass
    assert not os.path.isfile("/dev/null")


def test_too_long_a_name(tmp_path):
    with pytest.raises(OutputError, match="shorter"), atomic_write(tmp_path / ("x" * 300)):
        pass


def test_follows_links_and_umask(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    link.symlink_to(real)
    old_mask = os.umask(0o027)
    try:
        with atomic_write(link) as file:
            file.write(b"new")
    finally:
        os.umask(old_mask)
    assert link.is_symlink() and real.read_bytes() == b"new"
    assert real.stat().st_mode & 0o777 == 0o640
