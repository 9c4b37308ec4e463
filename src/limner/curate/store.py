"""The store of a curated set, so that nothing is lost or done twice. One SQLite file, one transaction a change.

`SET/set.sqlite` (write-ahead log, every commit synced): photos with their state, people with scores and decision, what
was seen and fitted as blobs, and every change that a reviewer made, so that it can be taken back. Whoever changes a
person names the version that they looked at; where another version is there by now, nothing is changed
(`ConflictError`).
"""

import itertools
import json
import math
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from limner.body.params import BodyParams
from limner.curate.records import (
    DECISIONS,
    Decision,
    Judged,
    Seen,
    from_bytes,
    params_from_tensors,
    params_tensors,
    seen_from_tensors,
    seen_tensors,
    to_bytes,
)
from limner.errors import LimnerError, OutputError
from limner.reading.told import RefusedError, told_as
from limner.records import join

FILE = "set.sqlite"
RUNNING = "running.lock"
FORMAT = 1
CURE = "Put back a copy, or curate again."
Order = Literal["best", "worst", "photo"]
ORDERS: dict[Order, str] = {"best": "quality DESC, id", "worst": "quality, id", "photo": "photo, rank"}
LEASE_SECONDS = 120.0
"""So long somebody who looks at a person keeps it out of the others' way."""

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE photos (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, state TEXT NOT NULL DEFAULT 'new', note TEXT NOT NULL DEFAULT '',
    sha256 TEXT, width INTEGER, height INTEGER, licence TEXT NOT NULL DEFAULT '', source TEXT NOT NULL DEFAULT '');
CREATE INDEX photos_state ON photos (state);
CREATE INDEX photos_sha256 ON photos (sha256);
CREATE TABLE people (
    id INTEGER PRIMARY KEY, photo INTEGER NOT NULL REFERENCES photos (id), rank INTEGER NOT NULL,
    version INTEGER NOT NULL DEFAULT 0, decision TEXT NOT NULL DEFAULT 'open', reviewer TEXT NOT NULL DEFAULT '',
    changed REAL NOT NULL DEFAULT 0, fitted INTEGER NOT NULL DEFAULT 0, quality REAL NOT NULL DEFAULT 0,
    verdict TEXT NOT NULL DEFAULT '', flags TEXT NOT NULL DEFAULT '[]', scores TEXT NOT NULL DEFAULT '{}',
    UNIQUE (photo, rank));
CREATE INDEX people_queue ON people (fitted, decision, quality, id);
CREATE TABLE blobs (person INTEGER PRIMARY KEY REFERENCES people (id), seen BLOB NOT NULL, fit BLOB, thumb BLOB);
CREATE TABLE changes (
    id INTEGER PRIMARY KEY, person INTEGER NOT NULL REFERENCES people (id), at REAL NOT NULL, reviewer TEXT NOT NULL,
    action TEXT NOT NULL, undone INTEGER NOT NULL DEFAULT 0, before TEXT NOT NULL, seen BLOB, fit BLOB);
CREATE INDEX changes_person ON changes (person, id);
CREATE TABLE leases (person INTEGER PRIMARY KEY REFERENCES people (id), reviewer TEXT NOT NULL, until REAL NOT NULL);
"""
_JUDGED = ("quality", "verdict", "flags", "scores")
_CHANGEABLE = ("decision", "reviewer", "changed", *_JUDGED)


class SetError(LimnerError):
    """A curated set is missing, damaged, in use, or was made differently."""


class ConflictError(LimnerError):
    """Somebody else changed a person meanwhile; nothing was changed."""


@dataclass(frozen=True)
class PhotoRow:
    """One photo of the set. state: new, seen, fitted, empty (nobody in it), failed, same (bytes of another photo)."""

    id: int
    path: Path
    state: str
    note: str
    sha256: str | None
    size_px: tuple[int, int] | None
    licence: str
    source: str


@dataclass(frozen=True)
class PersonRow:
    """One person of the set without their body; `rank` counts the people of a photo."""

    id: int
    photo: int
    rank: int
    version: int
    decision: Decision
    reviewer: str
    changed: float
    quality: float
    verdict: str
    flags: tuple[str, ...]
    scores: dict[str, float]


@dataclass(frozen=True)
class Change:
    """Something a reviewer did, newest first in lists."""

    at: float
    reviewer: str
    action: str
    undone: bool


class CuratedSet:
    """An open set; may be used by several threads. Use `make` or `open`."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(folder / FILE, timeout=60, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")  # a decision survives a power cut, too

    @classmethod
    def make(cls, folder: Path) -> "CuratedSet":
        """Open the set in a folder, or begin one there. Raises OutputError and SetError."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            foreign = [p.name for p in folder.iterdir() if not p.name.startswith((FILE, RUNNING))]
            if foreign and not (folder / FILE).is_file():
                raise OutputError(
                    f"{folder} holds {foreign[0]} but no curated set, expected an empty folder or a set. Give another "
                    "--out."
                )
            begun = cls(folder)
            with begun._write() as db:  # a run that was killed here has left a file without tables
                if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                    for statement in SCHEMA.split(";"):
                        db.execute(statement)
                    db.execute("INSERT INTO meta VALUES ('format', ?)", (str(FORMAT),))
            begun.close()
        except OSError as error:
            raise OutputError(
                f"cannot make a set in {folder} ({error}). Give a folder that you may write to."
            ) from error
        except sqlite3.DatabaseError as error:
            raise _own_error(folder, error) from error
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> "CuratedSet":
        """Open an existing set. Raises SetError, which names the cure."""
        if not (folder / FILE).is_file():
            raise SetError(
                f"{folder} holds no curated set ({FILE}). Make one with: limner curate PHOTOS --out {folder}"
            )
        try:
            found = cls(folder)
            found._check_whole()
            version = found.meta("format")
        except sqlite3.DatabaseError as error:
            raise _own_error(folder, error) from error
        if version != str(FORMAT):
            raise SetError(f"{folder} has format {version}, this limner reads {FORMAT}. Use the limner that made it.")
        return found

    def _check_whole(self) -> None:
        """Raise DatabaseError for a file with a damaged page: its people would be missing without a word.

        Reads all of the file, once for each time that it is opened; indices are compared with what they point to.
        """
        said = [str(row[0]) for row in self._rows("PRAGMA integrity_check (1)")]
        if said != ["ok"]:
            raise sqlite3.DatabaseError(said[0].splitlines()[-1][:200] if said else "it is no set")
        with closing(sqlite3.connect(":memory:")) as empty:
            empty.executescript(SCHEMA)
            for (table,) in empty.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                wanted, columns = (
                    [row[1] for row in db.execute(f"PRAGMA table_info ({table})")] for db in (empty, self._connection)
                )
                if wanted != columns:
                    raise sqlite3.DatabaseError(f"its table {table} has the columns {', '.join(columns) or 'none'}")
        lost = "SELECT 1 FROM people LEFT JOIN blobs ON person = id WHERE seen IS NULL OR (fitted = 1 AND fit IS NULL)"
        if self._rows("PRAGMA foreign_key_check") or self._rows(f"{lost} LIMIT 1"):
            raise sqlite3.DatabaseError("it lacks a photo or a body of its people")

    def close(self) -> None:
        """Let go of the file; what was committed is in it already."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is in the file after the block, or nothing."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                if self._connection.in_transaction:
                    self._connection.execute("COMMIT")
            except BaseException as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.DatabaseError):
                    raise _own_error(self.folder, error) from error
                raise

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.ProgrammingError:  # the set was closed: nothing is wrong with the file
                raise
            except sqlite3.DatabaseError as error:
                raise _own_error(self.folder, error) from error

    def _telling(self) -> AbstractContextManager[None]:
        """Within, what a damaged row makes its reader raise becomes SetError."""
        return told_as(SetError, self.folder / FILE, CURE)

    # the set

    def meta(self, key: str) -> str | None:
        """What the set says of itself."""
        rows = self._rows("SELECT value FROM meta WHERE key = ?", (key,))
        return rows[0]["value"] if rows else None

    def set_meta(self, key: str, value: str) -> None:
        """Remember something about the whole set."""
        with self._write() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def photo_counts(self) -> dict[str, int]:
        """Photos by state."""
        return {row[0]: row[1] for row in self._rows("SELECT state, count(*) FROM photos GROUP BY state")}

    def counts(self) -> dict[Decision, int]:
        """Fitted people by decision."""
        rows = self._rows("SELECT decision, count(*) FROM people WHERE fitted = 1 GROUP BY decision")
        found = {row[0]: row[1] for row in rows}
        return {decision: found.get(decision, 0) for decision in DECISIONS}

    # photos on their way through the run

    def add_photos(self, photos: Iterable[tuple[Path, str, str]]) -> None:
        """Add photos (path, licence, source) that are not there yet; a licence or source given again replaces."""
        with self._write() as db:
            db.executemany(
                "INSERT INTO photos (path, licence, source) VALUES (?1, ?2, ?3) ON CONFLICT (path) DO UPDATE SET "
                "licence = CASE WHEN ?2 = '' THEN licence ELSE ?2 END, "
                "source = CASE WHEN ?3 = '' THEN source ELSE ?3 END",
                ((str(path), licence, source) for path, licence, source in photos),
            )

    def unfinished(self) -> list[tuple[int, Path, bool]]:
        """Photos that still need work, in the order they were added: id, path, whether networks have looked."""
        rows = self._rows("SELECT id, path, state FROM photos WHERE state IN ('new', 'seen') ORDER BY id")
        with self._telling():
            return [(row["id"], Path(row["path"]), row["state"] == "seen") for row in rows]

    def retry_failed(self) -> None:
        """Failed photos become new ones."""
        with self._write() as db:
            db.execute("UPDATE photos SET state = 'new', note = '' WHERE state = 'failed'")

    def claim_content(self, photo: int, sha256: str) -> bool:
        """Remember a photo's content; False (and the state `same`) where another photo has it already."""
        with self._write() as db:
            twin = db.execute(
                "SELECT path FROM photos WHERE sha256 = ? AND id != ? AND state != 'same' LIMIT 1", (sha256, photo)
            ).fetchone()
            if twin is None:
                db.execute("UPDATE photos SET sha256 = ? WHERE id = ?", (sha256, photo))
                return True
            note = f"same bytes as {twin['path']}"
            db.execute("UPDATE photos SET state = 'same', note = ?, sha256 = ? WHERE id = ?", (note, sha256, photo))
            return False

    def save_seen(self, photo: int, size_px: tuple[int, int], seen: Seen, thumbs: Sequence[bytes]) -> None:
        """Keep what the networks saw in a photo."""
        with self._write() as db:
            state = "seen" if len(seen) else "empty"
            db.execute(
                "UPDATE photos SET state = ?, width = ?, height = ? WHERE id = ? AND state = 'new'",
                (state, *size_px, photo),
            )
            for rank, thumb in enumerate(thumbs):
                person = db.execute("INSERT INTO people (photo, rank) VALUES (?, ?)", (photo, rank)).lastrowid
                blob = to_bytes(seen_tensors(seen[rank : rank + 1]))
                db.execute("INSERT INTO blobs (person, seen, thumb) VALUES (?, ?, ?)", (person, blob, thumb))

    def save_failed(self, photo: int, note: str) -> None:
        """Keep why a photo came to nothing, instead of what was seen in it."""
        with self._write() as db:
            mine = "(SELECT id FROM people WHERE photo = ?)"
            db.execute(f"DELETE FROM blobs WHERE person IN {mine}", (photo,))
            db.execute("DELETE FROM people WHERE photo = ?", (photo,))
            db.execute("UPDATE photos SET state = 'failed', note = ?, sha256 = NULL WHERE id = ?", (note, photo))

    def save_fits(self, photos: Sequence[tuple[int, int]], judged: Judged) -> None:
        """Keep the fits of photos (id, number of people each); `judged` holds their people one after the other."""
        row = 0
        with self._write() as db:
            for photo, count in photos:
                for rank in range(count):
                    one = judged.one(row)
                    columns = ", ".join(f"{name} = ?" for name in _JUDGED)
                    db.execute(
                        f"UPDATE people SET fitted = 1, {columns} WHERE photo = ? AND rank = ?",
                        (*_judged_values(one), photo, rank),
                    )
                    db.execute(
                        "UPDATE blobs SET fit = ? WHERE person = (SELECT id FROM people WHERE photo = ? AND rank = ?)",
                        (to_bytes(params_tensors(one.params)), photo, rank),
                    )
                    row += 1
                db.execute("UPDATE photos SET state = 'fitted' WHERE id = ? AND state = 'seen'", (photo,))

    def seen_in(self, photo: int) -> Seen:
        """What the networks saw in a photo that has people."""
        query = "SELECT seen FROM people JOIN blobs ON person = people.id WHERE photo = ? ORDER BY rank"
        rows = self._rows(query, (photo,))
        with self._telling():
            return join([seen_from_tensors(from_bytes(row["seen"])) for row in rows])

    # looking

    def photo(self, photo: int) -> PhotoRow:
        """One photo; KeyError if there is none."""
        rows = self._rows("SELECT * FROM photos WHERE id = ?", (photo,))
        if not rows:
            raise KeyError(photo)
        with self._telling():
            return _photo(rows[0])

    def photos_in_state(self, state: str, limit: int = 1000) -> list[PhotoRow]:
        """Photos in a state, in the order they were added."""
        rows = self._rows("SELECT * FROM photos WHERE state = ? ORDER BY id LIMIT ?", (state, limit))
        with self._telling():
            return [_photo(row) for row in rows]

    def person(self, person: int) -> PersonRow:
        """One fitted person; KeyError if there is none."""
        rows = self._rows("SELECT * FROM people WHERE id = ? AND fitted = 1", (person,))
        if not rows:
            raise KeyError(person)
        with self._telling():
            return _person(rows[0])

    def people_of(self, photo: int) -> list[PersonRow]:
        """The fitted people of a photo, in order."""
        rows = self._rows("SELECT * FROM people WHERE photo = ? AND fitted = 1 ORDER BY rank", (photo,))
        with self._telling():
            return [_person(row) for row in rows]

    def people(self, decision: Decision | None, order: Order, offset: int = 0, limit: int = 100) -> list[PersonRow]:
        """A page of the queue; `decision` None: all."""
        where = "" if decision is None else "AND decision = ?"
        query = f"SELECT * FROM people WHERE fitted = 1 {where} ORDER BY {ORDERS[order]} LIMIT ? OFFSET ?"
        values = (limit, offset) if decision is None else (decision, limit, offset)
        rows = self._rows(query, values)
        with self._telling():
            return [_person(row) for row in rows]

    def chosen(self, min_quality: float | None) -> Iterator[tuple[PhotoRow, list[PersonRow]]]:
        """Photos with their accepted people, and with open ones of at least this quality unless it is None."""
        limit = math.inf if min_quality is None else min_quality
        rows = self._rows(
            "SELECT id, photo FROM people WHERE fitted = 1 AND (decision = 'accepted' OR (decision = 'open' AND "
            "quality >= ?)) ORDER BY photo, rank",
            (limit,),
        )
        for photo, group in itertools.groupby(rows, key=lambda row: int(row["photo"])):
            yield self.photo(photo), [self.person(row["id"]) for row in group]

    def body(self, person: int) -> tuple[Seen, BodyParams]:
        """What was seen of a fitted person, and the fit."""
        rows = self._rows("SELECT seen, fit FROM blobs WHERE person = ? AND fit IS NOT NULL", (person,))
        if not rows:
            raise KeyError(person)
        with self._telling():
            return seen_from_tensors(from_bytes(rows[0]["seen"])), params_from_tensors(from_bytes(rows[0]["fit"]))

    def thumb(self, person: int) -> bytes:
        """A small JPEG; KeyError if there is none."""
        rows = self._rows("SELECT thumb FROM blobs WHERE person = ?", (person,))
        if not rows or rows[0]["thumb"] is None:
            raise KeyError(person)
        with self._telling():
            return bytes(rows[0]["thumb"])

    def changes(self, person: int) -> list[Change]:
        """What reviewers did to a person, newest first."""
        rows = self._rows("SELECT * FROM changes WHERE person = ? ORDER BY id DESC", (person,))
        with self._telling():
            return [
                Change(float(row["at"]), _text(row["reviewer"]), _text(row["action"]), bool(row["undone"]))
                for row in rows
            ]

    # reviewing

    def decide(self, person: int, version: int, decision: Decision, reviewer: str) -> PersonRow:
        """Accept, reject or open a person. Raises ConflictError, KeyError."""
        action = f"{'reopened' if decision == 'open' else decision} it"
        with self._write() as db:
            self._log(db, person, version, reviewer, action)
            db.execute(
                "UPDATE people SET decision = ?, reviewer = ?, changed = ?, version = version + 1 WHERE id = ?",
                (decision, reviewer, time.time(), person),
            )
        return self.person(person)

    def refit(self, person: int, version: int, seen: Seen, judged: Judged, reviewer: str, action: str) -> PersonRow:
        """Replace a person's points and fit; an accepted or rejected person is open again. Raises as `decide`."""
        with self._write() as db:
            old = db.execute("SELECT seen, fit FROM blobs WHERE person = ?", (person,)).fetchone()
            self._log(db, person, version, reviewer, action, old["seen"], old["fit"])
            columns = ", ".join(f"{name} = ?" for name in _JUDGED)
            db.execute(
                f"UPDATE people SET decision = 'open', reviewer = ?, changed = ?, version = version + 1, {columns} "
                "WHERE id = ?",
                (reviewer, time.time(), *_judged_values(judged), person),
            )
            db.execute(
                "UPDATE blobs SET seen = ?, fit = ? WHERE person = ?",
                (to_bytes(seen_tensors(seen)), to_bytes(params_tensors(judged.params)), person),
            )
        return self.person(person)

    def undo(self, person: int, version: int, reviewer: str) -> PersonRow:
        """Take back the last change that is not taken back yet; nothing to undo changes nothing. Raises as `decide`."""
        with self._write() as db:
            self._check_version(db, person, version)
            last = db.execute(
                "SELECT * FROM changes WHERE person = ? AND undone = 0 ORDER BY id DESC LIMIT 1", (person,)
            ).fetchone()
            if last is not None:
                with self._telling():
                    before = {name: value for name, value in json.loads(last["before"]).items() if name in _CHANGEABLE}
                columns = ", ".join(f"{name} = ?" for name in before)
                db.execute(
                    f"UPDATE people SET {columns}, version = version + 1 WHERE id = ?", (*before.values(), person)
                )
                if last["seen"] is not None:
                    db.execute(
                        "UPDATE blobs SET seen = ?, fit = ? WHERE person = ?", (last["seen"], last["fit"], person)
                    )
                db.execute("UPDATE changes SET undone = 1 WHERE id = ?", (last["id"],))
        return self.person(person)

    def look_at(self, person: int, reviewer: str) -> str | None:
        """Say that a reviewer looks at a person, and at no other; returns who else does, if anybody."""
        now = time.time()
        with self._write() as db:
            other = db.execute(
                "SELECT reviewer FROM leases WHERE person = ? AND reviewer != ? AND until > ?", (person, reviewer, now)
            ).fetchone()
            if other is not None:
                return str(other["reviewer"])
            db.execute("DELETE FROM leases WHERE reviewer = ? OR until < ?", (reviewer, now))
            db.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", (person, reviewer, now + LEASE_SECONDS))
        return None

    def next_open(self, order: Order, reviewer: str, not_these: Sequence[int] = ()) -> int | None:
        """The next open person that nobody else looks at; None when all is done."""
        skipped = ", ".join("?" * len(not_these))
        rows = self._rows(
            f"SELECT id FROM people WHERE fitted = 1 AND decision = 'open' AND id NOT IN ({skipped}) AND id NOT IN "
            f"(SELECT person FROM leases WHERE reviewer != ? AND until > ?) ORDER BY {ORDERS[order]} LIMIT 1",
            (*not_these, reviewer, time.time()),
        )
        return rows[0]["id"] if rows else None

    def _check_version(self, db: sqlite3.Connection, person: int, version: int) -> sqlite3.Row:
        row = db.execute("SELECT * FROM people WHERE id = ? AND fitted = 1", (person,)).fetchone()
        if row is None:
            raise KeyError(person)
        if row["version"] != version:
            raise ConflictError(
                f"{row['reviewer'] or 'somebody'} changed person {person} meanwhile (version {row['version']}, you saw "
                f"{version}). Look again, then decide."
            )
        return row

    def _log(
        self,
        db: sqlite3.Connection,
        person: int,
        version: int,
        reviewer: str,
        action: str,
        seen: bytes | None = None,
        fit: bytes | None = None,
    ) -> None:
        """Remember how it was before a change; ConflictError where it is no longer as the reviewer saw it."""
        row = self._check_version(db, person, version)
        before = json.dumps({name: row[name] for name in _CHANGEABLE})
        db.execute(
            "INSERT INTO changes (person, at, reviewer, action, before, seen, fit) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (person, time.time(), reviewer, action, before, seen, fit),
        )


@contextmanager
def only_one_run(folder: Path) -> Iterator[None]:
    """Hold the right to fill a set; SetError while another run has it. The system takes it back when a run is killed.

    A lock of SQLite's on an empty database: it works on every system that SQLite works on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = sqlite3.connect(folder / RUNNING, timeout=0, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        raise SetError(
            f"another `limner curate` fills {folder} right now ({error}). Wait for it, or give another --out."
        ) from error
    try:
        yield
    finally:
        lock.close()


def _own_error(folder: Path, error: sqlite3.DatabaseError) -> LimnerError:
    """What SQLite says, as an error with its cure: not all of it is damage."""
    cures = {
        sqlite3.SQLITE_BUSY: "Another program holds it: end that, then try again.",
        sqlite3.SQLITE_LOCKED: "Another program holds it: end that, then try again.",
        sqlite3.SQLITE_FULL: "The disk is full: free some space.",
        sqlite3.SQLITE_READONLY: "It may not be written: change its permissions.",
        sqlite3.SQLITE_CANTOPEN: "It cannot be opened: look at the permissions of the folder.",
    }
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in cures:
        return OutputError(f"cannot make a set in {folder}, or use it ({error}). {cures[code]}")
    return SetError(f"{folder / FILE} is damaged ({error}). {CURE}")


def _judged_values(one: Judged) -> tuple[float, str, str, str]:
    """The columns _JUDGED of a Judged of length 1."""
    scores = {name: round(value, 6) for name, v in one.scores.items() if math.isfinite(value := float(v[0]))}
    return float(one.quality[0]), one.verdict[0], json.dumps(one.flags[0]), json.dumps(scores)


def _photo(row: sqlite3.Row) -> PhotoRow:
    size = None if row["width"] is None else (int(row["width"]), int(row["height"]))
    state, note, licence, source = (_text(row[name]) for name in ("state", "note", "licence", "source"))
    sha256 = None if row["sha256"] is None else _text(row["sha256"])
    return PhotoRow(int(row["id"]), Path(row["path"]), state, note, sha256, size, licence, source)


def _text(value: object) -> str:
    """A text of the file; SQLite keeps anything in any column."""
    if not isinstance(value, str):
        raise RefusedError(f"{value!r:.50} stands in the place of a text")
    return value


def _person(row: sqlite3.Row) -> PersonRow:
    if row["decision"] not in DECISIONS:
        raise RefusedError(f"a person is {row['decision']!r:.50}")
    scores = {str(name): float(value) for name, value in json.loads(row["scores"]).items()}
    return PersonRow(
        id=int(row["id"]),
        photo=int(row["photo"]),
        rank=int(row["rank"]),
        version=int(row["version"]),
        decision=row["decision"],
        reviewer=_text(row["reviewer"]),
        changed=float(row["changed"]),
        quality=float(row["quality"]),
        verdict=_text(row["verdict"]),
        flags=tuple(_text(flag) for flag in json.loads(row["flags"])),
        scores=scores,
    )
