"""Numbers come out of torch's checkpoints; nothing else does, and nothing runs."""

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.io.torch_file import read_torch_numbers


class Runs:
    """Would make a folder if it were unpickled for real."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("new", [True, False])
def test_numbers_are_read_and_nothing_runs(tmp_path, new: bool):
    file, trap = tmp_path / "a.ckpt", tmp_path / "trap"
    content = {"model": {"w": torch.arange(3.0), "n": np.arange(2)}, "epoch": 7, "trainer": Runs(trap)}
    torch.save(content, file, _use_new_zipfile_serialization=new)
    read = read_torch_numbers(file)
    assert torch.equal(read["model"]["w"], torch.arange(3.0)) and read["epoch"] == 7
    assert np.array_equal(read["model"]["n"], np.arange(2))
    assert type(read["trainer"]).__name__ == "_Shell" and not trap.exists()


def test_tar_archives_are_refused(tmp_path):
    file = tmp_path / "a.ckpt"
    with tarfile.open(file, "w") as archive:
        archive.add(__file__, "inner")
    with pytest.raises(ValueError, match="tar archive"):
        read_torch_numbers(file)
