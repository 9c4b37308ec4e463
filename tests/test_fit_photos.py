"""`limner fit`: keypoints alone and with photos, resumed, one bad photo alone, starts from disk."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from limner import cli
from limner import fit_photos as module
from limner.body.keypoints import KEYPOINT_SETS, keypoint_indices
from limner.errors import KeypointFileError, LimnerError, PhotoError, WeightsError
from limner.fit.fitter import FitOptions, Fitter
from limner.fit.prior import shipped_priors
from limner.fit.records import ARMS, LEGS, swapped_targets
from limner.fit_photos import fit_photos
from limner.io.image import write_image
from limner.io.keypoint_file import PersonKeypoints, PhotoKeypoints, write_keypoints
from limner.io.motion_file import read_params
from tests.fit.made import exact_targets, people

SET = "coco_wholebody133"
STEPS = {"coarse": 5, "middle": 5, "fine": 5, "whole": 3, "final": 6, "closer": 4, "limbs": 3, "frame": 2}


@pytest.fixture(scope="module")
def scene(body):
    """Two people and their exact keypoints."""
    params, camera = people(body.keypoints_only(), 2)
    return params, exact_targets(body.keypoints_only(), params, camera)


@pytest.fixture(scope="module")
def keypoints(scene, tmp_path_factory):
    """Two photos' keypoints: one person; one person and a blank one."""
    folder = tmp_path_factory.mktemp("keypoints")
    _, targets = scene
    index = list(keypoint_indices(SET))
    for k in range(2):
        person = PersonKeypoints(SET, targets.keypoints_px[k, index], torch.ones(133), targets.boxes[k])
        blank = PersonKeypoints(SET, torch.zeros(133, 2), torch.zeros(133))
        record = PhotoKeypoints(f"p{k}.jpg", [person, blank][: k + 1], (800, 1000), (1000.0, 400.0, 500.0))
        write_keypoints(folder / f"p{k}.json", record, KEYPOINT_SETS[SET])
    return folder


@pytest.fixture(autouse=True)
def quick(body, monkeypatch):
    """A narrow search, one body: these tests are about files."""
    narrow(monkeypatch, FitOptions(views=2, extra=0, kept=1, finalists=1, try_swaps=False))
    monkeypatch.setattr(module.BodyModel, "load", lambda path=None: body)
    monkeypatch.setattr(module, "save_results", saved)


def narrow(monkeypatch, options):
    """Fits with these options and a few steps a stage."""

    def fitter(model, priors):
        fitter = Fitter(model, options, priors)
        for name, steps in STEPS.items():
            stage = getattr(fitter, name)
            setattr(fitter, name, replace(stage, solver=replace(stage.solver, steps=steps)))
        fitter.far = fitter.whole, fitter.final, fitter.final
        fitter.near = tuple(
            replace(s, solver=replace(s.solver, steps=k)) for s, k in zip(fitter.near, (2, 2, 6), strict=True)
        )
        return fitter

    monkeypatch.setattr(module, "Fitter", fitter)


def saved(people, photo, model, folder):
    """Stands for the writing of meshes and pictures, which takes seconds: parameters alone."""
    for k in range(len(people)):
        (folder / f"person_{k}").mkdir(parents=True)
        row = people[torch.tensor([k])]
        module.write_params(folder / f"person_{k}" / "params.npz", module.motion(row, model, photo))
    return folder


def test_keypoints_alone_resume_and_starts_from_disk(keypoints, tmp_path, capsys):
    out = tmp_path / "out"
    assert fit_photos((), keypoints, out, start="mean") == 0
    content = json.loads((out / "fits.json").read_text())
    one, blank = content["photos"]["p1"]["people"]
    assert one["verdict"] == "fitted" and one["folder"] == "person_0" and one["scores"]["reprojection"] < 0.01
    assert blank["verdict"] == "not fitted: no confident torso" and blank["folder"] is None
    assert read_params(out / "p0" / "person_0" / "params.npz").transl.shape == (1, 3)

    capsys.readouterr()
    assert fit_photos((), keypoints, out, start="mean") == 0
    assert "2 done before" in " ".join(capsys.readouterr().out.split())
    changed = tmp_path / "changed"
    shutil.copytree(keypoints, changed)
    blank_alone = json.loads((changed / "p1.json").read_text())
    blank_alone["people"] = blank_alone["people"][1:]
    (changed / "p1.json").write_text(json.dumps(blank_alone))
    shutil.rmtree(out / "p1")
    assert fit_photos((), changed, out, start="mean") == 0
    assert "1 done before" in " ".join(capsys.readouterr().out.split())
    photos = json.loads((out / "fits.json").read_text())["photos"]
    assert [len(photos[name]["people"]) for name in ("p0", "p1")] == [1, 1]
    again = tmp_path / "again"
    assert fit_photos((), keypoints, again, start=str(out)) == 0
    near = json.loads((again / "fits.json").read_text())["photos"]["p0"]["people"][0]
    assert near["verdict"] == "fitted" and near["scores"]["reprojection"] < 0.01


def test_each_bad_person_of_a_file_has_a_verdict_and_no_mesh(body, keypoints, tmp_path):
    content = json.loads((keypoints / "p0.json").read_text())
    good = content["people"][0]
    x, y = (sum(p[k] for p in good["keypoints_px"]) / 133 for k in (0, 1))

    def changed(point):
        points = [point(k, *p) for k, p in enumerate(good["keypoints_px"])]
        return good | {"keypoints_px": points}

    bad = {
        "not fitted: no confident torso": changed(lambda k, x, y, c: [float("nan"), y, c]),
        "not fitted: no confident torso ": changed(lambda k, x, y, c: [x, y, 0.0]),
        "not fitted: all keypoints in one place": changed(lambda k, *_: [x, y, 1.0]),
        "fitted": changed(lambda k, x, y, c: [float("nan") if k % 5 == 0 else x, y, c]),
    }
    content["people"] = list(bad.values())
    folder = tmp_path / "keypoints"
    folder.mkdir()
    (folder / "p0.json").write_text(json.dumps(content))
    (folder / "p1.json").write_text(json.dumps(content | {"photo": "p1.jpg", "people": []}))
    assert fit_photos((), folder, tmp_path / "out", start="mean") == 0
    photos = json.loads((tmp_path / "out" / "fits.json").read_text())["photos"]
    assert photos["p1"]["people"] == []
    for person, verdict in zip(photos["p0"]["people"], bad, strict=True):
        assert person["verdict"].startswith(verdict.strip()), person["verdict"]
        assert (person["folder"] is not None) == (verdict == "fitted")
    assert [p.name for p in (tmp_path / "out" / "p0").iterdir()] == ["person_0"]


def test_bad_people_of_photos_have_a_verdict(scene, keypoints, tmp_path, monkeypatch, capsys):
    """From the estimate of each photo: sides exchanged, two people in one box, NaN, nobody sure, nobody at all."""
    params, targets = scene
    content = json.loads((keypoints / "p0.json").read_text())
    index = list(keypoint_indices(SET))

    def person(points_px, confidence=1.0):
        return {"set": SET, "keypoints_px": [[*p, confidence] for p in points_px[0, index].tolist()]}

    there = targets.keypoints_px[:1]
    two = there.clone()
    two[:, ::2] += torch.tensor([260.0, 40.0])
    swapped = swapped_targets(targets[:1], ARMS + LEGS).keypoints_px
    given = [person(there), person(swapped), person(two), person(there * torch.nan), person(there, 0.1)]
    content["people"] = [content["people"][0] | one for one in given]
    folder, photos = tmp_path / "keypoints", tmp_path / "photos"
    folder.mkdir()
    photos.mkdir()
    (folder / "p0.json").write_text(json.dumps(content))
    (folder / "elsewhere.json").write_text(json.dumps(content | {"photo": "elsewhere.jpg"}))
    for name in ("p0", "nobody"):
        write_image(photos / f"{name}.png", torch.full((3, 1000, 800), 90, dtype=torch.uint8))

    (photos / "clip.mov").touch()
    (photos / "notes.txt").touch()

    class Sees:
        def __call__(self, photo, boxes, focal_px):
            return SimpleNamespace(params=params[torch.zeros(len(boxes), dtype=torch.int64)])

    monkeypatch.setattr(module.Estimator, "load", lambda *_: Sees())
    narrow(monkeypatch, FitOptions(retry=False, doubtful=1.0, strange=1e9))
    assert fit_photos([photos], folder, tmp_path / "out", focal_px=1000.0) == 0
    said = json.loads((tmp_path / "out" / "fits.json").read_text())["photos"]
    assert said["nobody"]["people"] == []
    verdicts = [one["verdict"] for one in said["p0"]["people"]]
    assert [v.split(":")[0] for v in verdicts] == ["fitted", "fitted", "implausible", "not fitted", "not fitted"]
    assert [one["scores"]["swapped"] for one in said["p0"]["people"][:2]] == [0, 1]
    table = " ".join(capsys.readouterr().out.split())
    assert "left out: a film," in table and "1 other file left out" in table
    assert "no keypoints" in table and "keypoints of 1 photos that were not given (elsewhere)" in table


def test_an_owners_vposer(keypoints, tmp_path, monkeypatch):
    content = json.loads((keypoints / "p1.json").read_text())
    content["people"] = content["people"][1:]  # who is blank is not fitted: quick
    (tmp_path / "p1.json").write_text(json.dumps(content))
    priors, asked = shipped_priors(), []
    monkeypatch.setattr(module, "owned_priors", lambda path: asked.append(path) or priors)
    assert cli.fit((), keypoints=tmp_path / "p1.json", out=tmp_path / "o", start="mean", vposer=tmp_path / "V") == 0
    assert asked == [tmp_path / "V"]
    monkeypatch.undo()
    with pytest.raises(WeightsError, match="no VPoser at .*V02_05"):
        fit_photos((), tmp_path / "p1.json", tmp_path / "o", start="mean", vposer=tmp_path / "V")


def test_one_bad_photo_does_not_stop_the_rest(keypoints, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    write_image(photos / "p0.png", torch.full((3, 1000, 800), 90, dtype=torch.uint8))
    (photos / "p1.png").write_bytes(b"no picture")
    assert fit_photos([photos], keypoints, tmp_path / "out", start="mean", focal_px=1000.0) == 1
    done = json.loads((tmp_path / "out" / "fits.json").read_text())["photos"]
    assert list(done) == ["p0"] and done["p0"]["people"][0]["verdict"] == "fitted"


def test_a_clip_gives_a_track(keypoints, tmp_path):
    clip = tmp_path / "clip"
    clip.mkdir()
    content = (keypoints / "p0.json").read_text()
    for k in range(3):
        (clip / f"f{k}.json").write_text(content.replace("p0.jpg", f"f{k}.jpg"))
    assert fit_photos((), clip, tmp_path / "out", start="mean", video=True) == 0
    track = read_params(tmp_path / "out" / "track_0.npz")
    assert len(track) == 3 and (tmp_path / "out" / "f2" / "person_0").is_dir()


def test_what_is_missing_is_named(keypoints, tmp_path):
    with pytest.raises(PhotoError, match="--start mean"):
        fit_photos((), keypoints, tmp_path)
    openpose = tmp_path / "a_keypoints.json"
    openpose.write_text(json.dumps({"people": [{"pose_keypoints_2d": [1.0] * 75}]}))
    with pytest.raises(KeypointFileError, match="--photo-size"):
        fit_photos((), openpose, tmp_path / "o", start="mean")
    with pytest.raises(LimnerError, match="does not exist"):
        fit_photos((), keypoints, tmp_path / "o", start=str(tmp_path / "none.npz"))
