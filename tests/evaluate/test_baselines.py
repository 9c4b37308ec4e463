"""Baselines and part networks alone, on crops and networks small enough to reason about."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from limner.body.keypoints import COCO17
from limner.body.model import BodyModel
from limner.evaluate.baselines import (
    BACKBONE,
    LIMNER,
    MEAN,
    mean_body,
    mean_hand,
    points_of_people,
    predict_faces,
    predict_hands,
)
from limner.evaluate.photo_sets import BODY, EXTRA, LEFT_HAND, POINT_NAMES
from limner.geometry.camera import Camera
from limner.geometry.rotation import rotation_from_axis_angle
from limner.geometry.warp import Frames
from limner.io.image import Photo
from limner.networks.backbone import Features
from limner.networks.weights import NetSpec, Networks, build_net
from limner.pipeline.parts_alone import faces_in_boxes, hands_in_boxes
from limner.pipeline.predicted import PredictedPoints
from tests.evaluate.drawn import posed_people

BOXES = torch.tensor([[20.0, 20.0, 80.0, 120.0], [60.0, 40.0, 100.0, 90.0]])


@pytest.fixture(scope="module")
def networks() -> Networks:
    """Untrained networks on our own backbone: their answer is close to the mean."""
    torch.manual_seed(0)
    return Networks(*(build_net(NetSpec(part, "compact", (32,))).eval() for part in ("body", "hand", "face")))


def photo() -> Photo:
    pixels = (torch.rand(3, 150, 130, generator=torch.Generator().manual_seed(0)) * 255).to(torch.uint8)
    return Photo(pixels, None, Path("noise"))


class Reports(nn.Module):
    """A backbone that reports given 3D points, the mean hand's outline, and a hand where a crop's top is brighter."""

    crop_size = 32
    num_features = 4

    def __init__(self, points3d: Tensor, outline: Tensor):
        super().__init__()
        self.points3d, self.outline = points3d, outline

    def forward(self, pixels: Tensor) -> Features:
        count = len(pixels)
        points = torch.cat([self.outline, torch.ones(21, 1)], -1).expand(count, -1, -1)
        brighter = pixels[:, :, :16].mean((1, 2, 3)) - pixels[:, :, 16:].mean((1, 2, 3))
        return Features(
            torch.zeros(count, 4), (), points, self.points3d.expand(count, -1, -1), (brighter > 0.5).float()
        )


def upright_outline(body: BodyModel, networks: Networks) -> Tensor:
    """A hand that fills a crop and whose middle finger points straight up."""
    outline = mean_hand(networks, body)[0, :, :2] * 8
    outline[9, 0] = outline[0, 0]
    return outline


def test_the_mean_body_stands_upright_in_its_box_the_left_side_on_the_right(body: BodyModel, networks: Networks):
    points = mean_body(networks.body, body, BOXES).points_px
    assert points.shape == (2, len(POINT_NAMES), 2)
    for person, box in zip(points, BOXES, strict=True):
        assert (person >= box[:2]).all() and (person <= box[2:]).all()
        at = dict(zip(COCO17, person[BODY], strict=True))
        assert at["left_shoulder"][0] > at["right_shoulder"][0] and at["nose"][1] < at["left_hip"][1]
        head_top = person[EXTRA][1]
        assert head_top[1] < at["left_eye"][1]


def test_the_mean_hand_shows_its_palm_fingers_up_thumb_on_the_right(body: BodyModel, networks: Networks):
    hand = mean_hand(networks, body)[0]
    assert hand[0].abs().max() < 1e-6
    assert hand[12, 1] < hand[9, 1] < 0  # the middle finger points up
    assert hand[4, 0] > hand[20, 0]  # thumb to the right of the little finger


def test_people_name_its_points(body: BodyModel):
    people = posed_people(body, [(0.0, 0.2, 3.0)])

    prediction = points_of_people(body, people).points_px[0]
    left_index_tip = POINT_NAMES.index("left_index")
    assert left_index_tip == LEFT_HAND.start + 8
    expected = people.camera.project(people.vertices[:, body.vertex_ids[12]][:, None])[0, 0]
    assert torch.allclose(prediction[left_index_tip], expected)
    assert prediction[EXTRA][1][1] < prediction[BODY][:, 1].min()  # nothing is higher than the head's top


def test_left_hands_are_answered_as_mirrored_right_ones(body: BodyModel, networks: Networks):
    mirrored = Photo(photo().pixels.flip(-1).contiguous(), None, Path("mirrored"))
    width = float(mirrored.width)
    boxes = BOXES[:1]
    flipped = torch.tensor([[width - 80.0, 20.0, width - 20.0, 120.0]])
    camera = Camera(torch.tensor([200.0]), torch.tensor([[width / 2, 75.0]]))
    right = predict_hands(networks, body, photo(), boxes, torch.tensor([False]), camera)
    left = predict_hands(networks, body, mirrored, flipped, torch.tensor([True]), camera)
    assert list(right) == [LIMNER, BACKBONE, MEAN]
    for name in right:
        expected = right[name].points_px * torch.tensor([-1.0, 1.0]) + torch.tensor([width, 0.0])
        assert torch.allclose(left[name].points_px, expected, atol=0.05), name
    in_3d, in_3d_mirrored = right[LIMNER].points3d, left[LIMNER].points3d
    assert in_3d is not None and in_3d_mirrored is not None
    assert torch.allclose(in_3d_mirrored, in_3d * torch.tensor([-1.0, 1.0, 1.0]), atol=1e-4)


def test_the_wrist_starts_from_the_backbones_3d(body: BodyModel, networks: Networks):
    net = build_net(NetSpec("hand", "compact", (16,))).eval()
    mean = PredictedPoints("hand", body, net.layout)(net.regressor.mean[None])
    turn = rotation_from_axis_angle(torch.tensor([[0.4, -1.0, 2.0]]))
    net.backbone = Reports(mean @ turn.mT + 0.3, upright_outline(body, networks))
    net.regressor = build_regressor(net)
    bright_top = torch.zeros(3, 150, 130, dtype=torch.uint8)
    bright_top[:, :70] = 255
    look = hands_in_boxes(net, body, Frames((bright_top,)), BOXES[:1], torch.tensor([False]))
    # the regressor adds nothing, so the answer is the start
    assert torch.allclose(
        look.estimate.wrist, turn @ net.layout.rotations(net.regressor.mean[None], "wrist_pose")[:, 0]
    )


def test_a_hand_pointing_down_is_found_by_turning_the_crop(body: BodyModel, networks: Networks):
    net = build_net(NetSpec("hand", "compact", (16,))).eval()
    net.backbone = Reports(torch.zeros(1, 21, 3), upright_outline(body, networks))
    net.regressor = build_regressor(net)
    bright_bottom = torch.zeros(3, 150, 130, dtype=torch.uint8)
    bright_bottom[:, 70:] = 255
    look = hands_in_boxes(net, body, Frames((bright_bottom,)), BOXES[:1], torch.tensor([False]))
    assert abs(look.seen.squares.angle_rad.item()) == pytest.approx(math.pi, abs=1e-4)


def build_regressor(net) -> nn.Module:
    """The net's regressor for four features, with nothing to add to its start."""
    spec = NetSpec("hand", "compact", (16,))
    fresh = build_net(spec).regressor
    fresh.from_features = nn.Linear(4, 16)
    nn.init.zeros_(fresh.output.weight)
    net.standardise.mean, net.standardise.std = torch.zeros(4), torch.ones(4)
    return fresh.eval()


def test_an_untrained_face_is_the_mean_face_in_its_crop(body: BodyModel, networks: Networks):
    predictions = predict_faces(networks, body, photo(), BOXES)
    assert list(predictions) == [LIMNER, BACKBONE, MEAN]
    mean = predictions[MEAN].points_px
    assert (mean >= BOXES[:, None, :2]).all() and (mean <= BOXES[:, None, 2:]).all()
    look = faces_in_boxes(networks.face, body, Frames((photo().pixels,)), BOXES)
    # iBUG: the right eye (36) is on the picture's left of the left eye (45), above the chin (8)
    for points in (mean, look.points[..., :2]):
        assert (points[:, 36, 0] < points[:, 45, 0]).all() and (points[:, 36, 1] < points[:, 8, 1]).all()
