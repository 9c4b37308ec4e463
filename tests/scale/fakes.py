"""Work for real processes: items that are numbers, without torch; and photos in which nobody is."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.errors import LimnerError, WeightsError
from limner.scale.engine import messages

DEADLY, SLOW = -9, 1000


@dataclass(frozen=True)
class Double:
    """Doubles numbers; DEADLY kills the process, SLOW takes a minute. `start`: what happens at the start: nothing, an
    error of limner's, or death. log: where each process writes its id."""

    how_it_starts: str = ""
    log: Path | None = None

    def start(self) -> Callable[[list[Any]], Iterator[tuple[Any, Any]]]:
        if self.how_it_starts == "refuse":
            raise WeightsError("no weights. Get some.")
        if self.how_it_starts == "die":
            os._exit(3)
        if self.log is not None:
            with open(self.log, "a", encoding="utf-8") as file:
                file.write(f"{os.getpid()}\n")
        return self.work

    def work(self, block: list[Any]) -> Iterator[tuple[Any, Any]]:
        for item in block:
            if item == DEADLY:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60 if item == SLOW else 0)
            yield item, item * 2

    def left(self, block: list[Any], told: list[tuple[Any, Any]]) -> list[Any]:
        return block[len(told) :]

    def lost(self, item: Any, why: str) -> tuple[Any, Any]:
        return item, why


def drive(log: Path) -> None:
    """Two processes at work for minutes; ends as the command line does."""
    try:
        for message in messages(Double(log=log), ([SLOW] for _ in range(9)), 9, workers=2):
            print(message)
    except LimnerError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


@dataclass(frozen=True)
class Nobody:
    """An estimator's recipe: nobody is in any photo; one called *deadly* kills the process, *broken* is a bug, *bad* an
    error. log: a line a photo, with the process and how many photos are together."""

    log: Path
    seconds: float = 0.0

    def facts(self) -> Mapping[str, Any]:
        return {"weights": "nobody"}

    def load(self) -> "FindsNobody":
        from limner.body.model import BodyModel

        return FindsNobody(self, BodyModel.load())


@dataclass(frozen=True)
class FindsNobody:
    """See `Nobody`."""

    recipe: Nobody
    body_model: Any
    note = "nobody is ever found"

    def together(self, photos: Sequence[Any], boxes: Sequence[Any], focal_px: float | None) -> list[Any]:
        from limner.geometry.camera import photo_camera
        from limner.pipeline.people import nobody

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
