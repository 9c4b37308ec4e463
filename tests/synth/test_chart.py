"""The body's fields are where the body has them."""

import torch

from limner.synth.chart import FIELD, light_frames
from limner.synth.people import SyntheticPeople


def test_regions_lie_where_faces_and_hands_have_them(people: SyntheticPeople):
    fields = people.chart.fields
    place = fields[:, :3]

    def middle(name: str) -> torch.Tensor:
        return place[fields[:, FIELD[name]] > 0.5].mean(0)

    eye_height = people.chart.at("left_eye_smplx")[1]
    assert middle("lips")[1] < eye_height and abs(float(middle("lips")[0])) < 0.005
    assert (middle("eyes")[1] - eye_height).abs() < 0.005
    brow = place[fields[:, FIELD["brow"]] < 0.003].mean(0)
    assert 0.005 < brow[1] - eye_height < 0.04
    beard = place[fields[:, FIELD["beard"]] > 0.8]
    assert len(beard) > 20 and (beard[:, 1] < eye_height - 0.03).all()
    assert fields[:, FIELD["nails"]].sum() > 20


def test_open_places_are_open_and_hidden_ones_are_not(people: SyntheticPeople):
    fields = people.chart.fields
    assert (fields[:, FIELD["openness"]] >= 0).all() and (fields[:, FIELD["openness"]] <= 1).all()
    nose = int(people.body_model.vertex_ids[0])
    assert fields[nose, FIELD["openness"]] > 0.85
    inside = fields[:, FIELD["mouth"]] > 0.5
    assert fields[inside, FIELD["openness"]].mean() < 0.35


def test_light_frames_look_away_from_the_light():
    toward = torch.nn.functional.normalize(torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    frames = light_frames(toward)
    assert torch.allclose(frames @ frames.mT, torch.eye(3).expand(20, 3, 3), atol=1e-5)
    expected = torch.tensor([0.0, 0.0, -1.0]).expand(20, 3)
    assert torch.allclose((frames @ toward[..., None])[..., 0], expected, atol=1e-5)
