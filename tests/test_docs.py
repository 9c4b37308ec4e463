"""The documents hang together: links lead somewhere, the index names every page, what they name to be run exists."""

import functools
import re
import shlex
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from limner.cli import COMMANDS, GROUPS, main
from tests.docs_lines import PAGES, ROOT, commands, name_of, spans


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path):
    links = re.findall(r"(?<!!)\[[^\]]*\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith(("http://", "https://"))]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_the_index_names_every_page():
    index = (ROOT / "docs" / "README.md").read_text()
    top = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    decisions = {f"decisions/{page.name}" for page in (ROOT / "docs" / "decisions").glob("*.md")}
    assert [page for page in sorted(top | decisions) if f"({page})" not in index] == []


# ------------------------------------------------------------------------------------------------- what can be run
def options_of(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """All options that `limner COMMAND --help` names."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["limner", *command.split(), "--help"])
    with pytest.raises(SystemExit):
        main()
    return set(re.findall(r"--[a-z0-9][a-z0-9-]*", capsys.readouterr().out))


def command_of(words: Sequence[str]) -> str:
    """Which of the commands a line begins with."""
    return max(
        (name for name in COMMANDS if list(words[: len(name.split())]) == name.split()), key=len, default=words[0]
    )


def options_in(text: str) -> set[str]:
    """Options as limner spells them; other programs' `--with_underscores` are none."""
    return set(re.findall(r"(?<![\w-])--[a-z0-9][a-z0-9-]*(?!\w)", text))


def test_every_command_line_is_understood(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    asked: list[str] = []
    for name, command in list(COMMANDS.items()):
        told = functools.wraps(command)(lambda *given, name=name, **more: asked.append(name) or 0)
        monkeypatch.setitem(COMMANDS, name, told)
    lines = commands("limner")
    assert len({line.words[0] for line in lines}) >= 10
    refused = []
    for line in lines:
        asked.clear()
        monkeypatch.setattr(sys, "argv", ["limner", *line.words])
        with pytest.raises(SystemExit) as end:
            main()
        if end.value.code or asked != [command_of(line.words)]:
            refused.append(f"{line}\n{capsys.readouterr().err}")
    assert refused == []


def test_every_command_has_a_line_in_the_documents():
    assert COMMANDS.keys() - {command_of(line.words) for line in commands("limner")} == set()


def test_every_command_and_option_in_the_text_exists(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    known = {name: options_of(name, monkeypatch, capsys) for name in [*COMMANDS, *GROUPS]}
    assert "--body-model" in known["estimate"] and "--no-refine" in known["estimate"]
    scripts = {f"{path.parent.name}/{path.name}": path for path in [*ROOT.glob("tools/*.py"), *ROOT.glob("bench/*.py")]}
    others = {"--help", "--extra-index-url"}
    for path in scripts.values():  # argparse names options as they are typed, tyro by parameters
        text = path.read_text()
        others |= options_in(text) | {f"--{name.replace('_', '-')}" for name in re.findall(r"(\w+): ", text)}
    odd = []
    for page, span in spans():
        words = span.split()
        if span.startswith("limner needs Python"):  # a message
            continue
        if words[0] == "limner" and len(words) > 1 and re.fullmatch("[a-z-]+", words[1]) and words[1] != "--help":
            name = command_of(words[1:])
            missing = options_in(span) - known[name] if name in known else {name}
        elif words[0] in ("python", "python3") and len(words) > 1 and words[1].endswith(".py"):
            missing = {words[1]} - scripts.keys() or options_in(span) - others
        else:
            missing = options_in(span) - others - set().union(*known.values()) if span.startswith("--") else set()
        odd += [f"{page}: `{span}`: there is no {name}" for name in sorted(missing)]
    assert odd == []


def test_make_targets_and_extras_exist():
    makefile = (ROOT / "Makefile").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    lines = [str(line) for program in ("make", "pip") for line in commands(program)]
    lines += [f"{page}: {span}" for page, span in spans() if span.startswith(("make ", "pip install "))]
    odd = []
    for line in lines:
        program, *words = shlex.split(line.split(": ", 1)[1])
        if program == "make":
            targets = [word for word in words if "=" not in word]
            assert targets, line
            odd += [line for name in targets if not re.search(rf"^{name}:", makefile, re.M)]
            names = [word.split("=")[0] for word in words if "=" in word]
            odd += [line for name in names if not re.search(rf"^{name} \?=", makefile, re.M)]
        for group in re.findall(r"\[([\w,-]+)\]", line):
            odd += [line for extra in group.split(",") if extra not in extras]
    assert len(lines) > 8 and odd == []
