"""Who is in the experiments: whole, alone, in the middle; the same people for the same seed."""

import pytest
import torch

from limner.body.model import BodyModel
from limner.experiments.people import FILL, recentred, suitable
from limner.geometry.box import bounds_of
from limner.geometry.mesh import vertex_normals
from limner.synth.people import SynthBatch, SyntheticPeople
from limner.synth.sampler import PersonSampler

SIDE = 256


@pytest.fixture(scope="module")
def drawn(body: BodyModel) -> tuple[SyntheticPeople, SynthBatch, SynthBatch]:
    """People as the synthesiser draws them, and the same ones put in the middle."""
    synthetic = SyntheticPeople(body, PersonSampler(body), photo_px=SIDE)
    generator = torch.Generator().manual_seed(3)
    batch = synthetic.batch(8, generator)
    return synthetic, batch, recentred(batch, generator)


def test_recentred_people_are_the_same_people_elsewhere(drawn) -> None:
    synthetic, before, after = drawn
    body = synthetic.body_model
    mesh = body(after.params)
    assert torch.allclose(mesh.vertices + after.params.transl[:, None], after.vertices, atol=1e-4) or torch.allclose(
        mesh.vertices, after.vertices, atol=1e-4
    )
    assert torch.allclose(after.camera.project(after.keypoints), after.keypoints_px, atol=1e-2)
    same = [vertex_normals(b.vertices, body.faces) for b in (before, after)]
    assert torch.allclose(*same, atol=1e-3)


def test_recentred_people_fill_the_middle_alone(drawn) -> None:
    _, _, after = drawn
    bounds = bounds_of(after.camera.project(after.vertices))
    size = (bounds[:, 2:] - bounds[:, :2]).amax(-1) / SIDE
    assert bool(((size > FILL - 0.15) & (size < FILL + 0.3)).all())
    assert float(((bounds[:, :2] + bounds[:, 2:]) / 2 - SIDE / 2).abs().max()) < 0.25 * SIDE
    assert after.companions is None
    assert not bool(after.scene.occluder_on.any())


def test_suitable_people_look_into_the_camera(drawn) -> None:
    synthetic, _, after = drawn
    facing = after.params.global_orient[:, 2, 2] < -0.6
    assert not bool((suitable(synthetic, after) & ~facing).any())
