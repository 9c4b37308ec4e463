"""Blocks of work and who does them: this process, one process a core, or actors of a Ray cluster.

Whoever does them, the blocks are the same, and so is what comes of each of their items; only the order in which it
comes differs. The process that asks for the work holds a few blocks at a time and draws the next when somebody is free,
so a list of any length is never in memory. A worker that is killed costs the item it worked on, not the run.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

from limner.errors import LimnerError
from limner.threads import usable_threads

Engine = Literal["local", "ray"]
Item = TypeVar("Item")
Message = TypeVar("Message")

AHEAD = 2
"""Blocks that a worker has at once: the next is there when one is done."""
WORTH_A_PROCESS = 8
"""Items that make up for the start of another process: some two seconds of loading."""


class EngineError(LimnerError):
    """The engine asked for is not there, or does not start."""


@runtime_checkable
class Task(Protocol[Item, Message]):
    """What is done with blocks of items; it is sent to each process that works, so it can be pickled."""

    def start(self) -> Callable[[list[Item]], Iterator[Message]]:
        """Load what is needed, once in each process; LimnerErrors concern all items, and stop the run."""
        ...

    def left(self, block: list[Item], told: list[Message]) -> list[Item]:
        """What remains to do of a block whose worker died after these messages."""
        ...

    def lost(self, item: Item, why: str) -> Message:
        """The message of an item whose worker died; `why`: the rest of a sentence about the worker."""
        ...


@dataclass(frozen=True)
class Event:
    """What a worker tells: it is ready; a LimnerError kept it from starting; a message of the block in hand, or its
    end; or that the worker is dead, and why."""

    worker: int
    kind: Literal["ready", "refused", "message", "end", "died"]
    content: Any = None


@runtime_checkable
class Crew(Protocol):
    """Workers that can be hired, given blocks, and listened to; each does its blocks in the order given."""

    def hire(self) -> int:
        """Start a worker; its number."""
        ...

    def give(self, worker: int, block: list[Any]) -> None:
        """One more block for a worker; nothing happens where it is dead."""
        ...

    def next(self) -> Event:
        """The next event of any worker; waits for it."""
        ...

    def stop(self) -> None:
        """End all workers at once, whatever they do."""
        ...


def messages(
    task: Task[Item, Message], blocks: Iterable[list[Item]], items: int, engine: Engine = "local", workers: int = 0
) -> Generator[Message, None, None]:
    """Work on all blocks; messages come as soon as they are there. Close the iterator to end the workers at once.

    items: how many there are in all blocks. workers: processes at once; 0: one a core, of this machine where each gets
    enough items to make up for its start, or of the cluster (ray). One local worker is this process itself.
    Raises EngineError, and whatever LimnerError keeps a worker from starting.
    """
    if workers < 0:
        raise EngineError(f"--workers {workers}: expected a number of processes, or 0 for one a core.")
    crew: Crew
    if engine == "ray":
        from limner.scale.ray_crew import RayCrew

        crew = RayCrew(task)
        count = workers or crew.cores
    else:
        from limner.scale.processes import Processes

        count = workers or min(usable_threads(), items // WORTH_A_PROCESS)
        if min(count, items) <= 1:
            return _here(task, blocks)
        crew = Processes(task)
    return _shared_out(task, crew, blocks, max(1, min(count, items)))


def _here(task: Task[Item, Message], blocks: Iterable[list[Item]]) -> Generator[Message, None, None]:
    work: Callable[[list[Item]], Iterator[Message]] | None = None
    for block in blocks:
        work = work or task.start()
        yield from work(block)


@dataclass
class _Given(Generic[Item, Message]):
    """A block that a worker has, and what came of it so far."""

    block: list[Item]
    told: list[Message] = field(default_factory=list)


class _Queue(Generic[Item]):
    """Blocks that nobody has: those given back, then the others, drawn one before it is taken."""

    def __init__(self, blocks: Iterable[list[Item]]):
        self._first: deque[list[Item]] = deque()
        self._others = iter(blocks)

    def __bool__(self) -> bool:
        if not self._first:
            self._first.extend(block for block in [next(self._others, None)] if block is not None)
        return bool(self._first)

    def take(self) -> list[Item]:
        return self._first.popleft()

    def put_back(self, blocks: Iterable[list[Item]]) -> None:
        self._first.extend(block for block in blocks if block)


def _shared_out(
    task: Task[Item, Message], crew: Crew, blocks: Iterable[list[Item]], count: int
) -> Generator[Message, None, None]:
    queue = _Queue(blocks)
    given: dict[int, deque[_Given[Item, Message]]] = {}  # of workers that are ready
    starting: set[int] = set()
    try:
        while queue or any(given.values()):
            while queue and len(given) + len(starting) < count:
                starting.add(crew.hire())
            event = crew.next()
            own = given.get(event.worker)
            if event.kind == "refused":
                raise event.content
            if event.kind == "ready":
                starting.discard(event.worker)
                own = given[event.worker] = deque()
            elif event.kind == "message" and own is not None:
                own[0].told.append(event.content)
                yield event.content
            elif event.kind == "end" and own is not None:
                own.popleft()
            elif event.kind == "died" and own is None:  # while it was loading
                starting.discard(event.worker)
                count -= 1
                if not given and not starting:
                    raise EngineError(
                        f"a worker {event.content} before it could begin. In a script of your own call limner below "
                        'if __name__ == "__main__":, give fewer --workers if memory is short, or --workers 1 to work '
                        "in one process."
                    )
            elif event.kind == "died" and own is not None:
                del given[event.worker]
                yield from _of_the_dead(task, own, queue, event.content)
            for worker, its in given.items():
                while queue and len(its) < AHEAD:
                    its.append(_Given(queue.take()))
                    crew.give(worker, its[-1].block)
    finally:
        crew.stop()


def _of_the_dead(
    task: Task[Item, Message], own: deque[_Given[Item, Message]], queue: _Queue[Item], why: str
) -> Iterator[Message]:
    """Give back what a dead worker had; of the block in hand one by one, to find out whose fault it was."""
    if own:
        in_hand = own.popleft()
        left = task.left(in_hand.block, in_hand.told)
        if len(left) == 1:
            yield task.lost(left[0], why)
        else:
            queue.put_back([item] for item in left)
    queue.put_back(one.block for one in own)
