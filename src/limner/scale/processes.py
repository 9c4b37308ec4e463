"""Workers that are processes of this machine, with one thread each.

They begin from nothing (spawn): a process that was forked from one with threads may hang. Control-C is the business of
the process that started them, and they end as soon as that one is gone, however it went.
"""

import multiprocessing
import os
import pickle
import signal
from collections import deque
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from threading import Thread
from typing import Any

from limner.errors import LimnerError
from limner.scale.engine import Event, Task
from limner.threads import use_one_thread

_SECONDS_TO_END = 5.0


class Processes:
    """A `limner.scale.engine.Crew` of processes."""

    def __init__(self, task: Task[Any, Any]):
        self._task = pickle.dumps(task)
        self._hired = 0
        self._processes: dict[int, tuple[BaseProcess, Connection]] = {}
        self._talking: deque[int] = deque()

    def hire(self) -> int:
        """Start a process."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        self._hired += 1
        self._processes[self._hired] = process, ours
        self._send(self._hired, self._task)
        return self._hired

    def give(self, worker: int, block: list[Any]) -> None:
        """Send a block."""
        self._send(worker, pickle.dumps(block))

    def _send(self, worker: int, content: bytes) -> None:
        with suppress(OSError):  # it is dead: `next` will tell
            self._processes[worker][1].send_bytes(content)

    def next(self) -> Event:
        """The next event; processes that talk all the time take turns."""
        if not self._talking:
            ready = wait([pipe for _, pipe in self._processes.values()])
            self._talking.extend(worker for worker, (_, pipe) in self._processes.items() if pipe in ready)
        worker = self._talking.popleft()
        process, pipe = self._processes[worker]
        try:
            return Event(worker, *pickle.loads(pipe.recv_bytes()))
        except (EOFError, OSError):
            del self._processes[worker]
            pipe.close()
            process.join()
            return Event(worker, "died", _how(process.exitcode))

    def stop(self) -> None:
        """End all processes."""
        for process, _ in self._processes.values():
            process.terminate()
        for process, pipe in self._processes.values():
            process.join(_SECONDS_TO_END)
            process.kill()
            pipe.close()
        self._processes.clear()


def _how(code: int | None) -> str:
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    if -code == signal.SIGKILL:
        return "was killed (SIGKILL: by somebody, or because memory was short)"
    return f"was killed by signal {-code}"


def _work(pipe: Connection) -> None:
    """The life of a process: the task, then block after block."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    use_one_thread()
    received: SimpleQueue[bytes] = SimpleQueue()
    Thread(target=_receive, args=(pipe, received), daemon=True).start()

    def tell(kind: str, content: object = None) -> None:
        try:
            pipe.send_bytes(pickle.dumps((kind, content)))
        except OSError:
            os._exit(1)

    try:
        work = pickle.loads(received.get()).start()
    except LimnerError as error:
        tell("refused", error)
        return
    tell("ready")
    while True:
        for message in work(pickle.loads(received.get())):
            tell("message", message)
        tell("end")


def _receive(pipe: Connection, received: SimpleQueue[bytes]) -> None:
    """Takes in what is sent while the work goes on, so that nobody waits to send; ends the process when nobody will."""
    while True:
        try:
            received.put(pipe.recv_bytes())
        except (EOFError, OSError):
            os._exit(1)
