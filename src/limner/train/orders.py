"""What the commands of rendering and training are told, loaded without torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Preset = Literal["limner", "smoke"]


@dataclass(frozen=True)
class Rendering:
    """What is rendered, and whereto."""

    out: Path
    """Folder of the shards; existing ones are kept, so a run that was cut off goes on."""
    shards: int = 40
    """How many: 128 people each, or 32 photos."""
    seed: int = 7
    """Other seeds give other people; the same seed shows the same ones in every part."""
    poses: Path | None = None
    """Captured key poses (.npz); without, everyday poses only."""
    hdri: Path | None = None
    """Folder of panoramas for light and backgrounds; without, plain studios."""


@dataclass(frozen=True)
class Training:
    """How something is trained, and whereto."""

    out: Path = Path("runs/limner")
    """Folder of weights, checkpoints and logs; usable with `limner estimate --weights`."""
    steps: int | None = None
    """Instead of the preset's."""
    preset: Preset = "limner"
    """limner (the shipped weights' recipe), or smoke (a minute, to see that it learns)."""
    seed: int = 0
    """Seed of everything random."""
