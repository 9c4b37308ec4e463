"""The page of published numbers is what the committed JSON makes, and every number has a source."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("results_page", ROOT / "tools" / "results_page.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_numbers_make(tool: ModuleType):
    assert (ROOT / "docs" / "results-published.md").read_text() == tool.page(*tool.read())


def test_every_number_has_a_source_and_every_column_its_numbers(tool: ModuleType):
    published, _, _ = tool.read()
    for table in published["tables"]:
        assert set(table["rows"]) <= set(published["systems"])
        for row in table["rows"].values():
            assert set(row) <= set(table["columns"])
            for value, source in row.values():
                assert isinstance(value, int | float | str) and source in published["sources"]


def test_measured_rows_take_the_place_of_not_measured(tool: ModuleType):
    published, _, _ = tool.read()
    value = {"value": 50.04, "low": 48.0, "high": 52.0, "people": 100}
    row = {"data": "EHF", "metric": "V2V all, mm", "values": {"limner": value}}
    own = {"limit": None, "predictions": None, "tables": [{"rows": [row]}]}
    text = tool.page(published, {"ehf": [own]}, None)
    assert "| **limner** | 50.0 (48.0 to 52.0) | not measured |" in text
    with pytest.raises(ValueError, match="--limit"):
        tool.page(published, {"ehf": [own | {"limit": 5}]}, None)
    score = {"value": 0.4844, "low": 0.48, "high": 0.49}
    hands = [row | {"data": "FreiHAND evaluation", "metric": "F@5 mm", "values": {"limner": score}}]
    text = tool.page(published, {"freihand": [own | {"tables": [{"rows": hands}]}]}, None)
    assert "| **limner** | not measured | not measured | 0.484 (0.480 to 0.490) | not measured |" in text
    face = [row | {"data": "Stirling HQ", "metric": "scan to mesh RMSE, mm", "values": {"limner": value}}]
    text = tool.page(published, {"faces": [own, own | {"tables": [{"rows": face}]}]}, None)
    assert "| **limner** | not measured | 50.0 (48.0 to 52.0) |" in text


def test_people_of_its_own_are_told_apart(tool: ModuleType):
    published, own, like_ehf = tool.read()
    assert like_ehf is not None
    mean = like_ehf["PA-MPJPE body"]["mean"]
    text = tool.page(published, own, like_ehf)
    assert f"| PA-MPJPE body | {mean:.1f} +-" in text and "Not a benchmark" in text


def test_columns_are_metrics_that_limner_evaluate_writes(tool: ModuleType):
    from limner.evaluate.benchmarks.whole_body import joint14_metrics, v2v_metrics
    from limner.evaluate.topology import find_smplx_files

    files = find_smplx_files([])
    known = {name for metric in (*v2v_metrics(files, 9), *joint14_metrics(files)) for name in metric.names}
    published, _, _ = tool.read()
    tables = {table["id"]: table for table in published["tables"]}
    assert set(tables["ehf"]["metrics"].values()) | set(tables["3dpw"]["metrics"].values()) <= known
