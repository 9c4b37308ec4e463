"""limner as a system under test."""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from limner.body.keypoints import KEYPOINT_NAMES, hand21
from limner.body.model import BodyModel
from limner.data.sources.agora import FULL_WIDTH
from limner.errors import WeightsError
from limner.estimator import Estimator
from limner.evaluate.benchmarks.record import Case, System
from limner.evaluate.limner_system import LimnerSystem, neutral_head
from limner.evaluate.person_points import PersonPoints
from limner.expose.estimator import OfficialEstimator
from limner.expose.network import CropNet
from limner.io.image import read_photo
from limner.networks.regressor import IterativeRegressor, hand_layout
from limner.networks.resnet import ResNet
from tests.expose.test_estimator import Standin

PHOTO = Path(str(files("limner.assets") / "photos" / "eileen_collins.jpg"))


def test_the_seven_landmarks_are_where_a_face_has_them(body: BodyModel):
    prediction = neutral_head(body, torch.zeros(1, 10))
    assert prediction.landmarks is not None and prediction.vertices is not None
    x, y, z = prediction.landmarks.unbind(-1)  # camera axes: x the person's left, y down, z away from the camera
    assert x[0] < x[1] < x[4] < x[2] < x[3] and x[5] < x[4] < x[6]
    assert y[:4].max() < y[4] < y[5:].min() and z[4] < z[:4].min()
    assert 0.07 < float(x[3] - x[0]) < 0.13
    assert (prediction.vertices[:, None] - prediction.landmarks).norm(dim=-1).amin(0).max() < 0.01


@pytest.mark.slow
def test_people_crowds_hands_and_heads(untrained_weights: Path):
    own = LimnerSystem(Estimator.load(str(untrained_weights), refined=False))
    assert isinstance(own, System)
    photo = read_photo(PHOTO)
    box = torch.tensor([photo.width * 0.1, 0.0, photo.width * 0.9, photo.height * 1.0])
    case = Case("a", "a", "person", PHOTO, lambda: PersonPoints(), box)
    person = own.prediction(case)
    assert person is not None and person.joint_names == KEYPOINT_NAMES and person.points_px is not None
    assert person.vertices is not None and len(person.vertices) == len(own.estimator.body_model.v_template)
    hand = own.prediction(replace(case, kind="right_hand", box=None))
    assert hand is not None and hand.joint_names == hand21("right") and hand.joints is not None
    assert hand.joints[0].norm() < 1e-5
    everybody = own.crowd("a", PHOTO)
    assert len(own.submitted["a"]) == len(everybody)
    for one, sent in zip(everybody, own.submitted["a"], strict=True):
        assert one.points_px is not None and sent.image == "a"
        assert torch.allclose(sent.joints_px * (photo.width / FULL_WIDTH), one.points_px, atol=0.1)
    head = own.prediction(replace(case, kind="head", box=None))
    assert (head is None) == (len(everybody) == 0)


def test_the_official_network_answers_for_bodies_and_hands(smplx_file: Path):
    torch.manual_seed(0)
    network = Standin(BodyModel.load(smplx_file, 10, 10))
    layout = hand_layout()
    regressor = IterativeRegressor(512, layout.mean(0.9), (8, 8))
    network.hand_net = CropNet(ResNet(18, 32), regressor, layout).eval()
    own = LimnerSystem(OfficialEstimator(network))
    case = Case("a", "a", "person", PHOTO, lambda: PersonPoints(), torch.tensor([20.0, 0.0, 200.0, 200.0]))
    person = own.prediction(case)
    assert person is not None and person.joint_names == KEYPOINT_NAMES and person.vertices is not None
    hand = own.prediction(replace(case, kind="right_hand", box=None))
    assert hand is not None and hand.joint_names == hand21("right") and hand.joints is not None
    assert hand.joints[0].norm() < 1e-5 and hand.joints.norm(dim=-1).max() > 1e-3
    with pytest.raises(WeightsError, match="FLAME"):
        own.prediction(replace(case, kind="head", box=None))
