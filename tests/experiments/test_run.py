"""A tiny run from end to end, cut off and taken up again; what the optimiser is given."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.estimator import Estimator
from limner.experiments import run
from limner.experiments import variants as a
from limner.experiments.people import Shown
from limner.experiments.run import Plan, run_experiments
from limner.experiments.summary import EXPERIMENTS
from limner.experiments.variants import FIT_MEAN_TRUE, FIT_START, LIMNER, SECONDS, Group, VariantErrors, VariantRunner
from limner.fit.records import FITTED, SCORES, Fits, FitTargets
from limner.geometry.box import bounds_of
from limner.geometry.camera import Camera
from limner.networks.weights import PARTS, weights_folder

SIDE = 256
METRICS = {metric for one in EXPERIMENTS for metric in one.metrics}
NAMES: dict[str, tuple[str, ...]] = {
    "flow": (a.LIMNER, a.NO_ATTENTION, a.BODY, a.UNREFINED, a.SMALL, a.SMALL_UNREFINED, a.FINGERS, a.PASTED),
    "sizes": tuple(a.of_size(px) for px in (256, 512, 1024)),
    "tuned": (a.TUNED, a.TUNED_UNREFINED),
}


def test_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "backbone_times", lambda: [{"backbone": "blaze", "ms": 1.0, "parameters": 1}])
    monkeypatch.setattr(run, "draw_plots", lambda content, folder: [])  # test_page draws them
    asked: list[tuple[int, str]] = []
    seen: list[Shown] = []
    ask = VariantRunner.ask

    def cut_off(self: VariantRunner, person: Shown, group: Group) -> VariantErrors:
        if len(asked) == 1:
            raise KeyboardInterrupt
        asked.append((person.number, group))
        seen.append(person)
        return ask(self, person, group)

    plan = Plan(people=1, fits=0, photo_px=SIDE)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(VariantRunner, "ask", cut_off)
        run_experiments(tmp_path, plan)
    assert asked == [(0, "flow")]  # and not yet "sizes"

    def counted(self: VariantRunner, person: Shown, group: Group) -> VariantErrors:
        asked.append((person.number, group))
        return {name: dict.fromkeys(METRICS, 1.0) for name in NAMES[group]}

    def same_people(synthetic: object, count: int, seed: int, done: frozenset[int]) -> Iterator[Shown]:
        assert not done
        return (replace(seen[0], number=number) for number in range(count))

    monkeypatch.setattr(VariantRunner, "ask", counted)
    monkeypatch.setattr(run, "shown_people", same_people)  # drawing them takes seconds
    for part in PARTS:
        (tmp_path / "tuned").mkdir(exist_ok=True)
        shutil.copy(weights_folder() / f"limner_{part}.safetensors", tmp_path / "tuned" / f"{part}.safetensors")
    run_experiments(tmp_path, replace(plan, people=2, tuned=tmp_path / "tuned"))
    assert asked[1:] == [(0, "sizes"), (0, "tuned"), (1, "flow"), (1, "sizes"), (1, "tuned")]
    content = json.loads((tmp_path / "experiments.json").read_text())
    assert content["experiments"]["attention"]["people"] == content["experiments"]["finetuning"]["people"] == 2
    assert (tmp_path / "images" / "experiments_people.jpg").exists()
    assert "limner experiments --out DIR --people 2 --fits 0" in (tmp_path / "experiments.md").read_text()
    assert plan.keys("limner") != replace(plan, seed=1).keys("limner") and plan.keys("limner") == plan.keys("limner")
    assert plan.keys("limner")["flow"] != plan.keys(str(tmp_path / "tuned"))["flow"]  # other weights, other answers


class Echo:
    """In the place of the fitter: answers the start, or somebody at rest, and remembers what it was given."""

    given: list[tuple[FitTargets, BodyParams | None]] = []

    def __init__(self, model: BodyModel):
        self.model = model

    def __call__(self, targets: FitTargets, start: BodyParams | None = None) -> Fits:
        self.given.append((targets, start))
        params = start if start is not None else self.model.rest().replace(transl=torch.tensor([[0.0, 0.0, 3.0]]))
        return Fits(params, targets.camera, torch.zeros(1), (FITTED,), {name: torch.zeros(1) for name in SCORES})


def test_optimiser_is_given_seen_and_true_points(body: BodyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(a, "Fitter", Echo)
    params = body.rest().replace(transl=torch.tensor([[0.0, 0.0, 3.0]]))
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))[None]
    params = params.replace(global_orient=flip)
    camera = Camera(torch.tensor([300.0]), torch.full((1, 2), SIDE / 2))
    points = camera.project(body.keypoints144(body(params), params))
    photo = torch.full((3, SIDE, SIDE), 128, dtype=torch.uint8)
    shown = Shown(0, photo, params, camera, bounds_of(points), points)
    runner = VariantRunner(Estimator.load())
    found = runner.ask(shown, "flow") | runner.ask(shown, "fits")
    seen, start = Echo.given[1]
    assert torch.equal(Echo.given[2][0].keypoints_px, points)
    assert not torch.equal(seen.keypoints_px, points)
    assert start is not None and Echo.given[2][1] is None
    assert found[FIT_START]["PA-V2V all"] == pytest.approx(found[LIMNER]["PA-V2V all"], abs=1e-2)
    assert found[FIT_MEAN_TRUE][SECONDS] >= found[LIMNER][SECONDS]
