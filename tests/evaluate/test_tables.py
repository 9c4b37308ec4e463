"""Tables as Markdown, JSON and terminal text."""

import io
import json
import math
from pathlib import Path

from rich.console import Console

from limner.evaluate.metrics import Estimate
from limner.evaluate.tables import Row, Table, as_markdown, print_tables, write_tables

NAN = float("nan")
TABLE = Table(
    "Photos",
    ("limner", "mean pose"),
    (
        Row("lsp", "PCK, %", 7, {"limner": Estimate(91.234, 88.0, 93.5, 7), "mean pose": Estimate(5.678, 1.0, 9.0, 7)}),
        Row("lsp", "other", 7, {"limner": Estimate(NAN, NAN, NAN, 0)}, reference="82.5"),
    ),
    reference="MediaPipe",
    note="A note.",
)


def test_markdown_has_a_line_a_row_and_a_dash_for_what_is_unknown():
    text = as_markdown([TABLE], "Heading")
    assert text.startswith("# Heading\n") and "A note." in text
    assert "| lsp | 7 | PCK, % | 91.2 (88.0 to 93.5) | 5.68 | - |" in text
    assert "| lsp | 7 | other | - | - | 82.5 |" in text


def test_json_keeps_all_digits_and_has_null_for_no_number(tmp_path: Path):
    write_tables(tmp_path, [TABLE], "Heading", {"weights": Path("w")})
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["what"] == "Heading" and content["weights"] == "w"
    first, second = content["tables"][0]["rows"]
    assert math.isclose(first["values"]["limner"]["value"], 91.234)
    assert second["values"]["limner"]["value"] is None and second["reference"] == "82.5"
    assert (tmp_path / "results.md").read_text() == as_markdown([TABLE], "Heading")


def test_the_terminal_shows_a_set_once():
    page = io.StringIO()
    print_tables([TABLE], Console(file=page, width=120))
    assert page.getvalue().count("lsp") == 1 and "91.2" in page.getvalue()
