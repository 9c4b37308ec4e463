"""Result folders: one a photo, whatever the photos are called."""

import os
import unicodedata
from pathlib import Path

import pytest

from limner.errors import OutputError
from limner.pipeline.result_names import FILES, MOST_BYTES, check_files, result_names, safe_name

ACCENT = unicodedata.normalize("NFD", "é.jpg"), unicodedata.normalize("NFC", "é.jpg")


@pytest.mark.parametrize(
    "photos",
    [
        ["a.jpg", "a.png", "a_jpg.jpg", "a_jpg_0.jpg", "a_jpg_1.jpg"],
        ["a.jpg", "a.png", "a_png.jpg"],
        ["x/a.jpg", "y/a.jpg", "a_jpg_0.jpg"],
        ["A.jpg", "a.jpg"],
        ["STRASSE.jpg", "straße.jpg"],
        [".jpg", "..jpg", "...jpg", "photo.jpg"],
        ["a.jpg", "a .jpg", "a..jpg", " a.jpg"],
        ["a\x1b.jpg", "a\n.jpg", "a_.jpg", "a:.jpg", "a?.jpg"],
        [os.fsdecode(b"a\xff.jpg"), os.fsdecode(b"a\xfe.jpg"), "a_.jpg"],
        [ACCENT[0], ACCENT[1]],
        ["con.jpg", "CON.png", "con_.jpg"],
        ["n" * 251, "n" * 250 + "m", "n" * 251 + ".jpg", "é" * 125 + ".jpg"],
        ["a." + "x" * 240, "a." + "x" * 241, "a." + "é" * 100],
    ],
)
def test_no_two_photos_share_a_folder(photos: list[str]):
    names = result_names([Path(photo) for photo in photos])
    same = {unicodedata.normalize("NFKD", name.casefold()) for name in names}
    assert len(same) == len(photos), names
    for name in names:
        assert len(name.encode()) <= 210 and "/" not in name
        assert name == safe_name(name) or len(name.encode()) > MOST_BYTES


def test_files_are_chosen_by_kind():
    assert check_files(["ply", "glb", "ply"]) == {"glb", "ply"} and check_files(FILES) == set(FILES)
    for wrong in (["ply", "glbb"], [], "glb"):
        with pytest.raises(OutputError, match=r"got (glbb|none|b, g, l), expected some of overlay, sheet, glb, obj"):
            check_files(wrong)
    with pytest.raises(OutputError, match="got glb, expected some of ply, params"):
        check_files(["glb"], ["ply", "params"])


def test_plain_names_stay():
    assert result_names([Path("x/party.jpg"), Path("tea.v2.png")]) == ["party", "tea.v2"]
    assert result_names([Path("twin.png"), Path("twin.bmp")]) == ["twin_png", "twin_bmp"]
    assert safe_name("mit Leerzeichen und ümlaut 写真 😀") == "mit Leerzeichen und ümlaut 写真 😀"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("..", "photo"),
        ("NUL", "NUL_"),
        ("com1.tar", "com1.tar_"),
        ("lpt¹", "lpt¹_"),
        ("console", "console"),
        ("fits.json", "fits.json_"),
        ("person_0", "person_0_"),
        ("person_x", "person_x"),
        ("track_0.npz", "track_0.npz_"),
        ("a. .", "a"),
        ("\u202egpj", "_gpj"),
    ],
)
def test_names_that_are_kept_for_others(name: str, safe: str):
    assert safe_name(name) == safe


def test_a_long_name_is_cut_and_told_apart():
    one, two = safe_name("é" * 120 + "1"), safe_name("é" * 120 + "2")
    assert one != two and len(one.encode()) <= MOST_BYTES + 9 and one == safe_name("é" * 120 + "1")


def test_folders_below_are_mirrored_and_never_a_photos_own():
    photos = [Path(p) for p in ("party.jpg", "party/person_0.jpg", "party/a.jpg", "Party/a.png", "b/fits.json.jpg")]
    below = [Path(p) for p in ("", "party", "party", "Party", "b")]
    assert result_names(photos, below) == ["party_jpg", "party/person_0_", "party/a_jpg", "Party/a_png", "b/fits.json_"]
