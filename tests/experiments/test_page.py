"""The page says what the numbers say: what shows, what does not, and what was not done."""

from pathlib import Path

from limner.experiments import answers as a
from limner.experiments.page import page, verdict
from limner.experiments.run import write_results
from limner.experiments.summary import EXPERIMENTS, correlations, rank_correlation, summarise

METRICS = sorted(
    {m for one in EXPERIMENTS for m in one.metrics} | {e.metric for o in EXPERIMENTS for e in o.expectations}
)


def made_up(people: int) -> list[a.Answers]:
    """Answers of which every one after limner's is worse by one, people by ten."""
    names = list(dict.fromkeys(name for one in EXPERIMENTS for name in one.answers))
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
        return verdict(means, {"better": "p", "worse": "q", "metric": "m", "value": 0.0, "low": low, "high": high})

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
    assert "not measured" in text and "fine-tuning" in text
    for one in EXPERIMENTS:
        assert (tmp_path / "images" / f"experiments_{one.key}.png").stat().st_size > 1000
        assert one.title in text
