"""The page says what the numbers say: what shows, what does not, and what was not done."""

import importlib.util
import json
from pathlib import Path

import pytest

from limner.errors import DataSetError
from limner.experiments import variants as a
from limner.experiments.backbones import read_backbones
from limner.experiments.page import comparison, conclusion, page
from limner.experiments.plots import draw_plots
from limner.experiments.run import write_results
from limner.experiments.summary import EXPERIMENTS, correlations, rank_correlation, summarise

METRICS = sorted(
    {m for one in EXPERIMENTS for m in one.metrics} | {e.metric for o in EXPERIMENTS for e in o.expectations}
)


def made_up(people: int) -> list[a.VariantErrors]:
    """Answers of which every one after limner's is worse by one, people by ten."""
    names = list(dict.fromkeys(name for one in EXPERIMENTS for name in one.variants))
    return [
        {name: {metric: 10.0 * person + row for metric in METRICS} for row, name in enumerate(names)}
        for person in range(people)
    ]


def content(people: int = 4) -> dict:
    """What a run on made-up answers writes."""
    given = made_up(people)
    return {
        "command": "limner experiments",
        "people": people,
        "fits": people,
        "seed": 1,
        "photo_px": 2048,
        "experiments": summarise(given),
        "correlations": correlations(given),
        "backbones": [
            {"backbone": "blaze", "ms": 1.0, "parameters": 10**6},
            {"backbone": "x", "ms": 2, "parameters": 1},
        ],
        "photos": [
            {"set": "s", "people": 3, "metric": "m", "values": {a.LIMNER: {"value": 1.0, "low": 0.0, "high": 2.0}}}
        ],
    }


def test_differences_are_paired() -> None:
    found = summarise(made_up(5))["attention"]
    assert found["people"] == 5
    first = found["differences"][0]
    assert first["value"] == first["low"] == first["high"] == -1.0  # people differ by tens, pairs by one
    assert found["means"][a.LIMNER]["PA-V2V all"]["value"] == 20.0


def test_people_without_an_answer_are_left_out_of_its_experiment() -> None:
    given = made_up(3)
    del given[1][a.FIT_MEAN]
    found = summarise(given)
    assert found["optimisation"]["people"] == 2
    assert found["attention"]["people"] == 3


def test_verdicts() -> None:
    means = {name: {"m": {"value": 1.0}} for name in ("p", "q")}

    def of(low: float, high: float) -> str:
        return comparison(means, {"better": "p", "worse": "q", "metric": "m", "value": 0.0, "low": low, "high": high})

    assert of(-2.0, -1.0).endswith("**shows**")
    assert of(1.0, 2.0).endswith("**the opposite shows**")
    assert of(-1.0, 1.0).endswith("**does not show**")


def test_rank_correlation() -> None:
    given = [{"x": {"m": float(i), "n": float(-(i**3))}} for i in range(5)]
    assert round(rank_correlation(given, "x", "m", "n"), 6) == -1.0


def test_page_and_plots_are_written_from_the_numbers(tmp_path: Path) -> None:
    made = content()
    write_results(tmp_path, made)
    text = (tmp_path / "experiments.md").read_text()
    assert text == page(made)
    assert "Accuracy of the backbones trained with an equal budget: **not measured**" in text
    for one in EXPERIMENTS:
        assert (tmp_path / "images" / f"experiments_{one.key}.png").stat().st_size > 1000
        assert one.title in text


ROW = {
    "mean_pose_pa_mpjpe_mm": 109.5,
    "init": "noise",
    "trained": "all",
    "images": 100,
    "minutes": 5.0,
    "ms_per_crop": 10.0,
}


def test_fine_tuned_weights_and_trained_backbones_are_told_when_they_are_there(tmp_path: Path) -> None:
    made = content()
    assert "## Before and after end-to-end fine-tuning" in page(made)
    del made["experiments"]["finetuning"]
    assert "**Not measured**: this run was given no fine-tuned weights" in page(made)
    rows = [ROW | {"name": "small", "heldout_pa_mpjpe_mm": 90.0}, ROW | {"name": "large", "heldout_pa_mpjpe_mm": 80}]
    rows[1]["ms_per_crop"] = 300
    (tmp_path / "b.json").write_text(json.dumps({"rows": rows}))
    made["trained_backbones"] = read_backbones(tmp_path / "b.json")
    text = page(made)
    assert "| large | noise | all | 100 | 5.0 | 300.0 | 80.0 |" in text
    assert "| the mean pose, nothing seen | | | | | | 109.5 |" in text
    assert "The slowest is also the most accurate" in text and "images/experiments_backbones.png" in text
    draw_plots(made | {"experiments": {}}, tmp_path)
    assert (tmp_path / "experiments_backbones.png").stat().st_size > 1000
    (tmp_path / "b.json").write_text('[{"name": "small"}]')
    with pytest.raises(DataSetError, match="no table of trained backbones"):
        read_backbones(tmp_path / "b.json")


def test_the_conclusion_counts_what_shows() -> None:
    shown = {"better": "p", "worse": "q", "metric": "m", "low": -2.0, "high": -1.0}
    open_, opposite = shown | {"high": 1.0, "metric": "n"}, shown | {"low": 1.0, "high": 2.0, "metric": "o"}
    assert conclusion([shown, shown]) == "**It shows here**, in all 2 comparisons."
    text = conclusion([shown, open_, opposite])
    assert text.startswith("**It shows here in 1 of 3 comparisons**: no difference is certain in n (p against q)")
    assert text.endswith("the opposite shows in o (p against q).")
    assert conclusion([open_]).startswith("**It does not show here**")


def test_the_committed_page_is_what_the_numbers_make() -> None:
    root = Path(__file__).parents[2]
    spec = importlib.util.spec_from_file_location("experiments_page", root / "tools" / "experiments_page.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert (root / "docs" / "experiments.md").read_text() == page(tool.read())
