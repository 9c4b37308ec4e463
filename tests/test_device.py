"""No step makes a tensor on another device than its inputs.

There is no GPU here. Instead every tensor that is made without naming a device is made on `meta`, where numbers are
nowhere, while all inputs lie on the CPU: a step that names none fails as it would between a GPU and the CPU.
"""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import limner
from limner.body.model import BodyModel
from limner.errors import LimnerError
from limner.estimator import Estimator
from limner.io.photo_input import as_photo
from limner.pipeline.results import save_results
from tests.pipeline.bodies import smplx_like

PHOTOS = sorted((Path(limner.__file__).parent / "assets" / "photos").glob("*.jpg"))[:2]


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator.load(engine="torch")


def test_the_flow_stays_on_the_device_of_its_inputs(estimator: Estimator) -> None:
    photos = [as_photo(path) for path in PHOTOS]
    boxes = [None, torch.tensor([[30.0, 20.0, 480.0, 500.0]])]
    here = estimator.together(photos, boxes)
    with torch.device("meta"):
        there = estimator.together(photos, boxes)
    for a, b in zip(here, there, strict=True):
        assert len(a) == 1 and torch.allclose(a.vertices, b.vertices, atol=1e-3)
        assert not any(value.is_meta for value in (b.confidence, b.eased, b.scores, b.keypoints_px))


def test_another_body_stays_there_too(estimator: Estimator, tmp_path: Path) -> None:
    np.savez(tmp_path / "body.npz", **smplx_like(16, 10))
    other = Estimator(estimator.networks, estimator.detector, BodyModel.load(tmp_path / "body.npz"))
    assert other.to("cpu") is other and other.converter is not None
    photo = as_photo(PHOTOS[0])
    with torch.device("meta"):
        (people,) = other.together([photo], [None])
    assert torch.allclose(people.vertices, other(photo).vertices, atol=1e-3)


def test_hands_and_faces_alone_stay_there_too(estimator: Estimator) -> None:
    photo, box = as_photo(PHOTOS[0]), torch.tensor([[100.0, 60.0, 300.0, 300.0]])
    for part in (estimator.hands, estimator.faces):
        (here,) = part(photo, box)
        with torch.device("meta"):
            (there,) = part(photo, box)
        assert torch.allclose(here.vertices, there.vertices, atol=1e-3)


def test_a_device_names_its_engine() -> None:
    with pytest.raises(LimnerError, match='engine "onnx" runs on the CPU'):
        Estimator.load(engine="onnx", device="cuda")
    assert math.isfinite(float(Estimator.load(device="cpu").body_model.v_template.sum()))


def test_results_are_written_wherever_they_lie(estimator: Estimator, tmp_path: Path) -> None:
    photo = as_photo(PHOTOS[0])
    people = estimator(photo)
    save_results(people, photo, estimator.body_model, tmp_path / "here")
    with torch.device("meta"):
        save_results(people, photo, estimator.body_model, tmp_path / "there")
    for name in ("overlay.png", "sheet.png", "person_0/mesh.ply", "person_0/mesh.glb"):
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
