"""Folders of photos: what limner reads is found, what only looks like a photo is named, the rest is counted."""

import os
from pathlib import Path

import pytest
from PIL import Image

from limner.errors import PhotoError
from limner.io.photo_list import PHOTO_ENDINGS, find_photos, list_photos

FILM = b"\0\0\0\x18ftypisom" + bytes(40)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_list_photos(tmp_path: Path):
    touch(tmp_path, "b.JPG", "a.jpeg", "c.Png", "d.webp", "notes.txt", ".hidden.jpg", "e.tiff")
    (tmp_path / "deeper.jpg").mkdir()
    folder = [tmp_path / name for name in ("a.jpeg", "b.JPG", "c.Png", "d.webp", "e.tiff")]
    assert list_photos(tmp_path) == folder
    assert list_photos([tmp_path / "notes.txt", str(tmp_path)]) == [tmp_path / "notes.txt", *folder]
    assert list_photos([tmp_path / "d.webp", tmp_path])[0] == tmp_path / "d.webp"
    assert len(list_photos([tmp_path, tmp_path / "b.JPG"])) == 5


def test_every_format_that_is_read_alone_is_read_from_a_folder(tmp_path: Path):
    touch(tmp_path, *(f"a{ending}" for ending in PHOTO_ENDINGS))
    Image.new("RGB", (8, 8)).save(tmp_path / "no_ending", format="JPEG")
    Image.new("RGB", (8, 8)).save(tmp_path / "other.ending", format="BMP")
    found = find_photos(tmp_path)
    assert {".heic", ".gif", ".mpo", ".jp2", ".jfif", ".jpe"} <= {path.suffix for path in found.photos}
    assert len(found.photos) == len(PHOTO_ENDINGS) + 2 and not found.left_out and not found.others


def test_what_looks_like_a_photo_is_named_and_the_rest_is_counted(tmp_path: Path):
    touch(tmp_path, "a.jpg", "b.CR2", "c.mov", "d.psd", "Thumbs.db", ".DS_Store", "._a.jpg", "notes.txt", "below/x.jpg")
    (tmp_path / "clip").write_bytes(FILM)
    (tmp_path / "BM.txt").write_text("BM is how this text begins, which is not a bitmap")
    os.mkfifo(tmp_path / "pipe.jpg")
    found = find_photos(tmp_path)
    reasons = {one.file.name: one.reason for one in found.left_out}
    assert [path.name for path in found.photos] == ["a.jpg"] and list(reasons) == ["b.CR2", "c.mov", "clip", "d.psd"]
    assert "raw file" in reasons["b.CR2"] and "ffmpeg -i c.mov" in reasons["c.mov"] and "film" in reasons["clip"]
    assert found.others == 6 and found.folders == 1
    assert found.remarks() == [
        "6 other files left out: no pictures, or hidden.",
        "1 folder below left out: looked into with --recursive.",
    ]


def test_folders_below(tmp_path: Path):
    touch(tmp_path, "a.jpg", "x/a.jpg", "x/y/b.jpg", ".hidden/c.jpg", "out/d.jpg", "old/result.json", "old/overlay.png")
    (tmp_path / "x" / "loop").symlink_to(tmp_path)
    found = find_photos(tmp_path, recursive=True, without=[tmp_path / "out"])
    assert found.photos == [tmp_path / name for name in ("a.jpg", "x/a.jpg", "x/y/b.jpg")]
    assert found.below == [Path(), Path("x"), Path("x/y")]
    touch(tmp_path / "deep", "x/a.jpg")
    with pytest.raises(PhotoError, match="1 folders below are looked into with --recursive"):
        find_photos(tmp_path / "deep")


def test_nothing_to_list(tmp_path: Path):
    with pytest.raises(PhotoError, match="holds nothing.*Give another folder"):
        list_photos(tmp_path)
    (tmp_path / "a.mov").touch()
    with pytest.raises(PhotoError, match=r"holds \.mov.*\.jpg.*a\.mov is a film"):
        list_photos([tmp_path])
    with pytest.raises(PhotoError, match="does not exist"):
        list_photos([tmp_path / "no.jpg"])
    with pytest.raises(PhotoError, match="cannot be a file|does not exist"):
        list_photos([tmp_path / ("x" * 300)])
    with pytest.raises(PhotoError, match="no photo given"):
        list_photos([])
