"""What the documents promise to run: their code blocks, the command lines in them, and commands named in the text."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Words:
    """A command line as the shell would hand it over, and where it stands."""

    page: str
    line: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {self.line}"


def name_of(page: Path) -> str:
    """README.md, docs/results.md, ..."""
    return page.relative_to(ROOT).as_posix()


def blocks(language: str) -> list[tuple[str, str]]:
    """(page, code) of every block of a language, in order; "" is a block of none."""
    found = [(name_of(page), match) for page in PAGES for match in FENCE.finditer(page.read_text())]
    return [(page, re.sub(rf"^{match[1]}", "", match[3], flags=re.M)) for page, match in found if match[2] == language]


def commands(program: str) -> list[Words]:
    """Every line of a block that calls a program; an argument in [brackets] makes a second one, without it."""
    shells: dict[str, str] = {}
    for language in ("", "sh", "bash", "console", "shell"):
        for page, code in blocks(language):
            shells[page] = shells.get(page, "") + code
    return [found for page, code in shells.items() for found in _commands(page, code, program)]


def _commands(page: str, code: str, program: str) -> Iterator[Words]:
    variables: dict[str, str] = {}
    for line in code.replace("\\\n", " ").splitlines():
        line = line.strip().removeprefix("$ ")
        if match := re.fullmatch(r"(\w+)=(\"[^\"]*\"|\S+)", line):
            variables[match[1]] = match[2].strip('"')
        if not re.search(rf"(^|[;&|] *){program} ", line):
            continue
        for name, value in variables.items():
            line = line.replace(f"${name}", value)
        for given in dict.fromkeys((re.sub(r"\[|\]", "", line), re.sub(r"\[[^\]]*\]", "", line))):
            for part in re.split(r" *(?:;|&&) *", " ".join(_split(given))):
                if part.startswith(f"{program} "):
                    yield Words(page, part, tuple(shlex.split(part)[1:]))


def _split(line: str) -> list[str]:
    """Quoted words, without the comment."""
    shell = shlex.shlex(line, posix=False, punctuation_chars=";&")
    shell.whitespace_split, shell.commenters = True, "#"
    return list(shell)


def spans() -> list[tuple[str, str]]:
    """(page, text) of all `code` in running text."""
    return [
        (name_of(page), span) for page in PAGES for span in re.findall(r"`([^`\n]+)`", FENCE.sub("", page.read_text()))
    ]
