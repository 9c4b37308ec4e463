"""A curated set of two people, and a bench with a copy of it."""

import shutil
from pathlib import Path

import pytest

from limner.curate.bench import Bench
from limner.curate.run import curate
from limner.curate.store import CuratedSet
from tests.curate.fakes import MakeFake, SlidingFit, photos


@pytest.fixture(scope="session")
def fit() -> SlidingFit:
    return SlidingFit()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of two people."""
    folder = tmp_path_factory.mktemp("made")
    curate([photos(folder / "photos", [1, 1])], folder / "set", make_worker=MakeFake())
    return folder / "set"


@pytest.fixture
def bench(made: Path, tmp_path: Path, fit: SlidingFit) -> Bench:
    return Bench(CuratedSet.open(shutil.copytree(made, tmp_path / "set")), fit.model, fit)
