"""A training that is killed at any moment ends, when it is started again, as one that never was."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save

from limner.io import atomic
from limner.io.atomic import atomic_write
from limner.train.checkpoint import append_row, cut_log, read_log
from limner.train.steps import StepOptions, train_steps


class Killed(BaseException):
    pass


def train(folder: Path, dies_at: int | None = None) -> None:
    """A run that is killed in the middle of a step: before it is done."""
    torch.manual_seed(5)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 1))
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.1)
    begun = 0

    def loss_of(generator):
        nonlocal begun
        begun += 1
        if begun == dies_at:
            raise Killed
        return net(torch.randn(8, 3, generator=generator)).square().mean(), {"drawn": float(torch.rand(1))}

    def write():
        with atomic_write(folder / "net.safetensors") as file:
            file.write(save(net.state_dict()))

    def judge():
        return {"weight": float(net[0].weight.detach().sum())}

    train_steps(net, optimiser, StepOptions(6, log_every=2, save_every=3), loss_of, judge, write, folder, "net")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def never_cut_off(tmp_path):
    folder = tmp_path / "whole"
    folder.mkdir()
    train(folder)
    return folder


def same(a: Path, b: Path) -> bool:
    told = (a / "net_log.csv").read_bytes() == (b / "net_log.csv").read_bytes()
    mine, yours = load_file(a / "net.safetensors"), load_file(b / "net.safetensors")
    return told and all(torch.equal(mine[name], yours[name]) for name in mine)


@pytest.mark.parametrize("step", range(1, 7))
def test_killed_in_a_step(tmp_path, never_cut_off, step):
    with pytest.raises(Killed):
        train(tmp_path, dies_at=step)
    train(tmp_path)
    assert same(tmp_path, never_cut_off)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("write", range(7))  # three rows, two checkpoints, two times weights
def test_killed_before_or_after_each_file(tmp_path, never_cut_off, monkeypatch, write, after):
    """As every file goes into its place: between a row and the checkpoint, between the checkpoint and the weights."""
    replace, calls = atomic.os.replace, iter(range(99))

    def dying(source, target):
        last = next(calls) == write
        if not last or after:
            replace(source, target)
        if last:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "replace", dying)
        with pytest.raises(Killed):
            train(tmp_path)
    assert next(calls) == write + 1
    train(tmp_path)
    assert same(tmp_path, never_cut_off)


def test_a_run_that_is_done_writes_its_lost_weights_and_nothing_twice(tmp_path, never_cut_off):
    train(tmp_path)
    (tmp_path / "net.safetensors").unlink()
    train(tmp_path)
    assert same(tmp_path, never_cut_off)
    assert [row["step"] for row in read_log(tmp_path / "net_log.csv")] == [2, 4, 6]


def test_a_log_is_cut_back(tmp_path):
    log = tmp_path / "a_log.csv"
    cut_log(log, 3)
    assert not log.exists()
    for step in (0.0, 2.0, 4.0):
        append_row(log, {"step": step, "loss": step / 7})
    kept = log.read_text()
    cut_log(log, 4)
    assert log.read_text() == kept
    log.write_text(kept + "6")  # what a kill of an older version has left
    cut_log(log, 9)
    assert log.read_text().split() == kept.split()
    cut_log(log, 3)
    assert log.read_text().split() == kept.split()[:3]
