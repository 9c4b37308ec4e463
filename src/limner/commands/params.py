"""`limner params`: one person's parameters in another format."""

from pathlib import Path
from typing import Annotated

import tyro

from limner.errors import shown


def params(
    path: Annotated[Path, tyro.conf.Positional],
    out: Annotated[Path, tyro.conf.Positional],
    /,
    body_model: Path | None = None,
    focal_px: float | None = None,
) -> int:
    """Convert one person's parameters: the official ExPose demo's file to limner's (and AMASS's), or back.

    Args:
        path: <name>_params.npz of the demo or of `limner expose`, or limner's params.npz.
        out: the file to write, in the other of the two formats.
        body_model: the SMPL-X file that the parameters belong to, for the way to the demo's format.
        focal_px: put the person into a photo's camera of this focal length, for the way from the demo's format.
    """
    from limner.expose.convert_params import convert_params

    print(shown(f"{out}: {convert_params(path, out, body_model, focal_px)}"))
    return 0
