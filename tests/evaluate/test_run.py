"""`limner evaluate` from a folder of photos to tables and pictures."""

import json
from pathlib import Path

import pytest
import torch

from limner.body.model import BodyModel
from limner.evaluate.photo_sets import AnnotationError
from limner.evaluate.run import evaluate_photos
from limner.evaluate.sheets import Tile, contact_sheet
from limner.networks.weights import NetSpec, build_net, write_net
from tests.evaluate.drawn import annotation, everybody, posed_people, write_set


def untrained(folder: Path) -> str:
    torch.manual_seed(0)
    for part in ("body", "hand", "face"):
        spec = NetSpec(part, "blaze", (16,), num_betas=10, num_expression=10)
        write_net(folder, spec, build_net(spec))
    return str(folder)


@pytest.mark.slow
def test_photos_in_tables_and_pictures_out(body: BodyModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    people = posed_people(body, [(0.0, 0.1, 2.5), (0.1, 0.2, 3.0)])
    points = everybody(body, people)
    write_set(tmp_path / "data" / "bodies", [annotation(i, i + 1, points[i], ("body",), "box") for i in range(2)], 2)
    write_set(tmp_path / "data" / "hands", [annotation(1, 1, points[0], ("lefthand",), "hand")], 1)
    write_set(tmp_path / "data" / "faces", [annotation(1, 1, points[0], ("face",), "face")], 1)
    (tmp_path / "data" / "bodies" / "images" / "drawn_2.png").write_bytes(b"broken")
    (tmp_path / "weights").mkdir()
    evaluate_photos(tmp_path / "data", tmp_path / "out", untrained(tmp_path / "weights"))
    names = {"bodies", "hands", "faces"}
    assert {f.name for f in (tmp_path / "out").iterdir()} == {
        "results.json",
        "results.md",
        *(f"{kind}_{name}.png" for kind in ("sheet", "worst") for name in names),
    }
    content = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [one["photo"].rsplit("/", 1)[1] for one in content["skipped"]] == ["drawn_2.png"]
    assert {row["data"] for row in content["tables"][0]["rows"]} == names
    printed = capsys.readouterr().out
    assert "drawn_2.png" in printed and "PCK@0.2" in printed


def test_no_labels_no_evaluation(tmp_path: Path):
    with pytest.raises(AnnotationError):
        evaluate_photos(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_contact_sheet_holds_every_tile_where_it_belongs():
    reds = [Tile(torch.full((3, 20, 40), value, dtype=torch.uint8), f"tile {value}") for value in (10, 20, 30)]
    page = contact_sheet(reds, "three", columns=2)
    assert page.shape[2] == 2 * 48 + 8
    assert page[:, 30, 8].eq(10).all() and page[:, 30, 56].eq(20).all() and page[:, 30 + 44, 8].eq(30).all()
    assert contact_sheet([], "none").shape[0] == 3
