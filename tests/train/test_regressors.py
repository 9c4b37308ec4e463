"""Training learns, goes on where it was cut off with the same result, and names its held-out shards."""

import pytest
import torch

from limner.data.evidence import write_shard
from limner.data.held_out import HELD_OUT_SHARDS, read_evidence
from limner.errors import LimnerError
from limner.networks.weights import NetSpec, load_net
from limner.train.calibrate import nowhere
from limner.train.regressors import Recipe, RegressorOptions, train_part
from tests.train.test_simulate import Rig

STEPS = 90


@pytest.fixture(scope="module")
def shards(body, tmp_path_factory):
    """Two shards of hands as a backbone without errors would report them."""
    folder = tmp_path_factory.mktemp("shards")
    for shard in range(2):
        write_shard(folder / f"hand_{shard:05d}.safetensors", Rig(body, "hand", nowhere(), seed=shard).evidence)
    return folder


def recipe(shards):
    options = RegressorOptions(STEPS, 64, pool_size=192, log_every=30, save_every=30, learning_rate=3e-3)
    return Recipe("hand", shards, None, NetSpec("hand", hidden=(128, 128), dropout=0.0), options)


def test_learns_and_resumes_bit_by_bit(body, shards, tmp_path, one_thread):
    errors = train_part(recipe(shards), body, tmp_path / "whole")
    assert errors["held_out_mm"] < 0.75 * errors["start_mm"]

    class Cut(Exception):
        pass

    def cut(done: int, row: dict[str, float]) -> None:
        if done == 60:
            raise Cut

    with pytest.raises(Cut):
        train_part(recipe(shards), body, tmp_path / "cut", cut)
    again = train_part(recipe(shards), body, tmp_path / "cut")
    assert again == errors
    whole, resumed = (load_net(tmp_path / run / "hand.safetensors")[1].state_dict() for run in ("whole", "cut"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_first_shards_are_held_out(body, shards, tmp_path):
    evidence, held = read_evidence(shards, "hand")
    assert len(evidence) == len(held) == 96
    for shard in range(2 * HELD_OUT_SHARDS):
        (tmp_path / f"hand_{shard:05d}.safetensors").symlink_to(shards / f"hand_{shard % 2:05d}.safetensors")
    evidence, held = read_evidence(tmp_path, "hand")
    assert len(evidence) == len(held) == 96 * HELD_OUT_SHARDS


def test_nothing_to_train_on_names_the_cure(tmp_path):
    with pytest.raises(LimnerError, match="limner render"):
        read_evidence(tmp_path, "face")
