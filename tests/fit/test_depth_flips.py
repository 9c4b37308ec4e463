"""Limbs bent otherwise look the same, bend the right way, and are found where they cost less."""

from dataclasses import replace

import pytest
import torch

from limner.body.model import BodyModel
from limner.body.skinning import pose_joints
from limner.fit.depth_flips import LIMBS, depth_flips, with_better_flips
from limner.fit.fitter import Fitter
from limner.fit.search import Hypotheses, judged
from limner.fit.terms import HINGES, hinges
from tests.fit.made import exact_targets, people


@pytest.fixture(scope="module")
def small():
    return BodyModel.load().keypoints_only()


@pytest.fixture(scope="module")
def scene(small):
    return people(small, 4, seed=5)


def test_flips_look_the_same_and_stand_elsewhere(small, scene):
    params, camera = scene
    flips = depth_flips(small, params)
    assert len(flips) >= 8 and set(flips.limb.tolist()) >= {1, 2, 3}  # the left arm lies flat in the picture
    old, new = small.joints(params)[flips.person], small.joints(flips.params)
    moved_px = (camera[flips.person].project(new) - camera[flips.person].project(old)).norm(dim=-1)
    moved_m = (new - old).norm(dim=-1)
    for row, limb in enumerate(flips.limb.tolist()):
        chain = list(LIMBS[limb])
        assert float(moved_px[row, chain[1]]) < 0.5  # the middle is exactly on its ray
        assert float(moved_px[row, chain[2]]) < 60  # the end as near as the bones reach
        assert float(moved_m[row, chain].max()) > 0.08
        others = [k for other in range(4) if other != limb for k in LIMBS[other]]
        assert float(moved_m[row, others].max()) < 1e-5


def test_hands_also_stay_turned_as_they_are_before_the_camera(small, scene):
    params, _ = scene
    flips = depth_flips(small, params)

    def turned(people, limb):
        absolute, _ = pose_joints(people.full_pose(), small.rest_joints(people))
        return absolute[torch.arange(len(people)), [LIMBS[k][2] for k in limb]]

    limb = flips.limb.tolist()
    apart = (turned(flips.params, limb) - turned(params[flips.person], limb)).norm(dim=(1, 2))
    arm = flips.limb < 2
    assert int((apart[arm] < 1e-4).sum()) == int(arm.sum()) // 2 > 0
    assert (apart[~arm] > 0.1).any()


def test_bones_keep_their_length_and_hinges_their_sense(small, scene):
    params, _ = scene
    flips = depth_flips(small, params)
    old, new = small.joints(params)[flips.person], small.joints(flips.params)
    for chain in LIMBS:
        for a, b in zip(chain, chain[1:], strict=False):
            assert torch.allclose((old[:, a] - old[:, b]).norm(dim=1), (new[:, a] - new[:, b]).norm(dim=1), atol=1e-4)
    wrong = hinges(flips.params).residual
    limb_of = [k for middle in HINGES for k, chain in enumerate(LIMBS) if chain[1] == middle]
    own = wrong[torch.arange(len(flips)), [limb_of.index(k) for k in flips.limb.tolist()]]
    assert float((own < 1.0).float().mean()) > 0.9


def test_a_limb_on_the_wrong_side_is_brought_back(small, scene):
    true, camera = scene
    targets = exact_targets(small, true, camera)
    fitter = Fitter(small)
    targets = replace(targets, sigma=torch.full((4, 4), 0.004))
    arms = depth_flips(small, true)
    wrong = torch.tensor([int((arms.person == k).nonzero()[0]) for k in range(4)])
    start = fitter.fine.solve(targets, arms.params[wrong])
    first = Hypotheses(start.state, start.objective[None])
    ends = with_better_flips(small, start.state, targets, fitter.fine)
    assert (ends.objective <= first.objective).all()
    right = fitter.fine.solve(targets, true).objective
    assert torch.allclose(judged(ends, targets, fitter.fine).objective, ends.objective, rtol=1e-4)
    stuck = first.objective[0] > right + 5
    assert stuck.any()
    assert (ends.objective[0][stuck] < (first.objective[0] + right)[stuck] / 2).float().mean() >= 0.5
