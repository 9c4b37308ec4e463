"""The depth branch starts as BlazePose, learns from kept crops, goes on bit by bit, and is found beside its weights."""

import pytest
import torch

from limner.networks.blaze.backbones import BlazePoseBackbone
from limner.networks.blaze.depth import DepthBranch, unmirrored_world
from limner.networks.blaze.pose import BlazePose
from limner.train.depth import DepthOptions, train_depth
from tests.train.pictured import write_pictured
from tests.train.test_simulate import attachment  # noqa: F401 a fixture


@pytest.fixture(scope="module")
def shards(body, attachment, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("pictured")
    write_pictured(body, "body", folder, attachment, people=4)
    return folder


def test_a_copy_says_what_blaze_pose_says():
    pose = BlazePose.load()
    pixels = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = BlazePoseBackbone(pose, both_ways=True).eval()(pixels)
        branched = BlazePoseBackbone(pose, both_ways=True, depth=DepthBranch.copy_of(pose).eval()).eval()(pixels)
        own = pose(pixels)
        assert torch.allclose(pose.side16(pixels), own.side16)
    assert torch.allclose(plain.pooled, branched.pooled, atol=1e-5)


def test_mirrored_twice_is_the_same():
    world = torch.randn(2, 33, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(unmirrored_world(unmirrored_world(world)), world)
    assert torch.equal(unmirrored_world(world)[:, 11, 0], -world[:, 12, 0])  # shoulders


def test_learns_and_goes_on_bit_by_bit(body, shards, tmp_path, one_thread):
    options = DepthOptions(8, batch_size=4, learning_rate=5e-3, log_every=4, save_every=4)
    losses = []
    train_depth(body, shards, tmp_path / "whole", options, lambda done, row: losses.append(row["loss"]))
    assert losses[-1] < 0.9 * losses[0]

    class Cut(Exception):
        pass

    def cut(done: int, row: dict[str, float]) -> None:
        if done == 8:
            raise Cut

    with pytest.raises(Cut):
        train_depth(body, shards, tmp_path / "cut", options, cut)
    train_depth(body, shards, tmp_path / "cut", options)
    whole, again = (DepthBranch.load(tmp_path / run / "depth.safetensors").state_dict() for run in ("whole", "cut"))
    assert all(torch.equal(whole[name], again[name]) for name in whole)
