"""`limner model`: what a body-model file holds, printed and drawn."""

from pathlib import Path

import pytest
import torch
from rich.console import Console

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.errors import BodyModelError
from limner.io.image import read_photo
from limner.model_report import Frame, _tile, describe, report_model, stature
from limner.render.sheet import LAYOUT, Tile


def shown(model: BodyModel) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(describe(model))
    return capture.get()


def test_the_report_of_the_embedded_body_names_its_sizes(body: BodyModel):
    text = shown(body)
    assert "limner's embedded body" in text and f"{len(body.v_template)} vertices" in text
    assert "coco_wholebody133 (133)" in text and "40 betas" in text and "20 coefficients" in text
    assert f"mean body {float(stature(body, body.rest())[0]):.2f} m" in text


def test_stature_is_that_of_an_adult_and_follows_the_first_shape(body: BodyModel):
    betas = torch.zeros(3, body.num_betas)
    betas[:, 0] = torch.tensor([-2.0, 0.0, 2.0])
    heights = stature(body, body.rest(3).replace(betas=betas))
    assert 1.5 < float(heights[1]) < 1.9
    assert float((heights[2] - heights[0]).abs()) > 0.2


def test_the_report_of_a_users_file_says_what_is_used_of_it(smplx_file: Path):
    text = shown(BodyModel.load(smplx_file))
    assert "SMPLX_NEUTRAL.npz" in text and "400 vertices, 500 triangles" in text
    assert "16 betas of 300 in the file" in text and "486 directions" in text


def test_the_picture_is_written_where_asked_for(tmp_path: Path, capsys, monkeypatch):
    """Tiles of bodies, faces and hands; what is in a tile is the next test's matter."""
    captions = []

    def blank(model: BodyModel, params: BodyParams, frame: Frame, caption: str) -> Tile:
        captions.append(caption)
        return Tile(torch.zeros(3, frame.height, frame.width, dtype=torch.uint8), caption, LAYOUT.ink)

    monkeypatch.setattr("limner.model_report._tile", blank)
    monkeypatch.setenv("COLUMNS", "200")
    picture = tmp_path / "report" / "model.png"
    report_model(None, picture)
    assert str(picture) in capsys.readouterr().out
    assert {"mean body", "beta 0 = -2", "beta 3 = +2", "expression 4 = +2", "flat left hand"} <= set(captions)
    drawn = read_photo(picture)
    assert drawn.width > 2000 and drawn.height > 900


def test_a_tile_shows_the_part_asked_for_at_its_scale(body: BodyModel):
    """The whole body in a frame three times its height fills a third of it, feet down, in the middle."""
    vertices = body(body.rest()).vertices[0]
    low, high = vertices.amin(0), vertices.amax(0)
    height = float(high[1] - low[1])
    tile = _tile(body, body.rest(), Frame(((low + high) / 2).tolist(), 3 * height, 300, 300), "")
    rows = (tile.image < 250).any(0).any(1).nonzero()[:, 0]
    assert abs(int(rows[0]) - 100) <= 1 and abs(int(rows[-1]) - 199) <= 1


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(BodyModelError, match="no body model at"):
        report_model(tmp_path / "SMPLX_MALE.npz", tmp_path / "model.png")
    assert list(tmp_path.iterdir()) == []
