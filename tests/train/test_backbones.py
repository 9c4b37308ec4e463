"""Backbones learn from pictures; only what should change changes."""

import pytest
import torch

from limner.errors import LimnerError
from limner.networks.blaze.pose import BlazePose
from limner.networks.weights import NetSpec, load_net
from limner.train.backbones import BackboneOptions, train_backbone
from limner.train.relative import RelativeAdamW
from tests.train.pictured import write_pictured
from tests.train.test_simulate import attachment  # noqa: F401 a fixture


@pytest.fixture(scope="module")
def shards(body, attachment, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("pictured")
    write_pictured(body, "body", folder, attachment, people=2)
    write_pictured(body, "hand", folder, attachment, people=8)
    return folder


def options(steps: int, batch_size: int, learning_rate: float = 2e-3) -> BackboneOptions:
    return BackboneOptions(steps, batch_size, log_every=1, save_every=steps, learning_rate=learning_rate)


def test_a_small_network_learns_from_scratch_and_goes_on(body, shards, tmp_path):
    spec, losses = NetSpec("hand", "compact", hidden=(64,), dropout=0.0), []
    train_backbone(
        spec, "scratch", shards, body, tmp_path, options(12, 8, 4e-3), lambda _, row: losses.append(row["loss"])
    )
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])
    errors = train_backbone(spec, "scratch", shards, body, tmp_path, options(12, 8, 4e-3))  # nothing left to do
    assert load_net(tmp_path / "hand.safetensors")[0].backbone == "compact"
    assert 0 < errors["held_out_mm"] < 1000


def test_a_tuned_backbone_changes_a_little(body, shards, tmp_path):
    spec = NetSpec("body", "blaze_tuned", hidden=(64,), dropout=0.0)
    train_backbone(spec, "tuned", shards, body, tmp_path, options(1, 2))
    net = load_net(tmp_path / "body.safetensors")[1]
    before, after = BlazePose.load().state_dict(), net.backbone.network.state_dict()
    change = [float((after[k] - before[k]).norm() / before[k].norm().clamp_min(1e-6)) for k in before]
    assert 0 < max(change) < 0.05


def test_a_frozen_backbone_needs_one_that_knows_something(body, shards, tmp_path):
    with pytest.raises(LimnerError, match="frozen goes with the backbone blaze"):
        train_backbone(NetSpec("body", "compact"), "frozen", shards, body, tmp_path, options(1, 2))


def test_relative_steps_are_shares_of_a_channel():
    small, large = (torch.nn.Parameter(torch.full((2, 3), size)) for size in (0.01, 100.0))
    fresh = torch.nn.Parameter(torch.zeros(3))
    optimiser = RelativeAdamW([small, large], lr=1e-2, fresh=[fresh], fresh_lr=0.5)
    (small.sum() + large.sum() + fresh.sum()).backward()
    optimiser.step()
    assert torch.allclose(small, torch.full((2, 3), 0.0099), rtol=1e-4)
    assert torch.allclose(large, torch.full((2, 3), 99.0), rtol=1e-4)
    assert torch.allclose(fresh, torch.full((3,), -0.5), rtol=1e-4)
