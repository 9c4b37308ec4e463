"""Parameter vectors and the iterative regressor."""

import pytest
import torch

from limner.networks.regressor import (
    IterativeRegressor,
    body_layout,
    decode_body,
    hand_layout,
    head_layout,
)


def test_layout_sizes_and_offsets_are_expose_s():
    body = body_layout()
    assert [body.slices[b.name].start for b in body.blocks] == [0, 6, 132, 222, 312, 318, 328, 338]
    assert (body.size, hand_layout().size, head_layout().size) == (341, 109, 165)
    assert body_layout(num_betas=16, num_expression=52).size == 341 + 6 + 42


def test_mean_stands_upright_at_the_camera_scale():
    layout = body_layout()
    params, camera = decode_body(layout, layout.mean(0.9)[None])
    assert torch.allclose(params.global_orient[0], torch.diag(torch.tensor([1.0, -1.0, -1.0])))
    assert torch.allclose(params.body_pose, torch.eye(3).expand(1, 21, 3, 3))
    assert torch.allclose(camera.scale, torch.tensor([0.9])) and not camera.translation.any()


def test_mean_takes_given_blocks_and_refuses_unknown_ones():
    layout = hand_layout()
    mean = layout.mean(0.9, {"betas": torch.arange(10.0)})
    assert torch.equal(layout.part(mean[None], "betas")[0], torch.arange(10.0))
    with pytest.raises(ValueError, match="expected one of: wrist_pose 6"):
        layout.mean(0.9, {"jaw_pose": torch.zeros(6)})


def test_head_mean_faces_the_camera():
    layout = head_layout()
    mean = layout.mean(8.0)[None]
    assert layout.rotations(mean, "neck_pose")[0, 0, 1, 1] == -1
    assert torch.allclose(layout.camera(mean).scale, torch.tensor([8.0]))


def plain_twin(regressor: IterativeRegressor, features: torch.Tensor, state: torch.Tensor) -> list[torch.Tensor]:
    """The textbook form: concatenate features and state, three times."""
    first = torch.cat([regressor.from_features.weight, regressor.from_state.weight], 1)
    states = []
    for _ in range(3):
        x = torch.cat([features, state], 1) @ first.T + regressor.from_features.bias
        x = torch.relu(x) if regressor.activation == "relu" else x
        x = regressor.hidden[0](x)
        x = torch.relu(x) if regressor.activation == "relu" else x
        state = state + regressor.output(x)
        states.append(state)
    return states


@pytest.mark.parametrize("activation", ["none", "relu"])
def test_regressor_equals_its_plain_twin(activation):
    torch.manual_seed(0)
    regressor = IterativeRegressor(20, torch.randn(9), (16, 12), activation).eval()
    torch.nn.init.normal_(regressor.output.weight, std=0.2)
    features, start = torch.randn(4, 20), torch.randn(4, 9)
    for ours, plain in zip(regressor(features, start), plain_twin(regressor, features, start), strict=True):
        assert torch.allclose(ours, plain, atol=1e-5)
    assert torch.allclose(regressor(features)[2], regressor(features, regressor.mean.expand(4, -1))[2], atol=1e-5)


def test_regressor_starts_near_the_mean_and_trains():
    mean = torch.randn(9)
    regressor = IterativeRegressor(20, mean, (16, 12), dropout=0.0)
    last = regressor(torch.randn(4, 20))[-1]
    assert (last - mean).abs().max() < 0.1
    last.square().sum().backward()
    assert all(p.grad is not None for p in regressor.parameters())
