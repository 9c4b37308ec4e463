"""Work for real processes that start in no time: items that are numbers, no torch."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
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
