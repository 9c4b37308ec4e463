"""A network of bare layers, filled, is the folded network."""

import torch

from limner.expose.fold import folded
from limner.networks.layers import bare_layers, fill
from limner.networks.resnet import ResNet


def test_bare_layers_have_the_names_and_shapes_of_the_folded_network_and_become_it():
    torch.manual_seed(0)
    whole = folded(ResNet(18, crop_size=64))
    with bare_layers():
        bare = ResNet(18, crop_size=64).eval()
    assert all(parameter.is_meta for parameter in bare.parameters())
    tensors = whole.state_dict()
    assert {name: t.shape for name, t in bare.state_dict().items()} == {name: t.shape for name, t in tensors.items()}
    fill(bare, tensors)
    pixels = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(bare(pixels).pooled, whole(pixels).pooled, atol=1e-4)
    assert bare.conv1.weight.data_ptr() == whole.conv1.weight.data_ptr()  # not copied


def test_outside_layers_are_torch_s():
    with bare_layers():
        pass
    assert not any(parameter.is_meta for parameter in ResNet(18).parameters())
