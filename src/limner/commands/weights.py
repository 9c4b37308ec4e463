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
        out: the file to write, ending in .safetensors; give it to `limner expose --weights FILE`.
        body_model: your SMPLX_NEUTRAL.npz, where the checkpoint lacks something of the body model.
        onnx: also write the networks for `limner expose --runtime onnx` (needs the extra `onnx`).
    """
    from limner.expose.load import convert_checkpoint

    written = convert_checkpoint(checkpoint, out, body_model, onnx)
    size = f"{written.stat().st_size / 1e6:.0f} MB"
    print(shown(f"{written.resolve()} ({size}): use it with limner expose --weights {written}"))
    return 0
