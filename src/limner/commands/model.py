"""`limner model`: what a body-model file holds."""

from pathlib import Path


def model(body_model: Path | None = None, out: Path = Path("out/body_model.png")) -> int:
    """Print what a body-model file holds and draw it.

    Args:
        body_model: an SMPL-X file; default: the embedded body.
        out: picture of the mean body, its shape directions and expressions.
    """
    from limner.model_report import report_model

    report_model(body_model, out)
    return 0
