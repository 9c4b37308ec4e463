"""Where does the heavy work run: in this process, or in many on one or several machines (Ray)?

Both engines do the same work in the same batches and hand back the same messages; only their order differs.
"""

import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from limner.curate.work import Item, Message, Worker, work
from limner.extras import extra

Engine = Literal["local", "ray"]
MakeWorker = Callable[[], Worker]


def messages(engine: Engine, make: MakeWorker, batches: Iterable[list[Item]], workers: int = 0) -> Iterator[Message]:
    """Work on all batches; messages come as soon as they are there.

    batches are drawn when a worker is free, so a long list is never held in memory. workers (ray only): how many at
    once; 0: one a core of the cluster. `make` builds a worker, once in each process.
    """
    return _local(make, batches) if engine == "local" else _ray(make, batches, workers)


def _local(make: MakeWorker, batches: Iterable[list[Item]]) -> Iterator[Message]:
    worker: Worker | None = None
    for batch in batches:
        worker = worker or make()
        yield from work(worker, batch)


def _ray(make: MakeWorker, batches: Iterable[list[Item]], workers: int) -> Iterator[Message]:
    """Actors that each hold a worker; a batch goes to whoever is free, messages stream back while it is worked on."""
    with extra("ray", "--engine ray"):
        ray: Any = importlib.import_module("ray")
    if not ray.is_initialized():
        # joins the cluster that RAY_ADDRESS names, else starts one on this machine
        ray.init(log_to_driver=False, include_dashboard=False, configure_logging=False)
    count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    actors = [ray.remote(num_cpus=1)(_Actor).remote(make) for _ in range(count)]
    left = iter(batches)
    busy: dict[Any, Any] = {}  # stream of messages -> actor
    for actor in actors:
        _next_batch(actor, left, busy)
    while busy:
        ready, _ = ray.wait(list(busy), num_returns=1)
        stream = ready[0]
        try:
            yield ray.get(next(stream))
        except StopIteration:
            _next_batch(busy.pop(stream), left, busy)
    for actor in actors:
        ray.kill(actor)


class _Actor:
    """A worker in a process of its own."""

    def __init__(self, make: MakeWorker):
        self.worker = make()

    def work(self, batch: list[Item]) -> Iterator[Message]:
        yield from work(self.worker, batch)


def _next_batch(actor: Any, left: Iterator[list[Item]], busy: dict[Any, Any]) -> None:
    batch = next(left, None)
    if batch is not None:
        busy[actor.work.options(num_returns="streaming").remote(batch)] = actor
