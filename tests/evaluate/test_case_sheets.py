"""Pictures of the worst cases, and error curves."""

from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from limner.evaluate.benchmarks.record import Case
from limner.evaluate.case_sheets import SIDE, draw_case, error_curves
from limner.evaluate.person_points import PersonPoints, grown, shifted
from tests.conftest import same_picture
from tests.evaluate.benchmarks.test_scan_metrics import LANDMARKS, bowl


def case(photo: Path) -> Case:
    return Case("a", "a", "person", photo, lambda: PersonPoints(), torch.tensor([2.0, 2, 20, 20]))


def panels(picture: torch.Tensor) -> tuple[torch.Tensor, ...]:
    assert picture.shape == (3, SIDE, 3 * SIDE)
    photo, true, prediction = picture.float().chunk(3, -1)
    return photo, true, prediction


def test_the_answer_is_drawn_where_the_truth_is(tmp_path: Path):
    Image.new("RGB", (30, 30), (250, 10, 10)).save(tmp_path / "a.png")
    vertices, faces = bowl(9)
    vertices = vertices + torch.tensor([0.3, 0, 2.0])
    true = PersonPoints(vertices=vertices, faces=faces)
    photo, drawn, same = panels(draw_case(case(tmp_path / "a.png"), grown(shifted(true, 500.0), 2.0), true))
    assert photo[0].median() > 240 and photo[1].median() < 20
    assert (drawn.mean(0) < 250).float().mean() > 0.2
    assert (drawn - same).abs().mean() < 1.0
    bent = replace(true, vertices=vertices * torch.tensor([1.0, 0.3, 1.0]))
    assert (panels(draw_case(case(tmp_path / "a.png"), bent, true))[2] - drawn).abs().mean() > 5


def test_heads_are_laid_on_scans_by_their_landmarks_and_a_lost_photo_is_grey(tmp_path: Path):
    vertices, faces = bowl(9)
    true = PersonPoints(vertices=vertices, faces=faces, landmarks=LANDMARKS)
    prediction = shifted(replace(true, vertices=vertices[:-1], faces=faces[(faces < 80).all(1)]), 900.0)
    photo, drawn, same = panels(draw_case(case(tmp_path / "none.png"), prediction, true))
    assert photo.eq(128).all() and (drawn - same).abs().mean() < 5


def test_joints_are_dots(tmp_path: Path):
    names = ("a", "b", "c", "d")
    true = PersonPoints(joints=torch.tensor([[0.0, 0, 2], [1, 0, 2], [0, 1, 2], [1, 1, 3]]), joint_names=names)
    _, drawn, same = panels(draw_case(case(tmp_path / "none.png"), shifted(true, 70.0), true))
    assert (drawn[0] < 100).any() and same_picture(drawn, same)


def test_curves_of_what_is_in_millimetres():
    errors = {
        "a, mm": torch.tensor([1.0, 2.0, torch.nan]),
        "F@5 mm": torch.tensor([1.0, 1.0, 1.0]),
        "b": torch.zeros(3),
    }
    picture = error_curves(errors, "title")
    assert picture.shape[0] == 3 and picture.float().std() > 5
    assert not torch.equal(picture, error_curves({"a, mm": torch.tensor([2.0, 5.0, 1.0])}, "title"))
