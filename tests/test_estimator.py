"""The whole flow on a real photo, with the shipped weights."""

import json

import numpy as np
import pytest
import torch

from limner import Estimator
from limner.commands.estimate import estimate
from limner.errors import BoxError, OutputError, PhotoError
from limner.geometry.warp import Frames
from limner.io.image import read_photo
from limner.io.motion_file import read_params
from limner.networks.weights import weights_folder
from limner.pipeline import results
from limner.pipeline.part_results import save_parts
from limner.pipeline.results import save_results

PHOTO = weights_folder().parent / "photos" / "eileen_collins.jpg"


@pytest.fixture(scope="module")
def estimator():
    return Estimator.load()


@pytest.fixture(scope="module")
def photo():
    return read_photo(PHOTO)


@pytest.fixture(scope="module")
def people(estimator, photo):
    return estimator(photo)


def test_finds_the_one_person_and_her_face(people, photo):
    assert len(people) == 1 and people.face_trusted.all()
    nose = people.keypoint_set("coco17")[0][0, 0]
    expected = torch.tensor([0.44 * photo.width, 0.22 * photo.height])  # looked up in the photo
    assert (nose - expected).norm() < 0.05 * photo.width
    assert 0.6 < float(people.joints[0, :, 2].mean()) < 20  # metres before the camera


def test_mesh_and_keypoints_agree(people, estimator):
    again = people.camera.project(people.keypoints)
    assert torch.allclose(again, people.keypoints_px, atol=1e-2)
    mesh = estimator.body_model(people.params)
    assert torch.allclose(mesh.vertices, people.vertices, atol=1e-5)
    assert ((people.confidence >= 0) & (people.confidence <= 1)).all()


def test_the_same_photo_gives_the_same_people(estimator, photo, people):
    assert torch.allclose(estimator(photo).vertices, people.vertices, atol=1e-3)


def test_a_mirrored_photo_gives_mirrored_people(estimator, photo, people):
    mirrored = estimator(photo.pixels.flip(-1).contiguous())
    flip = torch.tensor([-1.0, 1.0, 1.0])
    expected = people.params.mirrored()
    ours = estimator.body_model.joints(mirrored.params.replace(transl=torch.zeros(1, 3)))
    theirs = estimator.body_model.joints(expected.replace(transl=torch.zeros(1, 3)))
    # the networks are not exactly symmetric; what is in the picture must agree to some centimetres
    seen = [12, 15, 16, 17]
    assert (ours - theirs)[0, seen].norm(dim=-1).mean() < 0.08
    assert torch.allclose((mirrored.params.transl * flip), people.params.transl, atol=0.25)


def test_given_boxes_are_used_and_checked(estimator, photo):
    box = torch.tensor([[0.0, 0.0, float(photo.width), float(photo.height)]])
    assert torch.equal(estimator(photo, box).boxes, box)
    with pytest.raises(BoxError, match="outside the photo"):
        estimator(photo, box + 5000)


def test_boxes_come_as_lists_and_arrays(estimator, photo):
    for given in ([10, 5, 400, 512], [[10, 5, 400, 512]], np.array([[10, 5, 400, 512]])):
        assert torch.equal(estimator(photo, given).boxes, torch.tensor([[10.0, 5.0, 400.0, 512.0]]))
    assert len(estimator(photo, [])) == 0


def test_photos_come_in_lists_and_in_memory(estimator, photo, people):
    pixels = photo.pixels.permute(1, 2, 0).numpy()
    found = estimator([PHOTO.read_bytes(), pixels], [None, [[10, 5, 400, 512]]])
    assert torch.allclose(found[0].vertices, people.vertices, atol=1e-3) and found[1].boxes.tolist() == [
        [10, 5, 400, 512]
    ]
    assert estimator([]) == []
    with pytest.raises(BoxError, match="one entry a photo"):
        estimator([photo, photo], [[10, 5, 400, 512]])


def test_photos_of_a_batch_are_what_they_are_alone(estimator, photo, people):
    grey = torch.full((3, 240, 320), 128, dtype=torch.uint8)
    other = PHOTO.with_name("photographer.jpg")
    box = [[60.0, 20.0, 420.0, 512.0]]
    found = estimator([photo, grey, other, photo, grey], [None, None, None, box, []])
    assert [len(one) for one in found] == [1, 0, 1, 1, 0]
    for one, alone in ((found[0], people), (found[2], estimator(other)), (found[3], estimator(photo, box))):
        assert torch.allclose(one.vertices, alone.vertices, atol=1e-3)
        assert torch.allclose(one.keypoints_px, alone.keypoints_px, atol=0.2)
        assert torch.allclose(one.camera.K, alone.camera.K)
    assert found[1].camera.K.shape == (0, 3, 3)


def test_an_iterator_is_read_a_batch_at_a_time(estimator, photo, people):
    read = []

    def photos():
        for number in range(5):
            read.append(number)
            yield torch.full((3, 64, 64), 128, dtype=torch.uint8) if number else photo

    found = estimator(photos(), boxes=iter([None] + [[]] * 4), batch=2)
    assert read == []
    first = next(found)
    assert read == [0, 1] and torch.allclose(first.vertices, people.vertices, atol=1e-3)
    assert [len(one) for one in found] == [0, 0, 0, 0] and read == [0, 1, 2, 3, 4]
    with open(PHOTO, "rb") as file:  # a file is an iterator, too: of its lines
        assert len(estimator(file)) == 1


def test_what_was_observed_is_kept(estimator, photo, people):
    seen = people.observations
    assert seen is not None and len(seen) == 1
    assert torch.equal(seen.face.squares.size_px, people.face_square.size_px)
    assert bool(seen.left_hand.mirrored.all()) and not bool(seen.right_hand.mirrored.any())
    again = estimator.networks.face.observe(Frames((photo.pixels,)), seen.face.frame, seen.face.squares)
    assert torch.allclose(again.features.pooled, seen.face.features.pooled, atol=1e-3)
    assert seen.face.crops.pixels.numel() == 0, "pixels are not"


def test_what_is_no_photo_is_refused_and_not_nobody(estimator, photo):
    for given in (photo.pixels.permute(1, 2, 0), photo.pixels / 255, photo.pixels[0].numpy()):
        with pytest.raises(PhotoError, match="expected"):
            estimator(given)
    for focal_px in (0.0, -900.0, float("nan")):
        with pytest.raises(PhotoError, match="focal length"):
            estimator(photo, focal_px=focal_px)


def test_an_empty_scene_has_nobody(estimator):
    grey = torch.full((3, 240, 320), 128, dtype=torch.uint8)
    assert len(estimator(grey)) == 0
    assert repr(estimator(grey)) == "People(nobody)"


def test_what_is_not_written_is_not_made(estimator, photo, people, tmp_path, monkeypatch):
    def unwanted(*_, **__):
        raise AssertionError("nobody asked for this")

    def written(*files):
        folder = save_results(people, photo, estimator.body_model, tmp_path / "photo", files=files)
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    alone = [f"person_{i}" for i in range(len(people))]
    with monkeypatch.context() as patch:
        patch.setattr(results, "overlay", unwanted)
        patch.setattr(results, "skinned_mesh", unwanted)
        assert written("sheet") == {"sheet.png"}
        patch.setattr(results, "clay", unwanted)
        one = ("mesh.obj", "keypoints.json")
        assert written("obj", "keypoints") == {"keypoints.json"} | {f"{own}/{name}" for own in alone for name in one}
    monkeypatch.setattr(results, "sheet", unwanted)
    assert written("overlay") == {"overlay.png"} | {f"{own}/overlay.png" for own in alone}


def test_results_are_whole_and_readable(estimator, photo, people, tmp_path):
    folder = save_results(people, photo, estimator.body_model, tmp_path / "photo")
    one = folder / "person_0"
    names = {"overlay.png", "mesh.glb", "mesh.obj", "mesh.ply", "params.npz", "keypoints.json"}
    assert {p.name for p in one.iterdir()} == names
    assert {p.name for p in folder.iterdir()} == {"overlay.png", "sheet.png", "keypoints.json", "person_0"}
    motion = read_params(one / "params.npz")
    assert torch.allclose(motion.rotations, people.params.full_pose(), atol=1e-4)
    assert torch.allclose(motion.extras["camera_K"][0], people.camera.K[0], rtol=1e-5)
    content = json.loads((one / "keypoints.json").read_text())
    assert np.asarray(content["people"][0]["keypoints_px"]).shape == (133, 3)


def test_a_face_alone_has_the_files_chosen(estimator, photo, tmp_path):
    faces = estimator.faces(photo)
    folder = save_parts(faces, photo, estimator.own_body, tmp_path / "face", files=("ply", "keypoints"))
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {"person_0/mesh.ply", "person_0/keypoints.json"}
    with pytest.raises(OutputError, match="got glb, expected some of overlay, obj, ply, params, keypoints"):
        estimate((photo.path,), out=tmp_path / "out", part="face", files=("glb", "ply"))
    assert not (tmp_path / "out").exists()
