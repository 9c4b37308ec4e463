"""Rendered shards can be cut off, keep their pictures, and can be looked at again."""

import pytest
import torch

from limner.data.crop_shards import CropPictures, crops_path
from limner.data.evidence import read_shards
from limner.data.labelled_photos import read_labelled_photos
from limner.io.image import read_photo
from limner.networks.blaze.depth import DepthBranch
from limner.networks.blaze.pose import BlazePose
from limner.synth.people import SyntheticPeople
from limner.synth.sampler import PersonSampler
from limner.train.render_crops import observe_again, render_crops
from limner.train.render_photos import render_photos


@pytest.fixture(scope="module")
def people(body):
    return SyntheticPeople(body, PersonSampler(body))


@pytest.fixture(scope="module")
def folder(people, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rendered")
    render_crops(people, folder, 1, seed=3, parts=("body",), batch_size=2, batches_a_shard=2, crops=True)
    return folder


def test_pictures_lie_beside_their_shard(folder):
    shard = folder / "body_00000.safetensors"
    evidence, pictures = read_shards([shard]), CropPictures([crops_path(shard)])
    assert len(evidence) == len(pictures) == 4
    assert pictures[torch.arange(4)].std((1, 2, 3)).min() > 0.02  # not blank


def test_looking_again_sees_the_same_but_for_the_branch(folder, tmp_path):
    branch = DepthBranch.copy_of(BlazePose.load())
    with torch.no_grad():
        branch.output.bias += 1.0  # everything a metre aside
    from safetensors.torch import save_file

    save_file({k: v.half().contiguous() for k, v in branch.state_dict().items()}, tmp_path / "depth.safetensors")
    observe_again(folder, tmp_path / "same", ("body",))
    observe_again(folder, tmp_path / "moved", ("body",), tmp_path / "depth.safetensors")
    before, same, moved = (
        read_shards([f / "body_00000.safetensors"]) for f in (folder, tmp_path / "same", tmp_path / "moved")
    )
    assert torch.equal(before.params.betas, same.params.betas)
    points = slice(0, 99)
    assert (before.pooled - same.pooled)[:, points].abs().median() < 0.02  # JPEG
    assert torch.allclose(same.pooled[:, points], moved.pooled[:, points], rtol=2e-3, atol=1e-3)  # half precision
    # both looks are averaged: mirrored points move the other way in x
    shift = (moved.pooled - same.pooled)[:, 99:].unflatten(1, (33, 3)).mean((0, 1))
    assert torch.allclose(shift, torch.tensor([0.0, 1.0, 1.0]), atol=0.01)


def test_photos_carry_labels_and_a_run_that_was_cut_off_goes_on(people, tmp_path, one_thread):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    render_photos(people, whole, 2, seed=4, photo_px=96, photos_a_shard=2)
    render_photos(people, cut, 1, seed=4, photo_px=96, photos_a_shard=2)
    assert len(read_labelled_photos(cut)) == 2, "usable after each shard"
    render_photos(people, cut, 2, seed=4, photo_px=96, photos_a_shard=2)
    files = sorted(path.relative_to(whole) for path in whole.rglob("*.*"))
    assert len(files) == 4 + 2 + 1
    assert all((whole / name).read_bytes() == (cut / name).read_bytes() for name in files)
    photos = read_labelled_photos(whole)
    shapes = [read_photo(photo.path).pixels.shape for photo in photos]
    assert [photo.size_px for photo in photos] == [(width, height) for _, height, width in shapes]
    limits = torch.tensor([photo.size_px * 2 for photo in photos for _ in photo.boxes])
    boxes, labelled = (torch.cat([getattr(photo, name) for photo in photos]) for name in ("boxes", "labelled"))
    assert (boxes >= 0).all() and (boxes <= limits).all() and (boxes[:, 2:] - boxes[:, :2]).amax(1).min() >= 24
    assert labelled.any(1).float().mean() > 0.5
