"""Errors of the merged person reach all three networks, and fine-tuning makes them smaller."""

import pytest
import torch

from limner.cached import CachedPeople, predicted
from limner.data.evidence import Evidence
from limner.geometry.box import Squares
from limner.geometry.camera import Camera
from limner.networks.weights import PARTS, NetSpec, Networks, build_net
from limner.train.joint import JointOptions, joint_loss, joint_set, train_joint
from tests.conftest import random_people

COUNT = 6


@pytest.fixture()
def loaded():
    torch.manual_seed(0)
    specs = {part: NetSpec(part, "compact", (32,), dropout=0.0) for part in PARTS}
    return {part: (spec, build_net(spec).eval()) for part, spec in specs.items()}


@pytest.fixture()
def rendered(body, loaded):
    """Random people, and features that tell them apart but say nothing."""
    params = random_people(COUNT, body.num_betas, body.num_expression, size=0.2).to(torch.float32)
    params = params.replace(transl=torch.tensor([0.1, 0.0, 4.0]).repeat(COUNT, 1))

    def evidence(part: str) -> Evidence:
        generator = torch.Generator().manual_seed(PARTS.index(part))
        features = loaded[part][1].regressor.num_features
        return Evidence(
            pooled=torch.randn(COUNT, features, generator=generator),
            keypoints=torch.rand(COUNT, {"body": 33, "hand": 21, "face": 68}[part], 3, generator=generator),
            presence=torch.ones(COUNT),
            image=torch.zeros(COUNT, 0),
            params=params,
            camera=Camera(torch.full((COUNT,), 500.0), torch.full((COUNT, 2), 256.0)),
            squares=Squares(torch.full((COUNT, 2), 256.0), torch.full((COUNT,), 300.0), torch.zeros(COUNT)),
            mirrored=torch.arange(COUNT) % 2 == 0,
            visible=torch.ones(COUNT, 144, dtype=torch.bool),
        )

    return CachedPeople(*(evidence(part) for part in PARTS))


def test_the_merged_hand_teaches_the_body_too(body, loaded, rendered):
    """A hand hangs on the body's arm: its place in the photo's axes depends on hand and head networks' start."""
    networks = Networks(**{part: net for part, (_, net) in loaded.items()})
    batch = joint_set(rendered, body)
    loss, terms = joint_loss(body.keypoints_only(), predicted(networks, rendered).merged, batch)
    loss.backward()
    assert set(terms) == {"merged_body", "merged_hand", "merged_face"} and min(terms.values()) > 0
    for _, net in loaded.values():
        assert all(bool(p.grad is not None and p.grad.isfinite().all()) for p in net.regressor.parameters())
        assert max(float(p.grad.abs().max()) for p in net.regressor.parameters()) > 0


def test_the_target_has_no_loss(body, rendered):
    _, terms = joint_loss(body.keypoints_only(), rendered.body.params, joint_set(rendered, body))
    assert max(terms.values()) < 1e-5


def test_tuning_together_learns_and_writes_all_weights(body, loaded, rendered, tmp_path):
    losses = []
    options = JointOptions(12, batch_size=6, learning_rate=2e-3, log_every=2, save_every=12)
    errors = train_joint(
        loaded, body, rendered, rendered, tmp_path, options, lambda done, row: losses.append(row["loss"])
    )
    assert losses[-1] < 0.8 * losses[0]
    assert set(errors) == {"held_out_body_mm", "held_out_hand_mm", "held_out_face_mm"}
    assert all((tmp_path / f"{part}.safetensors").exists() for part in PARTS)
