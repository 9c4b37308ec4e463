"""`limner weights`: the official checkpoint converted once."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from limner.errors import shown


def weights(
    action: Annotated[Literal["convert"], tyro.conf.Positional],
    checkpoint: Annotated[Path, tyro.conf.Positional],
    out: Annotated[Path, tyro.conf.Positional],
    /,
    body_model: Path | None = None,
    onnx: bool = False,
) -> int:
    """Convert the official ExPose checkpoint once, for faster loading: see docs/official.md.

    Args:
        action: convert.
        checkpoint: model.ckpt, or the folder of the official download.
        out: the file to write, ending in .safetensors; give it to `estimate --weights expose:FILE`.
        body_model: your SMPLX_NEUTRAL.npz, where the checkpoint lacks something of the body model.
        onnx: also write the networks for `estimate --runtime onnx` (needs the extra `onnx`).
    """
    from limner.networks.official_load import convert_official

    written = convert_official(checkpoint, out, body_model, onnx)
    print(shown(f"{written.resolve()} ({written.stat().st_size / 1e6:.0f} MB): use it with --weights expose:{written}"))
    return 0
