"""People of limner's body as people of another: the same mesh, another mesh, fewer shapes, noise."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from limner.body.model import PERSON_BETAS, BodyModel
from limner.pipeline.convert_body import BodyConverter
from limner.pipeline.match_bodies import match_surfaces, skin_vertices
from tests.fit.made import people
from tests.pipeline.bodies import other_make, smplx_like

COUNT = 6


@pytest.fixture(scope="module")
def converters(body, tmp_path_factory):
    """To the same mesh, to the same with ten shapes only, and to a body of another make."""
    folder, made = tmp_path_factory.mktemp("bodies"), {}
    for name, arrays in {"same": smplx_like(16, 10), "ten": smplx_like(10, 10), "other": other_make()}.items():
        np.savez(folder / f"{name}.npz", **arrays)
        made[name] = BodyConverter(body, BodyModel.load(folder / f"{name}.npz"))
    return made


@pytest.fixture(scope="module")
def crowd(body):
    """People in typical poses, their camera, mesh and keypoints; without shapes of the head alone."""
    params, camera = people(body, COUNT)
    betas, expression = params.betas.clone(), params.expression.clone()
    betas[:, PERSON_BETAS:], expression[:, 10:] = 0, 0
    params = params.replace(betas=betas, expression=expression)
    mesh = body(params)
    keypoints = body.keypoints144(mesh, params)
    return SimpleNamespace(params=params, camera=camera, mesh=mesh, keypoints=keypoints, px=camera.project(keypoints))


def test_the_same_mesh_is_reproduced(converters, crowd):
    converter = converters["same"]
    ours = converter(crowd.params, crowd.camera)
    distance = (converter.target(ours).vertices - crowd.mesh.vertices).norm(dim=-1)
    assert float(distance.mean(1).max()) < 1e-3 and float(distance.max()) < 2e-3
    assert torch.allclose(ours.betas, crowd.params.betas[:, :PERSON_BETAS], atol=0.1)
    assert torch.allclose(ours.expression, crowd.params.expression[:, :10], atol=0.1)


def test_another_mesh_lies_where_limners_lies(converters, crowd, body):
    converter = converters["other"]
    match = match_surfaces(body, converter.target, converter.turns, skin_vertices(body)[::20])
    theirs = converter.target(converter(crowd.params, crowd.camera)).vertices[:, match.corners]
    theirs = (theirs * match.barycentric[..., None].float()).sum(2)
    distance = (theirs - crowd.mesh.vertices[:, match.vertex]).norm(dim=-1)
    assert float(distance.mean(1).max()) < 0.012 and float(distance.mean()) < 0.008
    left = converter.leftover
    assert max(left.joints_mm, left.surface_mm, left.landmarks_mm) < 6


@pytest.mark.parametrize("name", ["same", "ten", "other"])
def test_they_stand_where_limners_stand_in_the_photo(converters, crowd, name):
    converter = converters[name]
    ours = converter(crowd.params, crowd.camera)
    model = converter.target
    off_px = (crowd.camera.project(model.keypoints144(model(ours), ours)) - crowd.px).norm(dim=-1)
    box_px = (crowd.px.amax(1) - crowd.px.amin(1)).amax(1)
    share = off_px / box_px[:, None]
    assert float(share.mean(1).max()) < 0.003 and float(share.quantile(0.99)) < 0.01


def test_shape_is_the_same_wherever_somebody_stands(converters, crowd):
    converter = converters["other"]
    betas = converter(crowd.params, crowd.camera).betas
    assert torch.allclose(betas, converter.betas(crowd.params.betas), atol=2e-3)
    assert float(betas.square().mean().sqrt()) < 1.5  # people, as those that they were made of


def test_without_a_camera_they_stand_there_in_space(converters, crowd):
    converter = converters["same"]
    ours = converter(crowd.params)
    model = converter.target
    assert (model.keypoints144(model(ours), ours) - crowd.keypoints).norm(dim=-1).mean() < 2e-3


def test_neutral_faces_stay_neutral(converters):
    for converter in converters.values():
        assert not converter.expression(torch.zeros(2, converter.source.num_expression)).any()


def test_an_expression_moves_the_face_alike(converters, body):
    """Of another make: landmarks move by the same."""
    converter = converters["other"]
    mine = body.rest(1).replace(expression=torch.eye(20)[:1] * 2)
    theirs = converter.target.rest(1).replace(expression=converter.expression(mine.expression))

    def moved(model, params):
        still = params.replace(expression=torch.zeros_like(params.expression))
        marks = [model.keypoints144(model(p), p)[0, 76:127] for p in (params, still)]
        return marks[0] - marks[1]

    wanted = moved(body, mine)
    assert (moved(converter.target, theirs) - wanted).norm() < 0.35 * wanted.norm()


def test_what_is_left_over_is_what_usual_people_lose(converters, body):
    converter = converters["ten"]
    g = torch.Generator().manual_seed(0)
    rest = body.rest(400)
    person = rest.replace(betas=torch.randn(400, 40, generator=g))
    theirs = converter.target.rest(400).replace(betas=converter.betas(person.betas))
    off = converter.target.rest_joints(theirs) - body.rest_joints(person)
    off = (off - off.mean(1, keepdim=True))[:, :25]  # fingers count less
    assert 1000 * float(off.square().sum(-1).mean().sqrt()) == pytest.approx(converter.leftover.joints_mm, rel=0.25)
    assert converters["same"].leftover.joints_mm < converter.leftover.joints_mm
    assert "Head shapes that it does not have are dropped" in converter.note and "ten.npz" in converter.note


def test_noise_is_converted_without_a_word_of_success(body, smplx_file, crowd):
    converter = BodyConverter(body, BodyModel.load(smplx_file))
    ours = converter(crowd.params, crowd.camera)
    assert converter.leftover.surface_mm is None and "surfaces not matched" in converter.note
    assert all(
        bool(torch.isfinite(getattr(ours, name)).all()) for name in ("betas", "expression", "transl", "body_pose")
    )
    assert float(ours.betas.abs().max()) < 10


def test_limners_own_body_needs_no_conversion(body):
    assert BodyConverter.to(body) is None


def test_nobody_is_converted_to_nobody(converters, body, crowd):
    assert len(converters["same"](body.rest(0), crowd.camera[:0])) == 0
