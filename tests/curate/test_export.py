"""What leaves a set comes back the same: through limner's reader, webdataset, and the reader of ExPose's own data."""

import json
import os
import re
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from limner.body.model import BodyModel
from limner.body.skeleton import JOINT
from limner.curate.export import export, image_bytes, split_of
from limner.curate.run import curate
from limner.curate.store import CuratedSet
from limner.data.curated import CuratedError, check_curated, read_curated
from limner.data.evidence import read_shards
from limner.data.sources.curated_fits import read_curated_fits
from limner.errors import LimnerError, OutputError, PhotoError
from limner.evaluate.benchmarks.curated import curated_benchmark
from limner.evaluate.topology import find_smplx_files
from limner.geometry.rotation import rotation_to_axis_angle
from tests.curate.fakes import MakeFake, photos


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of four photos, six people: four accepted, one rejected, one open."""
    folder = tmp_path_factory.mktemp("reviewed")
    source = photos(folder / "photos", [1, 2, 1, 2])
    table = folder / "origin.csv"
    table.write_text("file,licence,source\np01_2.png,CC BY 4.0,https://example.org/1\n")
    curate([source], folder / "set", licence="CC0", provenance=table, make_worker=MakeFake())
    curated = CuratedSet.open(folder / "set")
    decisions = ["accepted", "accepted", "rejected", "accepted", "accepted", "open"]
    for person, decision in zip(curated.people(None, "photo"), decisions, strict=True):
        if decision != "open":
            curated.decide(person.id, 0, decision, "Anna")
    curated.close()
    return folder


def test_what_was_accepted_comes_back(reviewed: Path, tmp_path: Path):
    export(reviewed / "set", tmp_path / "out", val_share=0.5)
    curated = CuratedSet.open(reviewed / "set")
    read = [photo for split in ("train", "val") for photo in read_curated(tmp_path / "out", split)]
    assert sum(map(len, read)) == 4 and len(read) == 4
    for photo in read:
        row = next(p for p in curated.photos_in_state("fitted") if p.sha256 == photo.about["sha256"])
        assert photo.image == row.path.read_bytes() and photo.licence == row.licence and photo.source == row.source
        assert photo.pixels().shape == (3, 400, 320)
        for k, person in enumerate(photo.about["people"]):
            seen, fit = curated.body(person["person"])
            assert person["decision"] == "accepted" and person["reviewer"] == "Anna"
            assert torch.allclose(photo.params[[k]].full_pose(), fit.full_pose(), atol=1e-5)
            assert torch.equal(photo.params.betas[k], fit.betas[0]) and torch.equal(
                photo.params.transl[k], fit.transl[0]
            )
            assert torch.equal(photo.keypoints_px[k], seen.targets.keypoints_px[0])
            assert torch.equal(photo.camera.K[k], seen.targets.camera.K[0])
    described = check_curated(tmp_path / "out")
    assert described["licences"] == {"CC0": 3, "CC BY 4.0": 1}
    assert [p.licence for p in read_curated(tmp_path / "out", "train", ["CC BY 4.0"])] in (["CC BY 4.0"], [])


def test_truth_for_training_has_the_good_people_and_believes_reviewers(reviewed: Path, tmp_path: Path):
    export(reviewed / "set", tmp_path / "out", val_share=0.0, layouts=("shards",))
    photo = next(iter(read_curated(tmp_path / "out", "train")))
    by_hand = torch.zeros_like(photo.by_hand)
    everybody = replace(photo, by_hand=by_hand).truth()
    assert len(everybody) == len(photo) and torch.equal(everybody.params.betas, photo.params.betas)
    assert torch.equal(everybody.visible, photo.confidence > 0)
    assert len(replace(photo, by_hand=by_hand).truth(1.1)) == 0
    by_hand[0, 7] = 1.0
    mended = replace(photo, by_hand=by_hand).truth(1.1)
    assert len(mended) == 1 and float(mended.confidence[0, 7]) == 1.0


def test_an_exported_set_is_a_benchmark(reviewed: Path, tmp_path: Path):
    export(reviewed / "set", tmp_path / "out", val_share=1.0)
    benchmark = curated_benchmark(tmp_path / "out", find_smplx_files([tmp_path], None), None)
    assert len(benchmark.cases) == 4
    assert all(case.photo is not None and case.photo.is_file() for case in benchmark.cases)
    target = benchmark.cases[0].target()
    assert target.vertices is not None and target.joints is not None


def test_good_ones_that_nobody_saw_are_taken_on_request(reviewed: Path, tmp_path: Path):
    export(reviewed / "set", tmp_path / "out", include="good", min_quality=0.5, val_share=0.0)
    people = [person for photo in read_curated(tmp_path / "out", "train") for person in photo.about["people"]]
    assert sorted(person["decision"] for person in people) == ["accepted"] * 4 + ["open"]


def test_the_shards_are_webdatasets(reviewed: Path, tmp_path: Path):
    webdataset = pytest.importorskip("webdataset")
    export(reviewed / "set", tmp_path / "out", val_share=0.0)
    shard = tmp_path / "out" / "shards" / "train-000000.tar"
    samples = list(webdataset.WebDataset(str(shard), shardshuffle=False).decode("pil"))
    assert len(samples) == 4
    for sample in samples:
        assert sample["png"].size == (320, 400)
        assert sample["npz"]["pose"].shape == (len(sample["json"]["people"]), 55, 3)


def test_readers_of_the_original_data_read_it(reviewed: Path, tmp_path: Path, body):
    export(reviewed / "set", tmp_path / "out", val_share=1.0, layouts=("expose",))
    folder = tmp_path / "out" / "curated_fits"
    fits = read_curated_fits(folder, "val")
    assert fits.vertices is not None and fits.joints is not None
    curated = CuratedSet.open(reviewed / "set")
    accepted = [person for person in curated.people(None, "photo") if person.decision == "accepted"]
    assert len(fits.names) == len(accepted) == 4 and all(photo.is_file() for photo in fits.photos)
    for row, person in enumerate(accepted):
        seen, fit = curated.body(person.id)
        assert torch.allclose(fits.pose[row], rotation_to_axis_angle(fit.full_pose())[0], atol=1e-5)
        assert torch.allclose(fits.vertices[row], body(fit).vertices[0], atol=1e-5)
        assert fits.joints.shape[1:] == (14, 3)
        assert fits.points[row, 0].tolist() == pytest.approx([*seen.targets.keypoints_px[0, 55].tolist(), 1.0])  # nose
    with np.load(folder / "val.npz", allow_pickle=False) as arrays:
        assert arrays["betas"].shape == arrays["expression"].shape == (4, 10)
        assert not arrays["betas"].any() and not arrays["expression"].any()  # limner's numbers are not SMPL-X's
        assert arrays["limner_betas"].shape == (4, 40) and arrays["limner_betas"].any()
        assert arrays["keypoints2D"].shape == (4, 135, 3)


def test_the_same_set_gives_the_same_bytes_and_splits(reviewed: Path, tmp_path: Path):
    for name in ("a", "b"):
        export(reviewed / "set", tmp_path / name, val_share=0.5, layouts=("shards",))
    for file in (tmp_path / "a").rglob("*"):
        if file.is_file():
            assert file.read_bytes() == (tmp_path / "b" / file.relative_to(tmp_path / "a")).read_bytes()
    shas = [f"{k * 2654435761 % 2**32:08x}" for k in range(1000)]
    assert 350 < sum(split_of(sha, 0.4) == "val" for sha in shas) < 450
    assert all(split_of(sha, 0.6) == "val" for sha in shas if split_of(sha, 0.4) == "val")


def test_an_older_export_is_replaced_and_other_folders_are_left_alone(reviewed: Path, tmp_path: Path):
    export(reviewed / "set", tmp_path / "out", val_share=1.0)
    export(reviewed / "set", tmp_path / "out", val_share=0.0, layouts=("shards",))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["dataset.json", "provenance.csv", "shards"]
    assert not list((tmp_path / "out" / "shards").glob("val*"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(OutputError, match="left alone"):
        export(reviewed / "set", tmp_path / "mine")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "out"]  # nothing half-written


def test_nobody_accepted_says_what_to_do(tmp_path: Path):
    curate([photos(tmp_path / "photos", [1])], tmp_path / "set", make_worker=MakeFake())
    with pytest.raises(LimnerError, match="limner review"):
        export(tmp_path / "set", tmp_path / "out")
    with pytest.raises(CuratedError, match="curate-export"):
        next(read_curated(tmp_path / "out", "train"))


def test_photos_leave_as_they_are_unless_they_lie_on_their_side(tmp_path: Path):
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:, :10] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    Image.fromarray(pixels).save(tmp_path / "upright.jpg")
    turned, upright = tmp_path / "turned.jpg", tmp_path / "upright.jpg"
    content, ending = image_bytes(turned.read_bytes(), turned)
    (tmp_path / "again.jpg").write_bytes(content)
    with Image.open(tmp_path / "again.jpg") as image:
        assert image.size == (20, 30) and image.getpixel((10, 3))[0] > 200 and ending == ".jpg"
    assert image_bytes(upright.read_bytes(), upright) == (upright.read_bytes(), ".jpg")


def linked_elsewhere(photo: Path) -> None:
    """A link to another picture lies where the photo was."""
    photo.rename(photo.with_name("elsewhere.png"))
    Image.new("RGB", (320, 400), "red").save(photo.with_name("private.png"))
    photo.symlink_to(photo.with_name("private.png"))


def swapped(photo: Path) -> None:
    Image.new("RGB", (320, 400), "red").save(photo)


def piped(photo: Path) -> None:
    photo.unlink()
    os.mkfifo(photo)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (swapped, r"is not the photo that was curated .*Put the old file back"),
        (linked_elsewhere, r"is not the photo that was curated"),
        (piped, r"is a pipe.*must stay"),
        (Path.unlink, r"does not exist.*must stay"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_photo_that_was_swapped_does_not_leave(reviewed: Path, tmp_path: Path, capsys, change, told):
    """Another picture in a photo's place is refused by name; the rest is exported; exit code 1."""
    kept = dict(every_file(reviewed / "photos"))
    changed = reviewed / "photos" / "p01_2.png"
    try:
        change(changed)
        assert export(reviewed / "set", tmp_path / "out", val_share=0.0) == 1
    finally:
        shutil.rmtree(reviewed / "photos")
        for path, content in kept.items():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
    printed = " ".join(capsys.readouterr().out.split())
    assert re.search(rf"left out: \S*/p01_2\.png {told}", printed)
    rows = (tmp_path / "out" / "provenance.csv").read_text().splitlines()
    assert len(rows) == 4 and not any("p01_2" in row for row in rows)
    read = list(read_curated(tmp_path / "out", "train"))
    assert len(read) == 3 and {photo.image for photo in read} < set(kept.values())
    assert len(list((tmp_path / "out" / "curated_fits" / "images").iterdir())) == 3
    assert export(reviewed / "set", tmp_path / "again", layouts=("shards",)) == 0  # with the old file back


def every_file(folder: Path):
    return ((path, path.read_bytes()) for path in folder.iterdir())


def test_a_photo_without_a_hash_and_a_set_without_its_photos(reviewed: Path, tmp_path: Path):
    shutil.copytree(reviewed / "set", tmp_path / "set")
    with sqlite3.connect(tmp_path / "set" / "set.sqlite") as database:
        database.execute("UPDATE photos SET sha256 = NULL")
    with pytest.raises(PhotoError, match=r"none of them can be exported.*has no SHA-256 in the set.*curate it again"):
        export(tmp_path / "set", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_provenance_names_every_photo(reviewed: Path, tmp_path: Path):
    export(reviewed / "set", tmp_path / "out", val_share=0.0)
    rows = (tmp_path / "out" / "provenance.csv").read_text().splitlines()
    assert rows[0] == "split,key,file,sha256,licence,source,people" and len(rows) == 5
    assert any("p01_2.png" in row and "CC BY 4.0,https://example.org/1,1" in row for row in rows)
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["counts"] == {
        "train_photos": 4,
        "train_people": 4,
    }


def test_evidence_is_what_training_reads(reviewed: Path, tmp_path: Path):
    export(reviewed / "set", tmp_path / "out", val_share=0.0, layouts=("evidence",))
    curated = CuratedSet.open(reviewed / "set")
    fits = [curated.body(p.id)[1] for p in curated.people(None, "photo") if p.decision == "accepted"]
    body = read_shards(sorted((tmp_path / "out" / "evidence").glob("body_*.safetensors")))
    assert len(body) == len(fits) == 4 and body.visible.all()
    for row, fit in enumerate(fits):
        assert torch.allclose(body.params[[row]].full_pose(), fit.full_pose(), atol=1e-5)
        assert torch.equal(body.params.transl[row], fit.transl[0])
    hands = read_shards(sorted((tmp_path / "out" / "evidence").glob("hand_*.safetensors")))
    assert len(hands) == 8 and int(hands.mirrored.sum()) == 4  # both hands of everybody, left ones mirrored
    model = BodyModel.load()
    wrists = model.joints(hands.params)[:, [JOINT["right_wrist"], JOINT["left_wrist"]]]
    shown = hands.squares.unit_from_photo(hands.camera.project(wrists))
    mine = torch.where(hands.mirrored[:, None], shown[:, 1], shown[:, 0])
    assert (mine.abs() < 1.2).all()  # each crop shows its own hand
