"""Workers that are actors of a Ray cluster, on one or many machines.

All machines see the photos and the folder of the results at the same paths.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from limner.errors import LimnerError
from limner.extras import extra
from limner.scale.engine import Event, Task
from limner.threads import use_one_thread


class RayCrew:
    """A `limner.scale.engine.Crew` of Ray actors, of one core each; `cores`: of the cluster.

    Joins the cluster that RAY_ADDRESS names, else starts one on this machine. Raises LimnerError without Ray.
    """

    def __init__(self, task: Task[Any, Any]):
        self._ray = ray = _import_ray()
        if not ray.is_initialized():
            ray.init(log_to_driver=False, include_dashboard=False, configure_logging=False)
        self.cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._task = ray.put(task)
        self._hired = 0
        self._actors: dict[int, Any] = {}
        self._streams: dict[Any, int] = {}

    def hire(self) -> int:
        """Ask for an actor; it is there when the cluster has a core for it."""
        self._hired += 1
        actor = self._actors[self._hired] = self._ray.remote(num_cpus=1)(_Actor).remote()
        self._listen(self._hired, actor.start, self._task, os.getcwd())
        return self._hired

    def give(self, worker: int, block: list[Any]) -> None:
        """Send a block."""
        self._listen(worker, self._actors[worker].work, block)

    def _listen(self, worker: int, method: Any, *given: Any) -> None:
        self._streams[method.options(num_returns="streaming").remote(*given)] = worker

    def next(self) -> Event:
        """The next event."""
        while True:
            (stream, *_), _ = self._ray.wait(list(self._streams), num_returns=1)
            worker = self._streams[stream]
            try:
                return Event(worker, *self._ray.get(next(stream)))
            except StopIteration:
                del self._streams[stream]
            except self._ray.exceptions.RayError as error:
                self._ray.kill(self._actors.pop(worker))
                self._streams = {one: whose for one, whose in self._streams.items() if whose != worker}
                return Event(worker, "died", f"died ({str(error).splitlines()[0]})")

    def stop(self) -> None:
        """End all actors."""
        for actor in self._actors.values():
            self._ray.kill(actor)
        self._actors.clear()


class _Actor:
    """A worker in a process of its own; its methods yield kinds and contents of events."""

    def start(self, task: Task[Any, Any], folder: str) -> Iterator[tuple[str, Any]]:
        use_one_thread()
        with suppress(OSError):
            os.chdir(folder)  # relative paths mean the same here
        try:
            self._work = task.start()
        except LimnerError as error:
            yield "refused", error
            return
        yield "ready", None

    def work(self, block: list[Any]) -> Iterator[tuple[str, Any]]:
        for message in self._work(block):
            yield "message", message
        yield "end", None


def _import_ray() -> Any:
    with extra("ray", "--engine ray"):
        import ray
        import ray.exceptions  # noqa: F401
    return ray
