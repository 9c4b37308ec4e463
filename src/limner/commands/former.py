"""Command lines of limner 0.1 that have new names: what to type now. They answer for one version."""

import shlex

SHARED = ("help", "out", "seed")
KEPT = {
    "render crops": (*SHARED, "shards", "poses", "hdri", "part", "pictures", "depth"),
    "render photos": (*SHARED, "shards", "poses", "hdri"),
    "render again": ("help", "out", "part", "depth"),
    "train regressor": (*SHARED, "evidence", "poses", "preset", "real-2d"),
    "train detector": (*SHARED, "photos", "weights", "tune-backbone", "steps", "preset"),
    "train joint": (*SHARED, "evidence", "weights", "steps", "preset"),
    "train backbone": (*SHARED, "evidence", "init", "steps", "preset"),
}
"""Options that old command lines bring with them; the others had no effect."""


def renamed(words: list[str]) -> str | None:
    """The command line that does what an old one did, or None for one that is not old."""
    if words[:1] == ["harvest"]:
        given = _options(words[1:])
        part = given.pop("part", "all").replace("hands", "hand")
        if part == "person":
            return _line("render photos", [], given)
        if part != "all":
            given["part"] = part
        if "again" in given:
            return _line("render again", [given["again"]], given)
        if "crops" in given:
            given["pictures"] = given["crops"]
        return _line("render crops", [], given)
    if words[:1] != ["train"] or words[1:2] not in [
        [old] for old in ("body", "hand", "hands", "face", "all", "person", "whole")
    ]:
        return None
    part, given = words[1].replace("hands", "hand"), _options(words[2:])
    if part == "whole":
        return _line("train joint", [], given)
    if part == "person":
        if "evidence" in given:
            given["photos"] = given["evidence"]
        if given.get("init") == "tuned":
            given["tune-backbone"] = ""
        return _line("train detector", [], given)
    if given.get("backbone"):
        return _line("train backbone", [part, given["backbone"]], given)
    return _line("train regressor", [part], given)


def _options(words: list[str]) -> dict[str, str]:
    """Option -> value, "" of switches."""
    given: dict[str, str] = {}
    name = ""
    for word in words:
        if word.startswith("-"):
            name, _, value = word.lstrip("-").partition("=")
            name = {"h": "help"}.get(name, name.replace("_", "-"))
            given[name] = value
        elif name:
            given[name] = word
    return given


def _line(command: str, positional: list[str], given: dict[str, str]) -> str:
    options = [word for name in KEPT[command] if name in given for word in (f"--{name}", given[name]) if word]
    return shlex.join(["limner", *command.split(), *positional, *options])
