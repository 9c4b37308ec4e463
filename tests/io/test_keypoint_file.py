"""Keypoint files of every kind come in by photo and person; broken ones name the cure."""

import json

import pytest
import torch

from limner.body.keypoints import KEYPOINT_SETS
from limner.errors import KeypointFileError, OutputError
from limner.io.keypoint_file import (
    PersonKeypoints,
    PhotoKeypoints,
    in_pixels,
    keypoints_of,
    person_box,
    read_keypoints,
    shared_stems,
    write_keypoints,
)


def save(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def triples(count, start=0, confidence=0.5):
    return [value for k in range(count) for value in (start + k, 2 * (start + k) + 1, confidence)]


def openpose_person(**changes):
    person = {
        "pose_keypoints_2d": triples(25),
        "hand_left_keypoints_2d": triples(21, 100),
        "hand_right_keypoints_2d": triples(21, 200),
        "face_keypoints_2d": triples(70, 300),
    }
    return person | changes


def openpose(*people):
    return {"version": 1.3, "people": list(people)}


def coco(*annotations, names=("a.jpg",)):
    return {
        "images": [{"id": k, "file_name": name} for k, name in enumerate(names)],
        "annotations": [{"id": 9, "image_id": 0, "category_id": 1} | a for a in annotations],
        "categories": [],
    }


# --- OpenPose ----------------------------------------------------------------------------------------------------


def test_openpose(tmp_path):
    save(tmp_path / "a_keypoints.json", openpose(openpose_person(), openpose_person()))
    photos = read_keypoints(tmp_path / "a_keypoints.json")
    assert list(photos) == ["a"] and len(photos["a"].people) == 2
    person = keypoints_of("/photos/a.JPG", photos).people[0]
    assert person.name_set == "openpose135"
    assert len(person.xy) == len(person.confidence) == len(KEYPOINT_SETS["openpose135"])
    assert person.xy[[0, 24, 25, 46, 67, 134], 0].tolist() == [
        0,
        24,
        100,
        200,
        300,
        367,
    ]  # no pupils
    assert person.xy[24].tolist() == [24, 49] and person.confidence.unique().tolist() == [0.5]


@pytest.mark.parametrize("nothing", [[], None])
def test_openpose_without_hands_and_face(tmp_path, nothing):
    parts = ("hand_left_keypoints_2d", "hand_right_keypoints_2d", "face_keypoints_2d")
    file = save(tmp_path / "a_keypoints.json", openpose(openpose_person(**dict.fromkeys(parts, nothing))))
    (person,) = read_keypoints(file)["a"].people
    assert person.confidence[:25].min() == 0.5 and person.confidence[25:].max() == 0 and len(person.xy) == 135


def test_openpose_folder_and_empty_photo(tmp_path):
    for name in ("b", "a"):
        save(tmp_path / f"{name}_keypoints.json", openpose(openpose_person()))
    save(tmp_path / "c_keypoints.json", openpose())
    (tmp_path / "notes.txt").touch()
    photos = read_keypoints(tmp_path)
    assert {name: len(photo.people) for name, photo in photos.items()} == {"a": 1, "b": 1, "c": 0}


# --- COCO --------------------------------------------------------------------------------------------------------


def test_coco(tmp_path):
    person = {"keypoints": triples(17, confidence=2), "bbox": [10, 20, 30, 40]}
    person["keypoints"][2::3] = [0, 1, 2] + [2] * 14
    crowd = {"keypoints": [], "iscrowd": 1}
    content = coco(person, crowd, names=("train/a.jpg", "b.jpg"))
    photos = read_keypoints(save(tmp_path / "people.json", content))
    assert list(photos) == ["a", "b"] and photos["b"].people == []
    (found,) = photos["a"].people
    assert found.name_set == "coco17" and found.xy.shape == (17, 2)
    assert found.confidence.tolist() == [0, 1, 1] + [1] * 14
    assert found.box.tolist() == [10, 20, 40, 60]


def wholebody(**changes):
    person = {
        "keypoints": triples(17),
        "foot_kpts": triples(6, 100),
        "face_kpts": triples(68, 200),
        "lefthand_kpts": triples(21, 300),
        "righthand_kpts": triples(21, 400),
        "foot_valid": True,
        "face_valid": True,
        "lefthand_valid": True,
        "righthand_valid": False,
        "bbox": [0, 0, 0, 0],
    }
    return person | changes


def test_coco_wholebody(tmp_path):
    (person,) = read_keypoints(save(tmp_path / "a.json", coco(wholebody())))["a"].people
    assert person.name_set == "coco_wholebody133"
    assert len(person.xy) == len(KEYPOINT_SETS["coco_wholebody133"])
    assert person.xy[[0, 17, 23, 91], 0].tolist() == [0, 100, 200, 300]
    assert person.confidence[111] == 0.5 and person.confidence[112:].max() == 0  # the hand that is not valid
    assert person.box is None  # an empty box is no box


# --- limner's own ------------------------------------------------------------------------------------------------


def own(count=133, **changes):
    random = torch.Generator().manual_seed(0)
    person = PersonKeypoints(
        "coco_wholebody133",
        torch.rand(count, 2, generator=random) * 1000,
        torch.rand(count, generator=random),
        torch.tensor([1.5, 2.5, 300.25, 400.0]),
        torch.randn(count, 3, generator=random),
        0.875,
    )
    bare = PersonKeypoints("coco_wholebody133", person.xy, person.confidence)
    return PhotoKeypoints("a.b.jpg", [person, bare], (640, 480), (800.0, 320.0, 240.0))


def test_round_trip(tmp_path):
    photo = own()
    names = KEYPOINT_SETS["coco_wholebody133"]
    write_keypoints(tmp_path / "out" / "keypoints.json", photo, names)
    content = json.loads((tmp_path / "out" / "keypoints.json").read_text())
    assert (content["format"], content["version"]) == ("limner-keypoints", 1)
    assert content["names"] == list(names) and content["photo_size_px"] == [640, 480]
    assert content["camera"] == {"focal_px": 800, "center_px": [320, 240]}
    back = keypoints_of("a.b.png", read_keypoints(tmp_path / "out"))
    assert (back.photo, back.size_px, back.camera) == ("a.b.jpg", (640, 480), (800, 320, 240))
    for got, want in zip(back.people, photo.people, strict=True):
        assert got.name_set == "coco_wholebody133" and got.score == want.score
        assert (got.xy - want.xy).abs().max() <= 0.0051
        assert (got.confidence - want.confidence).abs().max() <= 0.0001
    assert torch.equal(back.people[0].box, photo.people[0].box)
    assert (back.people[0].xyz - photo.people[0].xyz).abs().max() < 1e-5
    assert back.people[1].box is None and back.people[1].xyz is None
    assert (tmp_path / "out" / "keypoints.json").stat().st_size < 30_000


def test_nobody(tmp_path):
    write_keypoints(tmp_path / "k.json", PhotoKeypoints("a.jpg", []), KEYPOINT_SETS["coco_wholebody133"])
    photo = read_keypoints(tmp_path / "k.json")["a"]
    assert photo.people == [] and photo.size_px is None and photo.camera is None


def test_write_errors(tmp_path):
    (tmp_path / "file").touch()
    names = KEYPOINT_SETS["coco_wholebody133"]
    with pytest.raises(OutputError, match="another folder"):
        write_keypoints(tmp_path / "file" / "k.json", own(), names)
    with pytest.raises(OutputError, match="person 0 has values that are not finite"):
        own_broken = own()
        own_broken.people[0].xy[0, 0] = float("nan")
        write_keypoints(tmp_path / "k.json", own_broken, names)
    with pytest.raises(ValueError, match="same 17 points"):
        write_keypoints(tmp_path / "k.json", own(), KEYPOINT_SETS["coco17"])


# --- other detectors -----------------------------------------------------------------------------------------------

CORNERS = [[k, 2 * k + 1] for k in range(17)]


def test_older_openpose_and_its_coco_points(tmp_path):
    for key, value in (("pose_keypoints_2d", triples(18)), ("pose_keypoints", triples(18)), ("joints", triples(18))):
        people = "bodies" if key == "joints" else "people"
        (person,) = read_keypoints(save(tmp_path / "a.json", {people: [{key: value}]}))["a"].people
        names = KEYPOINT_SETS["openpose135"]
        where = {names[k]: int(x) for k, x in enumerate(person.xy[:, 0].tolist()) if person.confidence[k] > 0}
        assert where == {
            "nose": 0, "neck": 1, "right_shoulder": 2, "right_elbow": 3, "right_wrist": 4, "left_shoulder": 5,
            "left_elbow": 6, "left_wrist": 7, "right_hip": 8, "right_knee": 9, "right_ankle": 10, "left_hip": 11,
            "left_knee": 12, "left_ankle": 13, "right_eye": 14, "left_eye": 15, "right_ear": 16, "left_ear": 17,
        }  # fmt: skip


def test_mmpose(tmp_path):
    scores = [0.25] * 17
    instance = {"keypoints": CORNERS, "keypoint_scores": scores, "bbox": [[1, 2, 30, 40]], "bbox_score": 0.9}
    bare = {"keypoints": CORNERS}
    (one, two) = read_keypoints(save(tmp_path / "a.json", [instance, bare]))["a"].people
    assert one.name_set == "coco17" and one.xy.tolist() == CORNERS and one.confidence.unique().tolist() == [0.25]
    assert one.box.tolist() == [1, 2, 30, 40] and two.box is None and two.confidence.unique().tolist() == [1]
    assert read_keypoints(save(tmp_path / "a.json", []))["a"].people == []
    whole = {"keypoints": [[k, k] for k in range(133)], "keypoint_scores": [0.5] * 133}
    for content in ([whole], [{"frame_id": 0, "instances": [whole]}]):
        photos = read_keypoints(save(tmp_path / "results_b.json", {"meta_info": {}, "instance_info": content}))
        assert photos["b"].people[0].name_set == "coco_wholebody133"
    film = {"meta_info": {}, "instance_info": [{"frame_id": k, "instances": [bare] * k} for k in (0, 1)]}
    photos = read_keypoints(save(tmp_path / "film.json", film))
    assert {name: len(photo.people) for name, photo in photos.items()} == {"film_000000": 0, "film_000001": 1}


def test_results_of_many_photos(tmp_path):
    """AlphaPose calls photos by name, COCO by number; Halpe has a top of the head, which no body point is like."""
    content = [
        {"image_id": "x/a.jpg", "keypoints": triples(26), "box": [1, 2, 3, 4], "score": 2.5},
        {"image_id": "b.jpg", "keypoints": triples(136)},
        {"image_id": 139, "keypoints": triples(17)},
        {"image_id": "b.jpg", "keypoints": triples(133)},
    ]
    photos = read_keypoints(save(tmp_path / "alphapose-results.json", content))
    assert {name: len(photo.people) for name, photo in photos.items()} == {"a": 1, "b": 2, "000000000139": 1}
    person = photos["a"].people[0]
    names = KEYPOINT_SETS[person.name_set]
    assert person.box.tolist() == [1, 2, 4, 6] and len(person.xy) == len(names) == 25
    assert person.xy[names.index("neck"), 0] == 18 and person.xy[names.index("right_heel"), 0] == 25
    assert len(photos["b"].people[0].xy) == len(KEYPOINT_SETS[photos["b"].people[0].name_set]) == 135
    assert keypoints_of("000000000139.jpg", photos).people[0].name_set == "coco17"
    numbered = {"000000000139": photos["000000000139"]}
    with pytest.raises(KeypointFileError, match="call photos by number: name yours so"):
        keypoints_of("a.jpg", numbered)


def test_others_who_write_openposes_layout(tmp_path):
    person = {"pose_keypoints_2d": triples(18)}
    photos = read_keypoints(save(tmp_path / "all.json", {"a.jpg": {"people": [person]}, "b.jpg": {"people": []}}))
    assert {name: len(photo.people) for name, photo in photos.items()} == {"a": 1, "b": 0}
    drawn = [{"people": [person], "canvas_width": 640, "canvas_height": 480}]
    assert read_keypoints(save(tmp_path / "c.json", drawn))["c"].size_px == (640, 480)


def test_ultralytics(tmp_path):
    x, y = zip(*CORNERS, strict=True)
    keypoints = {"x": list(x), "y": list(y), "visible": [0.5] * 17}
    content = [{"name": "person", "box": {"x1": 1.0, "y1": 2.0, "x2": 3.0, "y2": 4.0}, "keypoints": keypoints}]
    (person,) = read_keypoints(save(tmp_path / "a.json", content))["a"].people
    assert person.xy.tolist() == CORNERS and person.confidence.unique().tolist() == [0.5]


def test_shares_of_the_photo_become_pixels(tmp_path):
    numbers = [value for k in range(25) for value in (k / 25, k / 50, 0.5)]
    photo = read_keypoints(save(tmp_path / "a.json", openpose({"pose_keypoints_2d": numbers})))["a"]
    assert photo.shares
    pixels = in_pixels(photo, (100, 200))
    assert pixels.people[0].xy[5].tolist() == pytest.approx([20, 20]) and in_pixels(pixels, (9, 9)) is pixels
    one_point = openpose({"pose_keypoints_2d": [0.5, 0.5, 0.9] + [0.0] * 72})
    assert not read_keypoints(save(tmp_path / "a.json", one_point))["a"].shares


@pytest.mark.parametrize("kind", ["list", "named", "protobuf", "several"])
def test_mediapipe(kind, tmp_path):
    pose = [{"x": k / 100, "y": k / 50, "z": 0.0, "visibility": 0.75} for k in range(33)]
    hand = [{"x": k / 40, "y": 0.5, "z": 0.0} for k in range(21)]
    content = {
        "list": pose,
        "named": {"pose_landmarks": pose, "left_hand_landmarks": hand, "face_landmarks": []},
        "protobuf": {"poseLandmarks": {"landmark": pose}, "leftHandLandmarks": {"landmark": hand}},
        "several": {"pose_landmarks": [pose, pose]},
    }[kind]
    photo = read_keypoints(save(tmp_path / "a.json", content))["a"]
    assert photo.shares and len(photo.people) == (2 if kind == "several" else 1)
    person = photo.people[0]
    names = KEYPOINT_SETS[person.name_set]
    found = {
        name: round(100 * float(person.xy[names.index(name), 0]))
        for name in ("left_wrist", "right_big_toe", "left_ankle", "right_heel")
    }
    assert found == {"left_wrist": 15, "right_big_toe": 32, "left_ankle": 27, "right_heel": 30}
    assert bool(person.confidence[21:42].any()) == (kind in ("named", "protobuf")) and not person.confidence[42:].any()


def test_keypoints_of_a_name_that_two_photos_have_are_nobodys(tmp_path):
    photos = read_keypoints(save(tmp_path / "a.json", openpose(openpose_person())))
    shared = shared_stems([tmp_path / "x" / "a.jpg", tmp_path / "y" / "a.png", tmp_path / "b.jpg"])
    assert shared == {"a"}
    with pytest.raises(KeypointFileError, match="several photos are called 'a'"):
        keypoints_of("x/a.jpg", photos, shared)


# --- boxes -------------------------------------------------------------------------------------------------------


def test_person_box():
    xy = torch.tensor([[10.0, 20], [30, 5], [15, 50], [900, 900], [0, 0]])
    confidence = torch.tensor([1.0, 0.5, 0.1, 0.05, 0])
    person = PersonKeypoints("coco17", xy, confidence)
    assert person_box(person).tolist() == [10, 5, 30, 50]
    assert person_box(person, min_confidence=0.0).tolist() == [10, 5, 900, 900]  # never the points that are not there
    assert person_box(person, min_confidence=0.4) is None
    line = PersonKeypoints("coco17", torch.tensor([[1.0, 1], [1, 5], [1, 9]]), torch.ones(3))
    assert person_box(line) is None
    boxed = PersonKeypoints("coco17", xy, confidence, torch.tensor([0.0, 1, 2, 3]))
    assert person_box(boxed).tolist() == [0, 1, 2, 3]


# --- what cannot be read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "no whole JSON.*copy it again"),
        ('{"people": [', "no whole JSON"),
        ("[" * 100_000, "no whole JSON"),
        ([{"image_id": 1, "keypoints": triples(16)}], "entry 0: got 16 points, expected 17, 26, 133, 136"),
        ([{"x": 0.1, "y": 0.2}] * 478, "MediaPipe's face mesh"),
        ([{"x": 0.1, "y": 0.2}] * 21, "hand whose side is not told.*left_hand_landmarks"),
        ({"pose_landmarks": [{"x": 0.1, "y": 0.2}] * 32}, "got 32 landmarks, expected 33"),
        ({"part_candidates": []}, "no keypoint file that is known.*part candidates alone"),
        ([{"keypoints": [[1, 2, 3]] * 17, "keypoint_scores": [1] * 17}], "three coordinates.*Give 2D"),
        ([{"keypoints": [[1, 2]] * 17, "keypoint_scores": [1] * 16}], "other scores than the 17"),
        ({"meta_info": {"keypoint_id2name": {"0": "root"}}, "instance_info": [{"instances": []}]}, "begin with 'root'"),
        ({"meta_info": 3, "instance_info": [{"instances": []}]}, "looks like MMPose.*lacks or misplaces"),
        (openpose({"pose_keypoints_2d": [-0.7, 0.2, 0.5] * 25}), "between -1 and 1.*--keypoint_scale 0"),
        ({"hello": 1}, "no keypoint file that is known.*Convert it"),
        (openpose({"pose": []}), "person 0: lacks pose_keypoints_2d.*with OpenPose"),
        (openpose(openpose_person(pose_keypoints_2d=triples(15))), "got 45 numbers, expected 75.*BODY_25"),
        (openpose(openpose_person(face_keypoints_2d=triples(68))), "face_keypoints_2d: got 204 numbers, expected 210"),
        (openpose(openpose_person(hand_left_keypoints_2d="x")), "hand_left_keypoints_2d: got str, expected 63"),
        (coco({"keypoints": triples(17), "bbox": [float("nan"), 0, 9, 9]}), "number 0 is nan, expected a finite"),
        (openpose(openpose_person(pose_keypoints_2d=[10**400] * 75)), "expected a finite"),
        (openpose(openpose_person(pose_keypoints_2d=[None] * 75)), "number 0 is None"),
        (coco({"keypoints": triples(16)}), "annotation 9, keypoints: got 48 numbers, expected 51"),
        (coco({"keypoints": triples(17), "bbox": [1, 2, 3]}), "bbox: got 3 numbers, expected 4.*A box"),
        (coco({"keypoints": triples(17), "image_id": 7}), "lacks or misplaces 7"),
        (coco(wholebody(face_kpts=triples(70))), "face_kpts: got 210 numbers, expected 204"),
        ({"images": [{"id": 1}], "annotations": []}, "lacks or misplaces 'file_name'"),
        ({"format": "limner-keypoints", "version": 2}, "version 2, this limner reads version 1. Update limner"),
        ({"format": "limner-keypoints", "version": 1, "people": []}, "lacks or misplaces 'name_set'"),
        (coco(names=("x/a.jpg", "y/a.jpg")), "'a' were read already.*Rename"),
    ],
)
def test_broken_files(tmp_path, content, message):
    with pytest.raises(KeypointFileError, match=message):
        read_keypoints(save(tmp_path / "a.json", content))


def test_a_point_with_nan_is_a_point_that_is_not_there(tmp_path):
    numbers = triples(25)
    numbers[3], numbers[8] = float("nan"), float("inf")  # x of the second point, confidence of the third
    path = save(tmp_path / "a_keypoints.json", openpose(openpose_person(pose_keypoints_2d=numbers)))
    person = read_keypoints(path)["a"].people[0]
    assert torch.isfinite(person.xy).all()
    assert person.confidence[1] == person.confidence[2] == 0 and (person.confidence[[0, 3, 24]] > 0).all()


def test_own_file_with_wrong_counts(tmp_path):
    write_keypoints(tmp_path / "k.json", own(), KEYPOINT_SETS["coco_wholebody133"])
    good = json.loads((tmp_path / "k.json").read_text())
    for key, value in (("keypoints_px", [[1, 2, 1]] * 5), ("keypoints_camera_m", [[1, 2]] * 133), ("box_px", [1])):
        broken = good | {"people": [good["people"][0] | {key: value}]}
        with pytest.raises(KeypointFileError, match=r"person 0.*got \d+ numbers, expected \d+"):
            read_keypoints(save(tmp_path / "k.json", broken))


def test_missing_files_and_photos(tmp_path):
    with pytest.raises(KeypointFileError, match="does not exist"):
        read_keypoints(tmp_path / "a.json")
    with pytest.raises(KeypointFileError, match="no .json file in the folder"):
        read_keypoints(tmp_path)
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(KeypointFileError, match="no whole JSON"):
        read_keypoints(tmp_path / "a.json")
    photos = read_keypoints(save(tmp_path / "a_keypoints.json", openpose()))
    with pytest.raises(KeypointFileError, match="no keypoints for the photo 'b', only for: a. Name"):
        keypoints_of("b.jpg", photos)


@pytest.mark.parametrize("name", [float("nan"), None, 5, ["a.jpg"]])
def test_a_photo_without_a_name_is_told(tmp_path, name):
    content = {"images": [{"id": 1, "file_name": name}], "annotations": []}
    (tmp_path / "coco.json").write_text(json.dumps(content))
    with pytest.raises(KeypointFileError, match="name of a photo"):
        read_keypoints(tmp_path / "coco.json")
