"""The set itself: changes go through once, conflicts are told, undo brings back what was, leases part reviewers."""

import shutil
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from limner.curate.observe import with_points
from limner.curate.records import Seen, from_bytes, seen_from_tensors, seen_tensors, to_bytes
from limner.curate.run import curate
from limner.curate.store import FILE, ConflictError, CuratedSet, SetError
from limner.errors import OutputError
from limner.records import join
from tests.curate.fakes import MakeFake, SlidingFit, photos, seen_people


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of three people of two photos."""
    folder = tmp_path_factory.mktemp("made")
    curate([photos(folder / "photos", [1, 2])], folder / "set", make_worker=MakeFake())
    return folder / "set"


@pytest.fixture
def curated(made: Path, tmp_path: Path) -> CuratedSet:
    """A copy of it."""
    return CuratedSet.open(shutil.copytree(made, tmp_path / "set"))


@pytest.fixture(scope="module")
def fit() -> SlidingFit:
    return SlidingFit()


def equal(a: Seen, b: Seen) -> bool:
    return all(torch.equal(value, seen_tensors(b)[name]) for name, value in seen_tensors(a).items())


def test_records_come_back_bit_for_bit(fit: SlidingFit):
    seen = seen_people(fit.model, 3)
    assert equal(seen_from_tensors(from_bytes(to_bytes(seen_tensors(seen)))), seen)
    assert equal(join([seen[:1], seen[1:]]), seen)


def test_a_decision_is_in_the_file_before_the_answer(curated: CuratedSet):
    curated.decide(1, 0, "accepted", "Anna")
    with sqlite3.connect(curated.folder / FILE) as other:
        assert other.execute("SELECT decision, reviewer, version FROM people WHERE id = 1").fetchone() == (
            "accepted",
            "Anna",
            1,
        )
    assert curated.counts() == {"open": 2, "accepted": 1, "rejected": 0}


def test_who_saw_an_older_version_changes_nothing(curated: CuratedSet, fit: SlidingFit):
    curated.decide(1, 0, "accepted", "Anna")
    seen, _ = curated.body(1)
    for change in (
        lambda: curated.decide(1, 0, "rejected", "Bert"),
        lambda: curated.refit(1, 0, seen, fit(seen), "Bert", "moved nose"),
        lambda: curated.undo(1, 0, "Bert"),
    ):
        with pytest.raises(ConflictError, match="Anna changed person 1 meanwhile"):
            change()
    assert curated.person(1).decision == "accepted" and len(curated.changes(1)) == 1
    with pytest.raises(KeyError):
        curated.decide(99, 0, "accepted", "Anna")


def test_of_many_who_decide_at_once_one_gets_through(curated: CuratedSet):
    outcomes: list[str] = []
    start = threading.Barrier(8)

    def decide(name: str) -> None:
        mine = CuratedSet.open(curated.folder)  # as from a server of their own
        start.wait()
        try:
            mine.decide(2, 0, "accepted", name)
            outcomes.append(name)
        except ConflictError:
            outcomes.append("conflict")
        mine.close()

    threads = [threading.Thread(target=decide, args=(f"reviewer {k}",)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes)[:7] == ["conflict"] * 7
    assert curated.person(2).reviewer == sorted(outcomes)[7] and curated.person(2).version == 1


def test_undo_brings_back_points_fit_scores_and_decision(curated: CuratedSet, fit: SlidingFit):
    curated.decide(1, 0, "accepted", "Anna")
    before, (seen, params) = curated.person(1), curated.body(1)
    moved = with_points(seen, {0: (100.0, 50.0, 1.0)})
    after = curated.refit(1, 1, moved, fit(moved), "Bert", "moved pelvis")
    assert after.decision == "open" and after.version == 2 and after.scores != before.scores
    assert not torch.equal(curated.body(1)[1].transl, params.transl)
    again = curated.undo(1, 2, "Bert")
    assert replace(again, version=1) == before and again.version == 3
    assert equal(curated.body(1)[0], seen) and torch.equal(curated.body(1)[1].transl, params.transl)
    assert curated.undo(1, 3, "Bert").decision == "open"  # Anna's decision, too
    assert curated.undo(1, 4, "Bert").version == 4  # nothing is left to undo
    assert [(change.action, change.undone) for change in curated.changes(1)] == [
        ("moved pelvis", True),
        ("accepted it", True),
    ]


def test_reviewers_get_different_people(curated: CuratedSet, monkeypatch: pytest.MonkeyPatch):
    first = curated.next_open("photo", "Anna")
    assert first is not None and curated.look_at(first, "Anna") is None
    second = curated.next_open("photo", "Bert")
    assert second not in (first, None) and curated.look_at(second, "Bert") is None
    assert curated.look_at(first, "Bert") == "Anna"
    assert curated.next_open("photo", "Anna", [first]) not in (first, second)
    assert curated.look_at(3, "Anna") is None and curated.next_open("photo", "Bert") == first  # she went on
    monkeypatch.setattr("limner.curate.store.LEASE_SECONDS", -1.0)
    curated.look_at(3, "Anna")
    assert curated.next_open("photo", "Bert", [1, 2]) == 3  # who left the page open does not block for ever


def test_queues_are_sorted_and_paged(curated: CuratedSet):
    with curated._write() as db:
        db.executemany("UPDATE people SET quality = ? WHERE id = ?", [(0.2, 1), (0.9, 2), (0.5, 3)])
    assert [person.id for person in curated.people("open", "best")] == [2, 3, 1]
    assert [person.id for person in curated.people("open", "worst")] == [1, 3, 2]
    assert [person.id for person in curated.people(None, "photo", offset=1, limit=1)] == [2]
    assert curated.people("rejected", "best") == []
    assert [[p.id for p in people] for _, people in curated.chosen(0.5)] == [[2, 3]]


def test_the_queue_needs_no_scan_of_the_set(curated: CuratedSet):
    for query in (
        "SELECT * FROM people WHERE fitted = 1 AND decision = 'open' ORDER BY quality DESC, id LIMIT 60",
        "SELECT id FROM photos WHERE sha256 = 'x'",
        "SELECT * FROM people WHERE photo = 7 AND fitted = 1 ORDER BY rank",
        "SELECT * FROM changes WHERE person = 7 ORDER BY id DESC",
    ):
        plan = " ".join(row["detail"] for row in curated._rows("EXPLAIN QUERY PLAN " + query))
        assert "USING" in plan and "INDEX" in plan and "SCAN" not in plan, (query, plan)


def test_missing_and_damaged_sets_say_what_to_do(tmp_path: Path):
    with pytest.raises(SetError, match="limner curate"):
        CuratedSet.open(tmp_path)
    (tmp_path / FILE).write_bytes(b"SQLite format 3\0" + bytes(4000))
    with pytest.raises(SetError, match="damaged"):
        CuratedSet.open(tmp_path)


def test_a_run_killed_at_its_very_first_step_can_be_started_again(tmp_path: Path):
    sqlite3.connect(tmp_path / FILE).execute("PRAGMA journal_mode = WAL").connection.close()  # a file without tables
    assert CuratedSet.make(tmp_path).photo_counts() == {}


def through(folder: Path) -> list[object]:
    """Everything that a set says of its people."""
    curated = CuratedSet.open(folder)
    try:
        people = curated.people(None, "photo")
        return [people, [curated.photo(p.photo) for p in people], [curated.thumb(p.id) for p in people]]
    finally:
        curated.close()


def test_a_zeroed_page_is_never_taken_for_an_empty_set(made: Path, tmp_path: Path):
    folder = shutil.copytree(made, tmp_path / "set")
    whole, content = through(folder), (folder / FILE).read_bytes()
    pages, told = len(content) // 4096, 0
    for page in range(0, pages, max(1, pages // 40)):
        for beside in folder.glob(f"{FILE}-*"):
            beside.unlink()
        (folder / FILE).write_bytes(content[: 4096 * page] + bytes(4096) + content[4096 * (page + 1) :])
        try:
            assert through(folder)[0] == whole[0]  # a page of one body's numbers: its people are still all there
        except SetError as error:
            assert "Put back a copy, or curate again" in str(error)
            told += 1
    assert told > 10


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE changes",
        "DELETE FROM blobs WHERE person = 1",
        "UPDATE people SET decision = 'perhaps'",
        "UPDATE people SET flags = '['",
        "UPDATE people SET scores = x'ff'",
        "UPDATE people SET photo = 99 WHERE id = 2",
        "UPDATE photos SET note = 5.5",
    ],
)
def test_rows_that_limner_never_wrote_are_damage(made: Path, tmp_path: Path, change: str):
    folder = shutil.copytree(made, tmp_path / "set")
    with sqlite3.connect(folder / FILE) as other:
        other.execute("PRAGMA foreign_keys = OFF")
        other.execute(change)
    other.close()
    if change.endswith("5.5"):  # SQLite makes a text of it, in a column of texts
        through(folder)
        return
    with pytest.raises(SetError, match=r"damaged.*Put back a copy"):
        through(folder)


def test_a_set_that_is_held_is_not_called_damaged(made: Path, tmp_path: Path):
    folder = shutil.copytree(made, tmp_path / "set")
    curated = CuratedSet.open(folder)
    curated._connection.execute("PRAGMA busy_timeout = 10")
    holder = sqlite3.connect(folder / FILE, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(OutputError, match="Another program holds it"):
        curated.decide(1, 0, "accepted", "Anna")
    holder.close()
    curated.decide(1, 0, "accepted", "Anna")
    curated.close()
