"""One body, one sampler and one studio for all tests of synthetic people."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.body.model import BodyModel
from limner.synth.people import SynthBatch, SyntheticPeople
from limner.synth.sampler import PersonSampler


@pytest.fixture(scope="session")
def body_model() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="session")
def poses_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared pose library, or a made-up one in its format."""
    shared = Path(os.environ.get("LIMNER_SHARED", "../shared")) / "data" / "poses" / "cmu_poses.npz"
    if shared.exists():
        return shared
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("poses") / "poses.npz"
    np.savez(
        path,
        body_pose=rng.normal(0, 0.15, (50, 21, 3)).astype(np.float16),
        global_orient=rng.normal(0, 0.3, (50, 3)).astype(np.float16),
        weight=np.ones(50),
    )
    return path


@pytest.fixture(scope="session")
def sampler(body_model: BodyModel, poses_path: Path) -> PersonSampler:
    return PersonSampler(body_model, poses_path)


@pytest.fixture(scope="session")
def people(body_model: BodyModel, sampler: PersonSampler) -> SyntheticPeople:
    return SyntheticPeople(body_model, sampler)


@pytest.fixture(scope="session")
def batch(people: SyntheticPeople) -> SynthBatch:
    return people.batch(4, torch.Generator().manual_seed(3))
