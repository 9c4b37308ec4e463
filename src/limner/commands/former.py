"""Command lines of limner 0.1 that have new names: what to type now. They answer for one version."""

import shlex

RENDERED = ("help", "out", "shards", "seed", "poses", "hdri")
TRAINED = ("help", "evidence", "out", "preset", "seed")
KEPT = {
    "render crops": (*RENDERED, "part", "pictures", "depth"),
    "render photos": RENDERED,
    "render again": ("help", "out", "part", "depth"),
    "train regressor": (*TRAINED, "poses", "real-2d"),
    "train detector": (*TRAINED, "photos", "weights", "tune-backbone", "steps"),
    "train joint": (*TRAINED, "weights", "steps"),
    "train backbone": (*TRAINED, "init", "steps"),
}
"""Options that an old command line brings with it; the others had no effect."""


def renamed(words: list[str]) -> str | None:
    """The command line that does what an old one did, or None for one that is not old."""
    old, positional = words[:1] == ["harvest"], []
    part = "" if old else words[1].replace("hands", "hand") if len(words) > 1 else ""
    if not old and (words[:1] != ["train"] or part not in ("body", "hand", "face", "all", "person", "whole")):
        return None
    given = _options(words[1:] if old else words[2:])
    match given:
        case {"part": "person"} if old:
            new = "render photos"
        case {"again": folder} if old:
            new, positional = "render again", [folder]
        case _ if old:
            new = "render crops"
        case _ if part in ("person", "whole"):
            new = "train detector" if part == "person" else "train joint"
        case {"backbone": str(name)}:
            new, positional = "train backbone", [part, name]
        case _:
            new, positional = "train regressor", [part]
    if new == "train detector":
        given |= {"photos": given.pop("evidence")} if "evidence" in given else {}
        given |= {"tune-backbone": ""} if given.get("init") == "tuned" else {}
    given |= {"pictures": ""} if "crops" in given else {}
    options = [word for name in KEPT[new] if name in given for word in (f"--{name}", given[name]) if word]
    return shlex.join(["limner", *new.split(), *positional, *options])


def _options(words: list[str]) -> dict[str, str]:
    """Option -> value, "" of switches."""
    given: dict[str, str] = {}
    name = ""
    for word in words:
        if word.startswith("-"):
            name, _, value = word.lstrip("-").partition("=")
            name = "help" if name == "h" else name.replace("_", "-")
            given[name] = value
        elif name:
            given[name] = word.replace("hands", "hand") if name == "part" else word
    return given
