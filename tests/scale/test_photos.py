"""Photos in real processes: the same files as from one, whatever happens to a photo, a worker or the run."""

import json
import multiprocessing
import pickle
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from limner.batch import PeopleRecipe, PeopleWriter
from limner.errors import OutputError
from limner.expose_photos import DemoWriter, ExposeRecipe
from limner.io.photo_list import find_photos
from limner.part_photos import PartRecipe, PartWriter
from limner.scale import report
from limner.scale.engine import EngineError
from limner.scale.photos import How, run_photos
from limner.scale.where import Where
from tests.scale.nobody import Nobody
from tests.scale.test_engine import wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals of POSIX")


def photos(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for k, name in enumerate(names):
        Image.new("RGB", (20, 16), (k, k, k)).save(folder / f"{name}.png")
    return folder


def run(folder: Path, out: Path, log: Path, how: How, seconds: float = 0.0) -> int:
    return run_photos(find_photos([folder]), Where(), Nobody(log, seconds), PeopleWriter(out), how=how)


def files(out: Path) -> dict[str, bytes]:
    """Everything below a folder, hidden files too."""
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def looks(log: Path) -> Counter[str]:
    return Counter(line.split()[2] for line in log.read_text(encoding="utf-8").splitlines())


@pytest.mark.slow
def test_two_processes_write_what_one_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = photos(tmp_path / "photos", *"abcdef", "bad", "broken", "deadly")
    (source / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    log, two, one = (tmp_path / name for name in ("log", "two", "one"))
    assert run(source, two, log, How(workers=2)) == 1
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "10 photos, 0 people, 4 failed" in shown and "nobody is ever found" in shown
    assert "this photo is bad" in shown and "ZeroDivisionError: a bug (nobody.py:" in shown and "torn.png is" in shown
    assert "was killed (SIGKILL: by somebody, or because memory was short)" in shown
    assert looks(log) == Counter([f"{name}.png" for name in [*"abcdef", "bad", "broken", "deadly"]])
    (source / "deadly.png").unlink()
    assert run(source, one, log, How(workers=1)) == 1
    assert files(two) == files(one) and len(files(one)) == 6 * 3


@pytest.mark.slow
def test_killed_and_begun_again_it_goes_on(tmp_path: Path):
    source = photos(tmp_path / "photos", *(f"p{k:02d}" for k in range(12)))
    log, out, whole = (tmp_path / name for name in ("log", "out", "whole"))
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=run, args=(source, out, log, How(workers=2), 0.2))
    process.start()
    wait_until(lambda: log.exists() and len(looks(log)) >= 5)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL and len(looks(log)) < 12
    assert run(source, out, log, How(resume=True)) == 0  # in this process: photos are few
    assert run(source, whole, tmp_path / "log2", How()) == 0
    assert files(out) == files(whole)
    again = sum(looks(log).values()) - 12
    assert len(looks(log)) == 12 and again <= 2  # the photos in hand


def test_recipes_and_writers_can_be_sent(tmp_path: Path):
    for one in (
        PeopleRecipe("w", tmp_path, False), PeopleWriter(tmp_path), DemoWriter(tmp_path, False),
        ExposeRecipe("w", tmp_path, "clean", "onnx"), PartRecipe("hand", "left", "w"),
        PartWriter(tmp_path, whom="hands"),
    ):  # fmt: skip
        assert pickle.loads(pickle.dumps(one)) == one


def test_an_error_in_a_batch_costs_its_photo_alone(tmp_path: Path):
    source = photos(tmp_path / "photos", *"abc", "bad", *"ef")
    assert run(source, tmp_path / "out", tmp_path / "log", How(batch=4)) == 1
    sizes = [tuple(line.split()[1:]) for line in (tmp_path / "log").read_text(encoding="utf-8").splitlines()]
    assert sizes[:4] == [("4", name) for name in ("a.png", "b.png", "bad.png", "c.png")]  # by name
    assert sizes[4:] == [
        *(("1", name) for name in ("a.png", "b.png", "bad.png", "c.png")), ("2", "e.png"), ("2", "f.png")
    ]  # fmt: skip
    assert {path.name for path in (tmp_path / "out").iterdir()} == set("abcef")


def test_numbers_that_run_through_all_photos_need_one_process(tmp_path: Path):
    found = find_photos([photos(tmp_path / "photos", *"ab")])
    writer = DemoWriter(tmp_path / "out", False)
    for how in (How(workers=2), How(engine="ray")):
        with pytest.raises(EngineError, match="numbered through all photos"):
            run_photos(found, Where(), Nobody(tmp_path / "log"), writer, how=how)


def test_a_long_run_tells_counts_and_the_first_of_those_who_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(report, "MOST_ROWS", 5)
    monkeypatch.setattr(report, "MOST_SHOWN", 2)
    source = photos(tmp_path / "photos", *"abc", "bad1", "bad2", "bad3")
    for k in range(3):
        (source / f"film{k}.mp4").touch()
    assert run(source, tmp_path / "out", tmp_path / "log", How()) == 1
    shown = capsys.readouterr().out
    assert "6 photos, 0 people, 3 failed, 3 left out" in " ".join(shown.split())
    assert "bad1" in shown and "bad2" in shown and "bad3" not in shown and "b.png" in shown and "c.png" not in shown
    assert "The first of 3 that failed, and of 3 with a note." in shown and "film1" in shown and "film2" not in shown
    outcomes = tmp_path / "out" / "outcomes.jsonl"
    lines = [json.loads(line) for line in outcomes.read_text(encoding="utf-8").splitlines()]
    assert [line["folder"] for line in lines] == ["a", "b", None, None, None, "c"]
    assert lines[2] == {"photo": "bad1.png", "folder": None, "people": 0, "seconds": 0.0, "note": "this photo is bad"}
    outcomes.unlink()
    outcomes.mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        run(source, tmp_path / "out", tmp_path / "log", How())
