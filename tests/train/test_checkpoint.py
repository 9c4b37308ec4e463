"""A training goes on from what it left, and says so where that is damaged or another's."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from limner.errors import WeightsError
from limner.train.checkpoint import cosine_schedule, read_log, resume_state, save_state


def training(features: int = 3) -> tuple[nn.Module, torch.optim.Optimizer, Any]:
    net = nn.Sequential(nn.Linear(features, 2), nn.Linear(2, 1))
    optimiser = torch.optim.AdamW(net.parameters(), 1e-3)
    return net, optimiser, cosine_schedule(optimiser, 10)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A checkpoint after one step."""
    net, optimiser, schedule = training()
    net(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    schedule.step()
    save_state(tmp_path / "body_checkpoint.pt", net, optimiser, schedule, 1)
    return tmp_path / "body_checkpoint.pt"


def test_all_of_it_comes_back(file: Path):
    net, optimiser, schedule = training()
    assert resume_state(file, net, optimiser, schedule) == 1
    again = file.with_name("again.pt")
    save_state(again, net, optimiser, schedule, 1)
    ours, theirs = (torch.load(path, weights_only=True) for path in (file, again))
    assert (
        ours["schedule"] == theirs["schedule"]
        and ours["optimiser"]["param_groups"] == theirs["optimiser"]["param_groups"]
    )
    assert all(torch.equal(ours["trained"][name], theirs["trained"][name]) for name in ours["trained"])
    for row, moments in ours["optimiser"]["state"].items():
        assert all(torch.equal(moments[name], theirs["optimiser"]["state"][row][name]) for name in moments)


def test_every_flipped_byte_is_harmless_or_told(file: Path):
    content = file.read_bytes()
    net, optimiser, schedule = training()
    resume_state(file, net, optimiser, schedule)
    whole = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    told = 0
    for at in range(0, len(content), 101):
        file.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        try:
            resume_state(file, net, optimiser, schedule)
            assert all(torch.equal(tensor, whole[name]) for name, tensor in net.state_dict().items())
        except WeightsError as error:
            assert "to begin anew" in str(error)
            told += 1
    assert told > 20


def test_another_training_is_told(file: Path):
    with pytest.raises(WeightsError, match="of another training"):
        resume_state(file, *training(features=4))
    for change in ({"done": "x"}, {"done": -1}, {"schedule": {"last_epoch": []}}, {"optimiser": {"param_groups": []}}):
        state = torch.load(file, weights_only=True)
        torch.save(state | change, file.with_name("b.pt"))
        with pytest.raises(WeightsError, match="begin anew"):
            resume_state(file.with_name("b.pt"), *training())


def test_a_damaged_log_is_told(tmp_path: Path):
    (tmp_path / "log.csv").write_text("step,loss\n1,0.5\n2,half\n")
    with pytest.raises(WeightsError, match="log.csv"):
        read_log(tmp_path / "log.csv")
