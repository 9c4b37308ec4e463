"""Layouts of public data sets: is one where it should be, and if not: where to get it, and how should it look."""

from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.errors import DataSetError, LimnerError
from limner.reading.json_file import MOST_DATA_BYTES, read_json
from limner.reading.told import reason


@dataclass(frozen=True)
class Layout:
    """How a data set is handed out.

    name, url: what it is called and where its authors give it away; licence: what they allow, in a sentence;
    tree: the files that a reader expects, one a line, as they lie after unpacking.
    """

    name: str
    url: str
    licence: str
    tree: str

    def error(self, folder: Path, what: str) -> DataSetError:
        """An error that says what is wrong in `folder` and how to mend it."""
        tree = "\n".join(f"    {line}" for line in self.tree.strip("\n").split("\n"))
        return DataSetError(
            f"{folder}: {what}.\n"
            f"Expected {self.name} as its authors hand it out:\n{tree}\n"
            f"Get it from {self.url} (licence: {self.licence})."
        )

    def need_folder(self, folder: Path) -> None:
        """Raise unless the data set's folder exists."""
        if not folder.is_dir():
            raise self.error(folder, "it is a file" if folder.exists() else "there is no such folder")

    def need(self, folder: Path, *names: str) -> None:
        """Raise unless all named files lie in `folder`."""
        self.need_folder(folder)
        missing = [name for name in names if not (folder / name).exists()]
        if missing:
            shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            raise self.error(folder, f"{len(missing)} of {len(names)} needed files are missing: {shown}")

    def some(self, folder: Path, pattern: str) -> list[Path]:
        """All files that match a pattern, sorted; raises when there is none."""
        self.need_folder(folder)
        found = sorted(folder.glob(pattern))
        if not found:
            raise self.error(folder, f"nothing in it is called {pattern}")
        return found

    def need_keys(self, file: Path, content: Container[str], *names: str) -> None:
        """Raise unless a file's content has all of these."""
        lacking = [name for name in names if name not in content]
        if lacking:
            raise self.unreadable(file, f"it lacks {', '.join(lacking)}")

    def unreadable(self, file: Path, why: object) -> DataSetError:
        """An error for one file that is damaged, cut off, or holds something else."""
        return self.error(file, f"this file cannot be used ({why}); it may be cut off: copy or download it again")

    @contextmanager
    def reading(self, file: Path) -> Iterator[None]:
        """Turn what a file of another form or half a file makes the reading code raise into `unreadable`."""
        try:
            yield
        except LimnerError:
            raise
        except Exception as error:  # noqa: BLE001 a damaged file can raise nearly anything
            raise self.unreadable(file, reason(error)) from error

    def read_json(self, file: Path) -> dict[str, Any]:
        """A JSON file that holds a dict; raises `unreadable` otherwise."""
        with self.reading(file):
            content = read_json(file, MOST_DATA_BYTES)
        if not isinstance(content, dict):
            raise self.unreadable(file, f"it holds a {type(content).__name__}, expected a dict")
        return content
