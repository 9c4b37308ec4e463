"""Skin, eyes and cloth have the colours they were given."""

from dataclasses import replace

import torch

from limner.synth.appearance import LAYERS, sample_looks
from limner.synth.chart import FIELD
from limner.synth.people import SyntheticPeople
from limner.synth.surface import paint


def test_eyes_have_dark_pupils_coloured_irises_and_bright_whites(people: SyntheticPeople):
    chart = people.chart
    looks = sample_looks(chart, torch.zeros(1, dtype=torch.bool), torch.Generator().manual_seed(0))
    centre = chart.at("left_eye_smplx")
    angle = torch.tensor([0.0, 0.33, 0.75])
    outward = torch.stack([angle.sin(), torch.zeros(3), angle.cos()], -1)
    field = torch.zeros(3, len(chart.fields[0]))
    field[:, :3] = centre + outward * 0.012
    field[:, [FIELD["head"], FIELD["eyes"]]] = 1.0
    field[:, [FIELD["brow"], FIELD["lashes"]]] = 0.05
    depth = torch.full((3, len(LAYERS) + 1), -1.0)
    spots = paint(field.mT, torch.zeros(2, 3), depth.mT, torch.zeros(3, dtype=torch.long), looks, chart, people.fabric)
    pupil, iris, white = spots.albedo.mean(0)
    assert pupil < 0.3 * iris and iris < 0.5 * white and white > 0.5


def test_skin_is_as_dark_as_asked_and_cloth_covers_it(people: SyntheticPeople):
    chart, count = people.chart, 200
    looks = sample_looks(chart, torch.zeros(1, dtype=torch.bool), torch.Generator().manual_seed(1))
    looks = replace(looks, pattern=torch.zeros_like(looks.pattern))
    field = torch.zeros(len(chart.fields[0]), count)
    field[:3] = torch.randn(3, count, generator=torch.Generator().manual_seed(2)) * 0.05 + chart.at("spine3")[:, None]
    depth = torch.full((len(LAYERS) + 1, count), -1.0)
    depth[LAYERS.index("upper"), 100:] = 0.05
    who, flat = torch.zeros(count, dtype=torch.long), field[:2]
    spots = paint(field, flat, depth, who, looks, chart, people.fabric)
    assert torch.allclose(spots.albedo[:, :100].mean(-1), looks.skin[0], rtol=0.15)
    cloth = looks.color_a[0, LAYERS.index("upper")]
    assert torch.allclose(spots.albedo[:, 100:].mean(-1), cloth, rtol=0.15)
    assert (spots.softness[:100] == 1).all() and (spots.softness[100:] == 0).all()
