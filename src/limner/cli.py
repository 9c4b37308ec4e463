"""The `limner` command: the table of its sub-commands, and how errors end."""

import io
import sys
from collections.abc import Callable

import tyro

from limner.commands.curate import curate
from limner.commands.curate_export import curate_export
from limner.commands.estimate import estimate
from limner.commands.evaluate import evaluate
from limner.commands.experiments import experiments
from limner.commands.expose import expose
from limner.commands.fit import fit
from limner.commands.model import model
from limner.commands.params import params
from limner.commands.render import harvest
from limner.commands.review import review
from limner.commands.train import train
from limner.commands.weights import weights
from limner.errors import LimnerError, shown

COMMANDS: dict[str, Callable[..., int]] = {
    "estimate": estimate,
    "expose": expose,
    "fit": fit,
    "model": model,
    "weights": weights,
    "params": params,
    "evaluate": evaluate,
    "experiments": experiments,
    "harvest": harvest,
    "train": train,
    "curate": curate,
    "review": review,
    "curate-export": curate_export,
}


def main() -> None:
    """The `limner` command; user errors end with one clear message and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names that the terminal has no letters for
    try:
        code = tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="limner", description="One photo in, an expressive 3D person out."
        )
    except LimnerError as error:
        print(f"limner: {shown(str(error))}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
