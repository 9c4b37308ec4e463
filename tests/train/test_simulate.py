"""Simulated reports are true reports plus the errors of a bank; target and prediction agree on every path."""

import pytest
import torch

from limner.data.evidence import Evidence, read_shards, write_shard
from limner.geometry.box import Squares
from limner.geometry.camera import camera_from_crop
from limner.geometry.rotation import rotation_to_6d
from limner.networks.weights import NetSpec
from limner.pipeline.predicted import BODY_POINTS, PredictedPoints
from limner.synth.sampler import PersonSampler
from limner.train.calibrate import FittedAttachment, carrier_of, fit_attachment
from limner.train.pose_pool import PosePool
from limner.train.simulate import Simulator
from limner.train.target import part_target

PARTS = ("body", "hand", "face")


@pytest.fixture(scope="module")
def attachment():
    from limner.body.skeleton import JOINT
    from limner.networks.blaze.pose import POSE_POINTS

    joint = torch.tensor([JOINT[carrier_of(name)] for name in POSE_POINTS[:33]])
    g = torch.Generator().manual_seed(1)
    return FittedAttachment(joint, torch.randn(33, 3, generator=g) * 0.05, torch.full((33,), 0.02))


FACE_VERTICES = torch.arange(468) * 3


class Rig:
    """A simulator that can be made before it has a bank: the bank of the other one is its own perfect reports."""

    def __init__(self, body, part, attachment, error=0.0, seed=2):
        self.body, self.part, self.attachment = body, part, attachment
        sampler = PersonSampler(body)
        empty = object.__new__(Simulator)
        empty.part, empty.attachment = part, attachment
        empty.model = body.keypoints_only(contour=False)
        order = FACE_VERTICES.unique()
        empty.face_model, empty.face_index = body.restricted(order), torch.searchsorted(order, FACE_VERTICES)
        g = torch.Generator().manual_seed(seed)
        people = PosePool.of(96, sampler, empty.model, empty._points, g).seen(96, g)
        params, camera = people.params, people.camera
        squares = Squares(camera.center_px + 10, torch.full((96,), 600.0), torch.linspace(-0.5, 0.5, 96))
        mirrored = torch.arange(96) % 2 == 0 if part == "hand" else torch.zeros(96, dtype=torch.bool)
        reports = empty._reports(empty._points(params), camera, squares, mirrored)
        if part == "body":
            seen = torch.cat([reports.in_crop[..., :2] + error, torch.full((96, 33, 1), 0.9)], -1)
            pooled = torch.cat([seen.flatten(1), reports.world.flatten(1)], -1)
            keypoints = torch.cat([seen, torch.zeros(96, 6, 3)], 1)
        elif part == "hand":
            world = reports.world - reports.world.mean(1, keepdim=True)
            pooled = torch.cat([(reports.in_crop + error).flatten(1), 10 * world.flatten(1)], -1)
            keypoints = reports.in_crop
        else:
            depth = reports.in_crop[..., 2:] - reports.in_crop[..., 2:].mean(1, keepdim=True)
            pooled = torch.cat([reports.in_crop[..., :2] + error, depth], -1).flatten(1)
            keypoints = reports.in_crop[:, :68]
        visible = torch.ones(96, 144, dtype=torch.bool)
        nothing = torch.zeros(96, 0)
        self.evidence = Evidence(pooled, keypoints, torch.ones(96), nothing, params, camera, squares, mirrored, visible)
        self.simulator = Simulator(part, body, sampler, self.evidence, attachment, FACE_VERTICES, 96)


@pytest.mark.parametrize("part", PARTS)
def test_perfect_backbones_leave_an_empty_bank(body, attachment, part):
    simulator = Rig(body, part, attachment).simulator
    assert simulator.bank_in_crop.abs().max() < 1e-3 and simulator.bank_world.abs().max() < 1e-4


@pytest.mark.parametrize("part", PARTS)
def test_errors_of_the_bank_come_back(body, attachment, part):
    clean, wrong = (Rig(body, part, attachment, error=e).simulator for e in (0.0, 0.25))
    a, b = (s.draw(8, torch.Generator().manual_seed(5)) for s in (clean, wrong))
    assert torch.allclose(a.target.points3d, b.target.points3d, atol=1e-5)
    count = {"body": 99, "hand": 63, "face": 1404}[part]
    shift = (b.pooled - a.pooled)[:, :count].unflatten(1, (-1, 3))[..., :2]
    of_crop = shift.flatten(1).mean(1)
    assert (of_crop > 0.1).all() and (of_crop < 0.4).all()  # 0.25 times 0.5 to 1.5
    spread = shift.flatten(1).std(1).mean()  # every point's own blur: 0.3 of the usual error
    assert 0.05 < spread < 0.1


def test_people_seen_anew_keep_their_shape_and_pose(body, attachment):
    """A crowd is posed once: what it says of people in front of a camera is what posing them there says."""
    simulator = Rig(body, "body", attachment).simulator
    people = simulator.pool.seen(8, torch.Generator().manual_seed(3))
    assert torch.allclose(
        people.keypoints[:, :127], body.keypoints144(body(people.params), people.params)[:, :127], atol=1e-4
    )
    assert torch.allclose(people.points, simulator._points(people.params), atol=1e-4)


def test_same_seed_same_draw(body, attachment):
    simulator = Rig(body, "hand", attachment).simulator
    a, b = (simulator.draw(4, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.allclose(a.pooled, b.pooled, atol=1e-4)


@pytest.mark.parametrize("part", PARTS)
def test_the_true_vector_predicts_the_true_points(body, attachment, part):
    """Target -> parameter vector -> points: nothing is lost but what a weak camera cannot say."""
    target = Rig(body, part, attachment).simulator.draw(6, torch.Generator().manual_seed(4)).target
    layout = NetSpec(part, num_betas=40).layout()
    vector = layout.mean(1.0).repeat(6, 1)
    for name, rotations in target.rotations.items():
        vector[:, layout.slices[name]] = rotation_to_6d(rotations).flatten(1)
    for name, numbers in target.numbers.items():
        block = layout.slices[name]
        vector[:, block] = numbers[:, : block.stop - block.start]
    points = PredictedPoints(part, body, layout)
    placed = points(vector)
    # finger tips ride rigidly on the last joint and do not know the shape
    limit = {"body": 1e-4, "hand": 1e-2, "face": 1e-3}[part]
    assert (placed - points.root(placed) - target.points3d).norm(dim=-1).max() < limit


def test_attachments_are_found_again(body, attachment):
    evidence = Rig(body, "body", attachment).evidence
    fitted = fit_attachment(body, evidence)
    assert torch.equal(fitted.joint, attachment.joint)
    assert (fitted.offset - attachment.offset).norm(dim=-1).max() < 5e-3 and fitted.sigma.max() < 1e-3


def test_truth_is_in_crop_axes(body, attachment):
    e = Rig(body, "body", attachment).evidence
    keypoints = body.keypoints144(body(e.params), e.params)
    target = part_target("body", keypoints, e.params, e.camera, e.squares, e.mirrored, e.visible)
    to_photo = camera_from_crop(e.squares, e.camera)
    joints = body.joints(e.params)
    back = target.points3d @ to_photo.mT + joints[:, :1]
    assert torch.allclose(back[:, BODY_POINTS.index("left_wrist")], joints[:, 20], atol=1e-4)


def test_shards_round_trip(body, attachment, tmp_path):
    e = Rig(body, "hand", attachment).evidence
    write_shard(tmp_path / "hand_0.safetensors", e)
    again = read_shards([tmp_path / "hand_0.safetensors"] * 2)
    assert len(again) == 192
    assert torch.allclose(again.params.full_pose()[:96], e.params.full_pose(), atol=1e-5)
    assert torch.allclose(again.pooled[96:], e.pooled, atol=2e-3)
    assert torch.equal(again[:5].mirrored, e.mirrored[:5])
