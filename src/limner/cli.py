"""The `limner` command: the table of its sub-commands, and how errors end."""

import io
import sys
from collections.abc import Callable
from typing import Annotated, Union

import tyro

from limner.commands import render, train
from limner.commands.curate import curate
from limner.commands.curate_export import curate_export
from limner.commands.estimate import estimate
from limner.commands.evaluate import evaluate
from limner.commands.experiments import experiments
from limner.commands.expose import expose
from limner.commands.fit import fit
from limner.commands.former import renamed
from limner.commands.model import model
from limner.commands.params import params
from limner.commands.review import review
from limner.commands.weights import weights
from limner.errors import LimnerError, shown

Command = Callable[..., int]
COMMANDS: dict[str, Command] = {
    "estimate": estimate,
    "expose": expose,
    "fit": fit,
    "model": model,
    "weights": weights,
    "params": params,
    "evaluate": evaluate,
    "experiments": experiments,
    "render crops": render.crops,
    "render photos": render.photos,
    "render again": render.again,
    "train regressor": train.regressor,
    "train detector": train.detector,
    "train joint": train.joint,
    "train depth": train.depth,
    "train backbone": train.backbone,
    "curate": curate,
    "review": review,
    "curate-export": curate_export,
}
GROUPS = {"render": render.__doc__, "train": train.__doc__}
"""First words that take a second one, and their help."""


def main() -> None:
    """The `limner` command; user errors end with one clear message and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names that the terminal has no letters for
    try:
        code = _run(sys.argv[1:])
    except LimnerError as error:
        print(f"limner: {shown(str(error))}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _run(words: list[str]) -> int:
    """What the command that is asked for returns. Raises LimnerError, also for a command that has a new name."""
    now = renamed(words)
    if now:
        raise LimnerError(f"`limner {' '.join(words)}` has a new name. Type: {now}")
    table = {name.split()[0]: command for name, command in COMMANDS.items()} | {name: _group(name) for name in GROUPS}
    return tyro.extras.subcommand_cli_from_dict(
        table, prog="limner", description="One photo in, an expressive 3D person out.", args=words
    )


def _group(name: str) -> Command:
    """A first word as a command: it takes one of the commands that begin with it, and returns what that returned."""
    inner = {full.split()[1]: command for full, command in COMMANDS.items() if full.startswith(f"{name} ")}
    kinds = [
        Annotated[int, tyro.conf.subcommand(last, constructor=command, prefix_name=False)]
        for last, command in inner.items()
    ]

    def group(code: int) -> int:
        return code

    group.__doc__ = GROUPS[name]
    group.__annotations__["code"] = Annotated[Union[tuple(kinds)], tyro.conf.arg(name="")]  # noqa: UP007
    return group
