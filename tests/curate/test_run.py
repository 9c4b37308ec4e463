"""A run over photos: everything is kept once, whatever happens; killed and started again, it goes on."""

import copy
import io
import json
import multiprocessing
import os
import signal
import sqlite3
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from limner.curate.records import from_bytes
from limner.curate.run import body_fingerprint, curate, load_body, load_set_priors, read_provenance
from limner.curate.store import FILE, CuratedSet, SetError, only_one_run
from limner.errors import LimnerError, OutputError, WeightsError
from limner.fit.prior import shipped_priors
from tests.conftest import same_picture
from tests.curate.fakes import MakeFake, fake_run, photos

PEOPLE = [1, 2, 0, 1, 3, 1, 1, 2, 1, 1, 2, 1]


def contents(out: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows that say what was found, without times."""
    with sqlite3.connect(out / FILE) as db:
        tables = {
            "photos": "SELECT path, state, note, sha256, width, height, licence, source FROM photos ORDER BY path",
            "people": "SELECT path, rank, version, decision, fitted, quality, verdict, flags, scores FROM people "
            "JOIN photos ON photos.id = photo ORDER BY path, rank",
            "blobs": "SELECT path, rank, seen, fit, thumb FROM blobs JOIN people ON people.id = person "
            "JOIN photos ON photos.id = photo ORDER BY path, rank",
        }
        return {name: db.execute(query).fetchall() for name, query in tables.items()}


def unlike(a: object, b: object, what: str = "") -> list[str]:
    """Where two contents differ by more than rounding; a fit in another batch adds its sums in another order."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [odd for key in a for odd in unlike(a[key], b[key], f"{what}/{key}")]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        return [odd for k, (x, y) in enumerate(zip(a, b, strict=True)) for odd in unlike(x, y, f"{what}/{k}")]
    if isinstance(a, bytes) and isinstance(b, bytes) and a[:2] == b"\xff\xd8":
        x, y = (torch.from_numpy(np.array(Image.open(io.BytesIO(data)))) for data in (a, b))
        return [] if same_picture(x, y) else [what]
    if isinstance(a, bytes) and isinstance(b, bytes):
        return unlike(from_bytes(a), from_bytes(b), what)
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return [] if a.shape == b.shape and torch.allclose(a, b, rtol=1e-5, atol=1e-3, equal_nan=True) else [what]
    if isinstance(a, str) and isinstance(b, str) and a.startswith("{"):
        return unlike(json.loads(a), json.loads(b), what)
    close = pytest.approx(b, rel=1e-4, abs=1e-4, nan_ok=True) if isinstance(b, float) else b
    return [] if a == close else [f"{what}: {a!r}, {b!r}"]


def run_fake(source: Path, out: Path, log: Path, seconds: float) -> BaseProcess:
    """A run in a process of its own, forked from one that has imported everything already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.curate.fakes"])
    process = context.Process(target=fake_run, args=(source, out, log, seconds))
    process.start()
    return process


def ended(process: BaseProcess) -> int | None:
    """Its exit code, once it is there."""
    process.join(60)
    return process.exitcode


def test_a_run_keeps_everybody_with_scores(tmp_path: Path):
    source = photos(tmp_path / "photos", [1, 2, 0])
    assert curate([source], tmp_path / "set", licence="CC0", make_worker=MakeFake()) == 0
    curated = CuratedSet.open(tmp_path / "set")
    assert curated.photo_counts() == {"fitted": 2, "empty": 1}
    assert curated.counts() == {"open": 3, "accepted": 0, "rejected": 0}
    person = curated.people(None, "photo")[1]
    assert curated.photo(person.photo).licence == "CC0" and curated.photo(person.photo).size_px == (320, 400)
    assert person.verdict == "fitted" and person.quality > 0.5
    assert {"reprojection_body", "agreement_mm", "cut_off", "blur", "height_px", "seen"} <= person.scores.keys()
    assert curated.thumb(person.id)[:2] == b"\xff\xd8"
    seen, fit = curated.body(person.id)
    assert len(seen) == len(fit) == 1


def test_a_second_run_repeats_nothing_and_takes_new_photos(tmp_path: Path):
    source, log = photos(tmp_path / "photos", [1, 2]), tmp_path / "log"
    curate([source], tmp_path / "set", make_worker=MakeFake(log))
    before = contents(tmp_path / "set")
    curate([source], tmp_path / "set", make_worker=MakeFake(log))
    assert contents(tmp_path / "set") == before and log.read_text().count("look") == 2
    photos(source, [1, 2, 1])
    curate([source], tmp_path / "set", make_worker=MakeFake(log))
    assert log.read_text().splitlines()[-2:] == ["look p02_1.png", "fit 1"]


def test_a_broken_photo_a_bug_and_a_copy_do_not_stop_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = photos(tmp_path / "photos", [1, 1])
    (source / "a_cut_off.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (source / "broken_1.png").write_bytes((source / "p00_1.png").read_bytes() + b"x")
    (source / "p07_1.png").write_bytes((source / "p01_1.png").read_bytes())
    assert curate([source], tmp_path / "set", make_worker=MakeFake()) == 1
    curated = CuratedSet.open(tmp_path / "set")
    assert curated.photo_counts() == {"fitted": 2, "failed": 2, "same": 1}
    notes = {photo.path.name: photo.note for photo in curated.photos_in_state("failed")}
    assert "a_cut_off.jpg" in notes["a_cut_off.jpg"] and "ZeroDivisionError" in notes["broken_1.png"]
    assert "p01_1.png" in curated.photos_in_state("same")[0].note
    assert "a_cut_off.jpg" in capsys.readouterr().out


def test_nothing_is_left_out_in_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = photos(tmp_path / "photos" / "below", [1])
    (source / os.fsdecode(b"no utf-8 \xff.png")).write_bytes((source / "p00_1.png").read_bytes())
    (source / "film\x1b[31m.mov").touch()
    assert curate([source.parent], tmp_path / "set", make_worker=MakeFake(), recursive=True) == 1
    shown = capsys.readouterr().out
    assert "path is no UTF-8" in shown and "left out: a film" in shown and "\x1b" not in shown
    assert CuratedSet.open(tmp_path / "set").photo_counts() == {"fitted": 1}


def test_failed_photos_are_tried_again_on_request(tmp_path: Path):
    source, log = photos(tmp_path / "photos", [1]), tmp_path / "log"
    good = (source / "p00_1.png").read_bytes()
    (source / "p01_1.png").write_bytes(b"nothing")
    assert curate([source], tmp_path / "set", make_worker=MakeFake(log)) == 1
    (source / "p01_1.png").write_bytes(good + b"whole now")
    assert curate([source], tmp_path / "set", make_worker=MakeFake(log)) == 1
    assert curate([source], tmp_path / "set", make_worker=MakeFake(log), retry_failed=True) == 0
    assert Counter(log.read_text().split("\n"))["look p00_1.png"] == 1


def test_killed_at_any_moment_nothing_is_lost_and_nothing_repeated(tmp_path: Path):
    source = photos(tmp_path / "photos", PEOPLE)
    whole, killed, log = tmp_path / "whole", tmp_path / "killed", tmp_path / "log"
    assert ended(run_fake(source, whole, tmp_path / "other", 0.0)) == 0
    kills = 0
    for goal in (1, 4, 5, 9, 13):  # lines of the log: in the first look, in a fit, between batches
        process = run_fake(source, killed, log, 0.15)
        while process.is_alive() and (len(log.read_text().splitlines()) if log.exists() else 0) < goal:
            time.sleep(0.02)
        if process.is_alive():
            process.kill()  # SIGKILL: nothing is cleaned up
            kills += 1
        assert ended(process) in (0, -signal.SIGKILL)
        done = kept(killed)
        assert set(done) <= set(kept(whole))  # never half a photo
    assert kills >= 4
    assert ended(run_fake(source, killed, log, 0.0)) == 0
    assert unlike(contents(killed), contents(whole)) == []
    looks = Counter(line for line in log.read_text().splitlines() if line.startswith("look"))
    assert len(looks) == len(PEOPLE)
    assert sum(looks.values()) - len(looks) <= kills  # at most the one photo in hand at each kill is looked at again


def kept(out: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(out / FILE) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'people'").fetchone():
            return []
        query = "SELECT path, rank FROM people JOIN photos ON photos.id = photo JOIN blobs ON person = people.id"
        return db.execute(query).fetchall()


def test_two_runs_do_not_fill_one_set(tmp_path: Path):
    with only_one_run(tmp_path / "set"), pytest.raises(SetError, match="right now"):
        curate([photos(tmp_path / "photos", [1])], tmp_path / "set", make_worker=MakeFake())


def test_a_set_is_filled_one_way_only(tmp_path: Path):
    source = photos(tmp_path / "photos", [0])
    curate([source], tmp_path / "set", make_worker=MakeFake())
    with pytest.raises(SetError, match="begun with weights 'limner'"):
        curate([source], tmp_path / "set", weights="mine", make_worker=MakeFake())
    with pytest.raises(SetError, match="begun with vposer 'of limner'"):
        curate([source], tmp_path / "set", vposer=tmp_path / "V02_05", make_worker=MakeFake())
    curated = CuratedSet.open(tmp_path / "set")
    assert load_set_priors(curated) is shipped_priors()
    with pytest.raises(WeightsError, match="no VPoser"):
        load_set_priors(curated, tmp_path / "V02_05")
    curated.set_meta("settings", curated.meta("settings").replace('"body": "', '"body": "x'))
    with pytest.raises(SetError, match="another body"):
        load_body(curated)


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path):
    source = photos(tmp_path / "photos", [0])
    with pytest.raises(OutputError, match="no curated set"):
        curate([source], source, make_worker=MakeFake())
    with pytest.raises(LimnerError, match="--batch"):
        curate([source], tmp_path / "set", batch=0, make_worker=MakeFake())


def test_licence_and_source_of_each_photo(tmp_path: Path):
    source = photos(tmp_path / "photos", [0, 0])
    table = tmp_path / "origin.csv"
    table.write_text("file,licence,source\np00_0.png,CC BY 4.0,https://example.org/0\n")
    curate([source], tmp_path / "set", licence="own", provenance=table, make_worker=MakeFake())
    first, second = CuratedSet.open(tmp_path / "set").photos_in_state("empty")
    assert (first.licence, first.source) == ("CC BY 4.0", "https://example.org/0")
    assert (second.licence, second.source) == ("own", "")
    table.write_text("name,licence\n")
    table.write_text("name,licence\nx,y\n")
    with pytest.raises(SetError, match="expected file, licence, source"):
        read_provenance(table)


def test_a_body_with_other_named_points_is_another_body(body):
    same = body_fingerprint(body)
    moved = copy.deepcopy(body)
    moved.landmark_barycentric = body.landmark_barycentric.flip(-1)
    assert body_fingerprint(moved) != same == body_fingerprint(body)
