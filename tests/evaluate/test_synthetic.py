"""The synthetic protocol: the truth as prediction gives zeros, known changes give known errors."""

from pathlib import Path

import pytest
import torch

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import JOINT
from limner.cached import CachedPeople, run_cached
from limner.data.evidence import Evidence, write_shard
from limner.errors import LimnerError
from limner.evaluate.synthetic import (
    BODY,
    LIMNER,
    MEAN,
    PART,
    body_errors,
    face_errors,
    hand_errors,
    measure,
    pose,
    read_people,
    shown_hand,
    synthetic_tables,
    zones,
)
from limner.geometry.box import Squares
from limner.geometry.camera import Camera
from limner.geometry.rotation import rotation_from_axis_angle
from limner.networks.backbone import CompactBackbone
from limner.networks.weights import NetSpec, Networks, build_net
from tests.conftest import random_people

COUNT = 5
LEFT = torch.tensor([True, False, True, False, True])


def people(model: BodyModel) -> BodyParams:
    """Random people a few metres before the camera."""
    params = random_people(COUNT, model.num_betas, model.num_expression, size=0.2).to(torch.float32)
    return params.replace(transl=torch.tensor([0.1, 0.0, 4.0]).repeat(COUNT, 1))


def camera() -> Camera:
    return Camera(torch.full((COUNT,), 500.0), torch.full((COUNT, 2), 256.0))


def evidence(params: BodyParams, features: int, points: int) -> Evidence:
    """Evidence of these people with features that say nothing."""
    generator = torch.Generator().manual_seed(0)
    return Evidence(
        pooled=torch.randn(len(params), features, generator=generator),
        keypoints=torch.rand(len(params), points, 3, generator=generator),
        presence=torch.ones(len(params)),
        image=torch.zeros(len(params), 0),
        params=params,
        camera=camera(),
        squares=Squares(torch.full((COUNT, 2), 256.0), torch.full((COUNT,), 300.0), torch.zeros(COUNT)),
        mirrored=LEFT,
        visible=torch.ones(len(params), 144, dtype=torch.bool),
    )


@pytest.fixture(scope="module")
def networks() -> Networks:
    """Untrained networks on our own backbone."""
    torch.manual_seed(0)
    specs = [NetSpec(part, "compact", (32,), num_betas=10, num_expression=10) for part in ("body", "hand", "face")]
    body, hand, face = (build_net(spec).eval() for spec in specs)
    assert isinstance(body.backbone, CompactBackbone)
    return Networks(body, hand, face)


@pytest.fixture(scope="module")
def harvested(body: BodyModel, networks: Networks) -> CachedPeople:
    params, sizes = people(body), {"body": 33, "hand": 21, "face": 68}
    return CachedPeople(
        *(
            evidence(params, getattr(networks, part).regressor.num_features, sizes[part])
            for part in ("body", "hand", "face")
        )
    )


def test_the_truth_has_no_error(body: BodyModel):
    true = pose(body, people(body))
    where = zones(body)
    errors = body_errors(true, true, camera(), torch.full((COUNT,), 300.0), where)
    errors |= hand_errors(true, true, LEFT, where) | face_errors(true, true, where)
    assert len(errors) == 7 + 3 + 3
    assert max(float(value.abs().amax()) for value in errors.values()) < 0.05  # millimetres; float32 after an SVD


def test_a_step_aside_shows_in_the_picture_only(body: BodyModel):
    params, where = people(body), zones(body)
    aside = params.replace(transl=params.transl + torch.tensor([0.12, 0.0, 0.0]))
    errors = body_errors(pose(body, aside), pose(body, params), camera(), torch.full((COUNT,), 300.0), where)
    assert errors["V2V, mm"].amax() < 0.05 and errors["body MPJPE, mm"].amax() < 0.05
    # 0.12 m at about 4 m under a focal length of 500 px is about 15 px of a crop of 300 px
    assert errors["projected joints, % of crop"].mean().item() == pytest.approx(5, rel=0.1)


def test_a_turned_person_has_mpjpe_but_no_pa_mpjpe(body: BodyModel):
    params, where = people(body), zones(body)
    turn = rotation_from_axis_angle(torch.tensor([0.0, 0.5, 0.0]))
    turned = params.replace(global_orient=turn @ params.global_orient)
    errors = body_errors(pose(body, turned), pose(body, params), camera(), torch.full((COUNT,), 300.0), where)
    assert errors["body MPJPE, mm"].amin() > 50
    assert errors["body PA-MPJPE, mm"].amax() < 0.05 and errors["PA-V2V all, mm"].amax() < 0.05


def test_only_the_shown_hand_counts(body: BodyModel):
    params, where = people(body), zones(body)
    bent = rotation_from_axis_angle(torch.tensor([0.0, 0.0, 0.9])).expand(COUNT, 15, 3, 3)
    prediction = pose(body, params.replace(left_hand_pose=params.left_hand_pose @ bent))
    errors = hand_errors(prediction, pose(body, params), LEFT, where)
    for values in errors.values():
        assert values[LEFT].amin() > 2 and values[~LEFT].amax() < 0.05


def test_the_shown_hand_starts_at_its_wrist(body: BodyModel):
    posed = pose(body, people(body))
    hands = shown_hand(posed.keypoints, LEFT)
    tip = posed.mesh.vertices[:, body.vertex_ids[12]] - posed.mesh.joints[:, JOINT["left_wrist"]]
    assert torch.equal(hands[:, 0], torch.zeros(COUNT, 3))
    assert torch.allclose(hands[LEFT, 8], tip[LEFT])  # the index finger's tip


def test_an_open_jaw_is_an_error_of_the_face_alone(body: BodyModel):
    params, where = people(body), zones(body)
    opened = params.replace(jaw_pose=rotation_from_axis_angle(torch.tensor([[0.3, 0.0, 0.0]])).expand(COUNT, 3, 3))
    prediction, true = pose(body, opened), pose(body, params)
    assert face_errors(prediction, true, where)["face PA-V2V, mm"].amin() > 1
    assert (
        body_errors(prediction, true, camera(), torch.ones(COUNT), where)["PA-V2V body, mm"].amax() < 0.5
    )  # the jaw carries a little of the neck


def test_zones_share_no_vertex(body: BodyModel):
    where = zones(body)
    stacked = torch.stack([where.left_hand, where.right_hand, where.face, where.body]).long()
    assert stacked.sum(0).amax() == 1
    assert where.left_hand.sum() > 1000 and where.left_hand.sum() == where.right_hand.sum()


def test_all_stages_are_measured_and_hidden_parts_left_out(
    body: BodyModel, networks: Networks, harvested: CachedPeople
):
    hidden = harvested.hand.visible.clone()
    hidden[0] = False
    seen = CachedPeople(harvested.body, Evidence(**{**harvested.hand.__dict__, "visible": hidden}), harvested.face)
    errors = measure(networks, body, seen)
    assert set(errors) == {LIMNER, "not refined", BODY, MEAN, PART}
    assert all(len(values) == COUNT for of in errors.values() for values in of.values())
    for column, of in errors.items():
        points = of["hand PA-MPJPE, mm"]
        assert points[0].isnan() and not points[1:].isnan().any(), column
    assert not errors[PART]["51 landmarks PA, mm"].isnan().any()


def test_parts_overrule_the_body_of_the_shown_side_only(body: BodyModel, networks: Networks, harvested: CachedPeople):
    prediction = run_cached(networks, body, harvested)
    changed_left = (prediction.unrefined.left_hand_pose - prediction.body.left_hand_pose).abs().amax((1, 2, 3)) > 0
    changed_right = (prediction.unrefined.right_hand_pose - prediction.body.right_hand_pose).abs().amax((1, 2, 3)) > 0
    assert torch.equal(changed_left, LEFT) and torch.equal(changed_right, ~LEFT)


def test_tables_from_shards_of_the_same_people(
    body: BodyModel, networks: Networks, harvested: CachedPeople, tmp_path: Path
):
    for part in ("body", "hand", "face"):
        for shard in range(2):
            write_shard(tmp_path / f"{part}_{shard:05d}.safetensors", getattr(harvested, part))
    heard: list[tuple[int, int]] = []
    tables = synthetic_tables(tmp_path, networks, body, 3, lambda done, total: heard.append((done, total)))
    assert heard == [(3, 3)]
    assert [len(table.rows) for table in tables] == [7, 7, 3, 3]
    assert all(row.people == 3 for table in tables for row in table.rows)


def test_shards_of_different_people_are_refused(harvested: CachedPeople, tmp_path: Path):
    for part in ("body", "hand", "face"):
        given = getattr(harvested, part)
        if part == "face":
            given = given[[1, 0, 2, 3, 4]]
            params = given.params.replace(transl=given.params.transl + torch.arange(5.0)[:, None])
            given = Evidence(**{**given.__dict__, "params": params})
        for shard in range(2):
            write_shard(tmp_path / f"{part}_{shard:05d}.safetensors", given)
    with pytest.raises(LimnerError, match="same people"):
        read_people(tmp_path, held_out=True)
