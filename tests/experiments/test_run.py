"""A tiny run from end to end, cut off and taken up again; what the optimiser is given."""

import json
from pathlib import Path

import pytest
import torch

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.estimator import Estimator
from limner.experiments import answers, run
from limner.experiments.answers import FIT_MEAN_TRUE, FIT_START, LIMNER, SECONDS, Questioner
from limner.experiments.people import Shown
from limner.experiments.run import Plan, run_experiments
from limner.fit.records import FITTED, SCORES, Fits, FitTargets
from limner.geometry.box import bounds_of
from limner.geometry.camera import Camera

SIDE = 256


def test_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "backbone_times", lambda: [{"backbone": "blaze", "ms": 1.0, "parameters": 1}])
    monkeypatch.setattr(run, "draw_plots", lambda content, folder: [])  # test_page draws them
    run_experiments(tmp_path, Plan(people=1, fits=0, photo_px=SIDE))
    first = tmp_path / "people" / "person_0000.json"
    before = first.stat().st_mtime_ns
    run_experiments(tmp_path, Plan(people=2, fits=0, photo_px=SIDE))
    assert first.stat().st_mtime_ns == before
    content = json.loads((tmp_path / "experiments.json").read_text())
    assert content["experiments"]["attention"]["people"] == 2
    assert (tmp_path / "images" / "experiments_people.jpg").exists()
    assert "limner experiments --out DIR --people 2 --fits 0" in (tmp_path / "experiments.md").read_text()


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
    monkeypatch.setattr(answers, "Fitter", Echo)
    params = body.rest().replace(transl=torch.tensor([[0.0, 0.0, 3.0]]))
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))[None]
    params = params.replace(global_orient=flip)
    camera = Camera(torch.tensor([300.0]), torch.full((1, 2), SIDE / 2))
    points = camera.project(body.keypoints144(body(params), params))
    photo = torch.full((3, SIDE, SIDE), 128, dtype=torch.uint8)
    shown = Shown(0, photo, params, camera, bounds_of(points), points)
    found = Questioner(Estimator.load()).ask(shown, with_fits=True)
    seen, start = Echo.given[1]
    assert torch.equal(Echo.given[2][0].keypoints_px, points)
    assert not torch.equal(seen.keypoints_px, points)
    assert start is not None and Echo.given[2][1] is None
    assert found[FIT_START]["PA-V2V all"] == pytest.approx(found[LIMNER]["PA-V2V all"], abs=1e-2)
    assert found[FIT_MEAN_TRUE][SECONDS] >= found[LIMNER][SECONDS]
