"""An estimator that finds nobody, and fails as the names of photos say: for real processes."""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from limner.body.model import BodyModel
from limner.errors import LimnerError
from limner.geometry.camera import photo_camera
from limner.io.image import Photo
from limner.pipeline.people import People, nobody
from limner.scale.photos import Recipe


@dataclass(frozen=True)
class Nobody(Recipe[People]):
    """An estimator's recipe: nobody is in any photo; one called *deadly* kills the process, *broken* is a bug, *bad* an
    error. log: a line a photo, with the process and how many photos are together."""

    log: Path
    seconds: float = 0.0

    def facts(self) -> Mapping[str, Any]:
        return {"weights": "nobody"}

    def load(self) -> "FindsNobody":
        return FindsNobody(self, BodyModel.load())


@dataclass(frozen=True)
class FindsNobody:
    """See `Nobody`."""

    recipe: Nobody
    body_model: BodyModel
    note = "nobody is ever found"

    def together(self, photos: Sequence[Photo], boxes: Sequence[Tensor | None], focal_px: float | None) -> list[People]:
        time.sleep(self.recipe.seconds)
        names = [photo.path.name for photo in photos]
        with open(self.recipe.log, "a", encoding="utf-8") as file:
            file.writelines(f"{os.getpid()} {len(names)} {name}\n" for name in names)
        for name in names:
            if "deadly" in name:
                os.kill(os.getpid(), signal.SIGKILL)
            if "bad" in name:
                raise LimnerError("this photo is bad")
            if "broken" in name:
                raise ZeroDivisionError("a bug")
        return [nobody(self.body_model, photo_camera(photo.width, photo.height, focal_px, 0)) for photo in photos]
