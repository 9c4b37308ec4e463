"""An owner's VPoser: a made file of its layout is read as numbers, used as a prior, and nothing else is let in."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from limner.errors import WeightsError
from limner.fit.prior import shipped_priors
from limner.fit.vposer import LAYERS, load_vposer, with_vposer
from limner.geometry.rotation import rotation_from_axis_angle

SIZES = {
    "norm_in": (63,), "enter": (16, 63), "norm_mid": (16,), "enter2": (16, 16), "enter3": (16, 16),
    "code": (32, 16), "leave": (16, 32), "leave2": (16, 16), "pose": (126, 16),
}  # fmt: skip


@pytest.fixture
def state():
    g = torch.Generator().manual_seed(0)
    tensors = {"vp_model.encoder_net.8.logvar.weight": torch.zeros(32, 16)}
    for short, name in LAYERS.items():
        size = SIZES[short]
        kinds = {"weight": size, "bias": size[:1]}
        if short.startswith("norm"):
            kinds |= {"running_mean": size, "running_var": size}
        for kind, shape in kinds.items():
            tensors[f"vp_model.{name}.{kind}"] = 0.3 * torch.randn(shape, generator=g).abs() + 0.1
    return tensors


def test_checkpoint_and_safetensors_give_the_same_prior(state, tmp_path):
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "v.ckpt")
    save_file(state, tmp_path / "v.safetensors")
    pose = rotation_from_axis_angle(0.2 * torch.randn(2, 21, 3, generator=torch.Generator().manual_seed(1)))
    one, two = (load_vposer(tmp_path / name)(pose) for name in ("v.ckpt", "v.safetensors"))
    assert torch.equal(one.residual, two.residual) and one.residual.shape == (2, 32 + 21 * 9)
    priors = with_vposer(shipped_priors(), load_vposer(tmp_path / "v.ckpt"))
    assert priors.body is not shipped_priors().body and priors.right_hand is shipped_priors().right_hand


def test_slope_equals_finite_differences(state, tmp_path):
    save_file(state, tmp_path / "v.safetensors")
    prior = load_vposer(tmp_path / "v.safetensors")
    doubled = type(prior)({name: value.double() for name, value in prior.tensors.items()})
    pose = rotation_from_axis_angle(
        0.2 * torch.randn(2, 21, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    )
    slope = doubled(pose).slope
    for column in (0, 7, 62):
        turn = torch.zeros(63, dtype=torch.float64)
        turn[column] = 1e-5
        step = rotation_from_axis_angle(turn.unflatten(0, (21, 3)))
        ahead, behind = (doubled(pose @ s).residual for s in (step, step.mT))
        assert torch.allclose(slope[..., column], (ahead - behind) / 2e-5, atol=1e-4)


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def test_foreign_files_are_refused(state, tmp_path, capsys):
    with (tmp_path / "evil.ckpt").open("wb") as file:
        pickle.dump({"state_dict": Evil()}, file)
    torch.save({"state_dict": {"bodyprior_enc_fc1.weight": torch.zeros(2)}}, tmp_path / "v1.ckpt")
    for name, message in (("evil.ckpt", "refused"), ("v1.ckpt", "version 2"), ("none.ckpt", "no VPoser")):
        with pytest.raises(WeightsError, match=message):
            load_vposer(tmp_path / name)
    assert "executed" not in capsys.readouterr().out
