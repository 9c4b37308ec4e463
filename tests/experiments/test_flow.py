"""Variants of the flow: the full one is the estimator's, and each leaves out what its name says."""

from pathlib import Path

import pytest
import torch

from limner.body.skeleton import chain_to_root
from limner.body.skinning import absolute_rotation
from limner.estimator import Estimator
from limner.experiments import flow
from limner.geometry.box import Squares
from limner.geometry.warp import Frames
from limner.io.image import read_photo
from limner.pipeline.merge import merge
from limner.pipeline.predict import Coarse, Parts

PHOTO = Path(__file__).parents[2] / "src" / "limner" / "assets" / "photos" / "eileen_collins.jpg"


@pytest.fixture(scope="module")
def seen() -> tuple[Estimator, torch.Tensor, torch.Tensor, Coarse, Parts]:
    """One person of a bundled photo, half as large."""
    net = Estimator.load()
    photo = flow.reduced(read_photo(PHOTO).pixels, 2)
    frames = Frames((photo,))
    boxes = net.detector(frames).boxes[:1]
    first = flow.coarse(net, frames, boxes)
    return net, photo, boxes, first, net.attend(frames, first, first.refined)


def test_whole_flow_is_the_estimators(seen) -> None:
    net, photo, boxes, first, parts = seen
    params = net.flow.join(first, parts)
    expected = net(photo, boxes).params
    assert torch.allclose(params.full_pose(), expected.full_pose(), atol=1e-4)
    assert torch.allclose(params.expression, expected.expression, atol=1e-3)
    assert torch.allclose(params.transl, expected.transl, atol=1e-3)


def test_fingers_only_keeps_the_bodys_wrists_and_head(seen) -> None:
    _, _, _, first, parts = seen
    params = flow.fingers_only(first.body, parts)
    whole = merge(first.body, parts)
    assert torch.equal(params.body_pose, first.body.body_pose)
    assert not torch.allclose(whole.body_pose, first.body.body_pose)  # the face at least is seen in this photo
    assert torch.allclose(params.jaw_pose, whole.jaw_pose, atol=1e-5)
    assert torch.allclose(params.right_hand_pose, whole.right_hand_pose, atol=1e-5)


def test_merged_head_looks_where_the_face_network_says_and_the_pasted_one_does_not(seen) -> None:
    _, _, _, first, parts = seen
    assert bool(parts.face.trusted[0])
    chain = chain_to_root("head")
    merged = absolute_rotation(merge(first.body, parts).full_pose(), chain)
    pasted = absolute_rotation(flow.pasted(first.body, parts).full_pose(), chain)
    assert torch.allclose(merged, parts.face.rotation, atol=1e-4)
    assert float((pasted - parts.face.rotation).norm()) > 0.5


def test_reduced_averages_blocks() -> None:
    photo = torch.zeros(3, 4, 4, dtype=torch.uint8)
    photo[:, :2, :2] = torch.tensor([[0, 100], [100, 200]], dtype=torch.uint8)
    assert flow.reduced(photo, 2)[:, 0, 0].tolist() == [100, 100, 100]
    assert flow.reduced(photo, 2).shape == (3, 2, 2)


def test_through_body_crop_keeps_places_and_loses_detail() -> None:
    column = torch.linspace(0, 255, 1024)
    ramp = column.expand(3, 1024, 1024).round().to(torch.uint8)
    square = Squares(torch.tensor([[512.0, 512.0]]), torch.tensor([900.0]), torch.tensor([0.3]))
    blurred = flow.through_body_crop(ramp, square).float()
    inner = blurred[:, 300:700, 300:700] - ramp.float()[:, 300:700, 300:700]
    assert float(inner.abs().max()) < 2.5  # a slope survives where it was
    stripes = (torch.arange(1024) % 2 * 255).to(torch.uint8).expand(3, 1024, 1024).contiguous()
    assert float(flow.through_body_crop(stripes, square)[:, 300:700, 300:700].float().std()) < 60 < 127
    assert int(flow.through_body_crop(ramp, square)[:, :5, :5].max()) == 0  # outside of the crop nothing is known
