"""Weights files: the same network comes back, anything else is refused with a cure."""

import pytest
import torch

from limner.errors import WeightsError
from limner.networks.weights import NetSpec, build_net, load_net, load_networks, net_to_bytes

SPEC = NetSpec("hand", backbone="compact", hidden=(32, 32))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    net = build_net(SPEC)
    path = tmp_path_factory.mktemp("weights") / "hand.safetensors"
    path.write_bytes(net_to_bytes(SPEC, net))
    return path, net


def test_round_trip(file):
    path, net = file
    spec, again = load_net(path)
    assert spec == SPEC
    for name, tensor in net.state_dict().items():
        assert torch.allclose(again.state_dict()[name].float(), tensor.float(), rtol=1e-3, atol=1e-4)
    assert not again.training


def test_frozen_backbones_are_not_stored_twice():
    spec = NetSpec("hand", hidden=(16, 16))
    assert len(net_to_bytes(spec, build_net(spec))) < 200_000


@pytest.mark.parametrize("backbone", ["compact", "resnet18"])
def test_every_backbone_fits_its_part(backbone):
    net = build_net(NetSpec("hand", backbone=backbone, hidden=(16, 16))).eval()
    size = net.crop_size
    with torch.no_grad():
        estimate = net(torch.rand(1, 3, size, size), net.regressor.mean[None])
    assert estimate.hand_pose.shape == (1, 15, 3, 3)


def test_damaged_files_are_refused(file, tmp_path):
    path, _ = file
    content = path.read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match="It is cut off"):
        load_net(tmp_path / "cut.safetensors")
    altered = bytearray(content)
    altered[-100] ^= 0xFF
    (tmp_path / "altered.safetensors").write_bytes(altered)
    with pytest.raises(WeightsError, match="hash"):
        load_net(tmp_path / "altered.safetensors")
    with pytest.raises(WeightsError, match="no weights at"):
        load_net(tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match="unknown weights"):
        load_networks("nothing-like-it")


def test_swapped_files_are_noticed(file, tmp_path):
    path, _ = file
    for part in ("body", "hand", "face"):
        (tmp_path / f"{part}.safetensors").write_bytes(path.read_bytes())
    with pytest.raises(WeightsError, match="holds a hand network, expected body"):
        load_networks(tmp_path)


def test_unknown_backbone():
    with pytest.raises(WeightsError, match="unknown backbone 'vit'"):
        build_net(NetSpec("body", backbone="vit"))
