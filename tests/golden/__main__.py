"""Writes the golden numbers: python -m tests.golden."""

import os
from pathlib import Path

import torch

from tests.golden import NUMBERS, write

if __name__ == "__main__":
    torch.set_num_threads(1)
    write(Path(os.environ.get("LIMNER_SHARED", Path(__file__).parents[3] / "shared")))
    print(f"{NUMBERS}: {NUMBERS.stat().st_size / 1e3:.0f} kB")
