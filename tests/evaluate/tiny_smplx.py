"""A small body in SMPL-X's file format with its auxiliary files, and people made of it."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from limner.body.model import BodyModel
from limner.body.skeleton import JOINT_NAMES
from limner.evaluate.person_points import PersonPoints
from limner.evaluate.topology import HANDS_FILE, HEAD_FILE, J14_FILE, SmplxFiles, find_smplx_files
from tests.conftest import random_people, smplx_arrays

VERTICES = 400
LEFT, RIGHT, HEAD = np.arange(0, 40), np.arange(40, 80), np.arange(80, 140)


def write_smplx(folder: Path) -> Path:
    """All files that a user would bring; returns the model's path."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "SMPLX_NEUTRAL.npz", **smplx_arrays(VERTICES))
    (folder / HANDS_FILE).write_bytes(pickle.dumps({"left_hand": LEFT, "right_hand": RIGHT}, protocol=2))
    np.save(folder / HEAD_FILE, HEAD)
    regressor = np.random.default_rng(5).dirichlet(np.full(VERTICES, 0.05), 14)
    (folder / J14_FILE).write_bytes(pickle.dumps(regressor, protocol=2))
    return folder / "SMPLX_NEUTRAL.npz"


def smplx_and_files(folder: Path) -> tuple[BodyModel, SmplxFiles]:
    """The model and what was found beside it."""
    return BodyModel.load(write_smplx(folder)), find_smplx_files([folder])


def posed(model: BodyModel, count: int = 2, seed: int = 0) -> list[PersonPoints]:
    """People two metres before the camera."""
    params = random_people(count, 10, 10, seed).to(torch.float32)
    params = params.replace(transl=params.transl * 0.1 + torch.tensor([0.0, 0.0, 2.0]))
    with torch.no_grad():
        mesh = model(params)
    person = PersonPoints(faces=model.faces, joint_names=JOINT_NAMES)
    return [replace(person, vertices=mesh.vertices[i], joints=mesh.joints[i]) for i in range(count)]
