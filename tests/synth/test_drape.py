"""Clothes cover what they should, and nothing else."""

import torch

from limner.synth.appearance import LAYERS, WORN, sample_looks
from limner.synth.chart import FIELD
from limner.synth.drape import drape, garment_depth, hair_depth
from limner.synth.people import SyntheticPeople


def test_trousers_cover_thighs_and_sleeves_end_where_they_are_told(people: SyntheticPeople):
    chart = people.chart
    thigh = (chart.at("left_hip") + chart.at("left_knee")) / 2
    forearm, chest = (chart.at("left_elbow") + chart.at("left_wrist")) / 2, chart.at("spine3")
    hand = chart.at("left_middle2")
    edges = torch.full((1, len(WORN), 7), 9.0)
    edges[:, :, [1, 2, 4, 6]] = -9.0
    upper, lower = WORN.index("upper"), WORN.index("lower")
    edges[0, upper, 1], edges[0, upper, 3] = chart.at("left_hip")[1], chart.at("left_elbow")[0]
    edges[0, lower, 0], edges[0, lower, 1] = chart.at("pelvis")[1], chart.at("left_knee")[1]
    inside = garment_depth(torch.stack([thigh, chest, forearm, hand]), edges, chart)[0] > 0
    assert inside[:, lower].tolist() == [True, False, False, False]
    assert inside[:, upper].tolist() == [False, True, False, False]


def test_nobody_wears_clothes_on_the_face_and_offsets_are_small(people: SyntheticPeople):
    looks = sample_looks(people.chart, torch.zeros(16, dtype=torch.bool), torch.Generator().manual_seed(0))
    worn = drape(people.chart, people.kit, looks, people.fabric)
    head = people.chart.fields[:, FIELD["head"]] > 0.5
    count = len(people.chart.fields)
    assert (worn.depth[:, :count][:, head, : len(LAYERS)] <= 0).all()
    eyes = people.chart.fields[:, FIELD["eyes"]] > 0.5
    assert eyes.sum() > 50 and (worn.offset[:, eyes] == 0).all()
    assert (worn.offset >= 0).all() and worn.offset.max() < 0.05


def test_hair_grows_on_the_crown_and_not_on_the_face(people: SyntheticPeople):
    chart = people.chart
    looks = sample_looks(chart, torch.zeros(32, dtype=torch.bool), torch.Generator().manual_seed(0))
    place = chart.fields[:, :3]
    head = chart.fields[:, FIELD["head"]] > 0.5
    crown = place[head][place[head][:, 1].argmax()]
    nose = place[int(people.body_model.vertex_ids[0])]
    inside = hair_depth(torch.stack([crown, nose]), looks.hair_line, chart) > 0
    assert inside[:, 0].all() and not inside[:, 1].any()
