"""`limner review`: the page on which fits are reviewed."""

from pathlib import Path
from typing import Annotated

import tyro


def review(
    folder: Annotated[Path, tyro.conf.Positional],
    /,
    reviewer: str = "",
    port: int = 8765,
    host: str = "127.0.0.1",
    body_model: Path | None = None,
    vposer: Path | None = None,
) -> int:
    """Review a curated set in the browser: accept, reject, move points and fit anew.

    Args:
        folder: the set, made by `limner curate`.
        reviewer: your name; every decision is kept with it.
        port: of the page, http://localhost:PORT.
        host: 0.0.0.0 lets other machines in; they need the token in the address that is printed.
        body_model: where the body of the set lies now, if not where it was.
        vposer: where the VPoser of the set lies now, if not where it was.
    """
    from limner.curate.review import review as serve

    return serve(folder, reviewer, port, host, body_model, vposer)
