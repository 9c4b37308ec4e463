"""An owner's VPoser: a made file of its layout is read as numbers, used as a prior, and nothing else is let in."""

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from limner.errors import WeightsError
from limner.fit.fitter import Fitter
from limner.fit.prior import shipped_priors
from limner.fit.status import Finding
from limner.fit.vposer import LAYERS, load_vposer, owned_priors
from limner.geometry.rotation import rotation_from_axis_angle
from tests.fit.made import exact_targets, people

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
    assert torch.allclose(one.residual, two.residual, atol=1e-4) and one.residual.shape == (2, 32 + 21 * 9)
    priors = owned_priors(tmp_path / "v.ckpt")
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


def test_the_downloads_folder_with_what_its_trainer_kept(state, tmp_path, capsys):
    """The official file is a whole training checkpoint: classes and objects in it are neither needed nor run."""
    folder = tmp_path / "V02_05" / "snapshots"
    folder.mkdir(parents=True)
    kept = {"callbacks": {Evil: {"best": 0.03}}, "hyper_parameters": Evil()}
    torch.save({"state_dict": state, **kept}, folder / "V02_05_epoch=13_val_loss=0.03.ckpt")
    (folder / "V02_05_epoch=08_val_loss=0.04.ckpt").write_bytes(b"older")
    os.utime(folder / "V02_05_epoch=08_val_loss=0.04.ckpt", (1, 1))
    assert owned_priors(tmp_path / "V02_05").body.tensors.keys() >= {"enter.weight", "pose.bias"}
    assert owned_priors(None) is shipped_priors()
    assert "executed" not in capsys.readouterr().out


def test_a_fit_with_it_is_drawn_to_what_it_knows(body, state, tmp_path):
    for layer in ("encoder_net.8.mu", "decoder_net.5"):  # knows one pose, the T-pose
        state[f"vp_model.{layer}.weight"].zero_()
        state[f"vp_model.{layer}.bias"].zero_()
    state["vp_model.decoder_net.5.bias"] = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0, 0.0]).repeat(21)
    save_file(state, tmp_path / "v.safetensors")
    fitter, usual = Fitter(body, priors=owned_priors(tmp_path / "v.safetensors")), Fitter(body)
    true, camera = people(fitter.model, 1)
    targets = exact_targets(fitter.model, true, camera)
    ends = [f.coarse.solve(targets, true).state for f in (fitter, usual)]
    straight = [float(end.body_pose.diagonal(dim1=2, dim2=3).sum()) for end in ends]
    assert straight[0] > straight[1] + 0.5
    # the status asks limner's own prior, on whose scale its limits are
    strange = true.replace(body_pose=true.body_pose @ rotation_from_axis_angle(torch.full((1, 21, 3), 0.9)))
    found = Finding(targets, strange, torch.zeros(1), torch.zeros(1))
    fits = [f.with_status(targets, [""], found, None) for f in (fitter, usual)]
    assert fits[0].status == fits[1].status and fits[0].scores == fits[1].scores
    assert not fits[0].fitted.any()


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def test_foreign_files_are_refused(state, tmp_path, capsys):
    with (tmp_path / "evil.ckpt").open("wb") as file:
        pickle.dump({"state_dict": Evil()}, file)
    torch.save({"state_dict": {"bodyprior_enc_fc1.weight": torch.zeros(2)}}, tmp_path / "v1.ckpt")
    torch.save({"state_dict": Evil()}, tmp_path / "evil2.ckpt")
    torch.save(torch.zeros(3), tmp_path / "tensor.ckpt")
    save_file(state | {"vp_model.encoder_net.2.weight": torch.zeros(16, 60)}, tmp_path / "sizes.safetensors")
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "sizes.safetensors").read_bytes()[:5000])
    for name, message in (
        ("evil.ckpt", "refused"),
        ("evil2.ckpt", "no dict of tensors"),
        ("tensor.ckpt", "no dict of tensors"),
        ("text.ckpt", "damaged"),
        ("cut.safetensors", "damaged"),
        ("v1.ckpt", "version 2"),
        ("sizes.safetensors", "not of its sizes"),
        ("none.ckpt", "no VPoser"),
        (".", "no VPoser"),
    ):
        with pytest.raises(WeightsError, match=message):
            load_vposer(tmp_path / name)
    assert "executed" not in capsys.readouterr().out
