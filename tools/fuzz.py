"""Does any file crash, hang, fill the memory of or run code in limner? Valid files of every reader, changed at random.

    python tools/fuzz.py --minutes 10 [--seed 0] [--readers NAME ...] [--keep FOLDER]
    python tools/fuzz.py --cases 3                      so many files a reader, however long it takes
    python tools/fuzz.py --readers "body .pkl" --case 17   one of them again, with its traceback

Prints for every reader how many files were read, refused with limner's own error, or failed: crash (any other error, or
the end of the process), hang (over 20 s), memory (over 4 GB), executed (the file made something run, write or import).
Failing files are kept with their error. Exit code 1 when there is any. The same seed gives the same files.

A child process reads, with an audit hook that hears of every opened file, program and import; the parent watches time
and memory (Linux: /proc). Needs a checkout with its tests, whose small files it uses.
"""

import argparse
import contextlib
import multiprocessing
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # forked children have no use for the parent's threads

import torch  # noqa: E402

from fuzz_files import Reader, readers  # noqa: E402
from fuzz_mutate import mutated  # noqa: E402
from limner.errors import LimnerError  # noqa: E402

SECONDS = 20.0
MOST_BYTES = 4 * 2**30
OUTCOMES = ("read", "own error", "crash", "hang", "memory", "executed")
BAD = OUTCOMES[2:]
RUNS = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "subprocess.Popen",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "shutil.rmtree",
    "socket.connect",
    "ctypes.dlopen",
    "pty.spawn",
    "os.chmod",
    "os.symlink",
    "os.putenv",
)
"""Events of Python that no reading of numbers causes."""
EXPECTED = (
    "limner",
    "numpy",
    "scipy",
    "torch",
    "PIL",
    "trimesh",
    "cv2",
    "safetensors",
    "olefile",
    "pillow_heif",
    "_pillow_heif",
)
"""Packages whose parts may be imported while a file is read; but not those of NEVER."""
NEVER = (
    "numpy.f2py",
    "numpy.testing",
    "numpy.distutils",
    "torch.jit",
    "torch.hub",
    "torch.utils.cpp_extension",
    "scipy.io",
)


@dataclass
class Watch:
    """What the audit hook has heard of while a file was read."""

    on: bool = False
    folder: str = ""
    heard: str = ""

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Called by Python for every event."""
        if not self.on or self.heard:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or (
                isinstance(mode, str) and set(mode) & set("wax+")
            )
            if writes and not self._ours(path):
                self.heard = f"opens {path!r:.200} to write"
        elif event in ("os.remove", "os.rmdir") and len(arguments) > 1 and arguments[1] != -1:
            return  # below a folder that was opened: `shutil.rmtree`, which has said its own
        elif event in RUNS and not self._ours(arguments[0] if arguments else ""):
            self.heard = f"{event} {arguments!r:.200}"
        elif event == "import":
            name = str(arguments[0])
            known = name.partition(".")[0] in (*EXPECTED, *sys.stdlib_module_names)
            if name not in sys.modules and (not known or name.startswith(NEVER)):
                self.heard = f"imports {name}"

    def _ours(self, path: object) -> bool:
        """Whether it lies in the folder of the files, where some readers write."""
        return isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith(self.folder)


WATCH = Watch()


def child(pipe: Connection, known: dict[str, Reader], scratch: str) -> None:
    """Read what the parent names, and say what came of it."""
    sys.addaudithook(WATCH.hear)
    WATCH.folder = scratch
    torch.set_num_threads(1)
    nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 for as long as the process lives
    with nowhere, contextlib.redirect_stderr(nowhere), contextlib.redirect_stdout(nowhere):
        while True:
            name, file = pipe.recv()
            WATCH.heard, WATCH.on = "", True
            try:
                known[name].read(Path(file))
                outcome, text = "read", ""
            except LimnerError as error:
                outcome, text = "own error", str(error)
            except BaseException:  # noqa: BLE001 all else is what is looked for
                outcome, text = "crash", traceback.format_exc()
            WATCH.on = False
            if WATCH.heard:
                outcome, text = "executed", WATCH.heard
            pipe.send((outcome, text))


class Session:
    """One child after the other, and the files that they read."""

    def __init__(self, scratch: Path, chosen: list[Reader]):
        self.scratch, self.known = scratch, {reader.name: reader for reader in chosen}
        self.targets: dict[str, Path] = {}
        self.valid: dict[str, bytes] = {}
        for number, reader in enumerate(chosen):
            folder = scratch / f"{number:02d}"
            folder.mkdir()
            self.targets[reader.name] = reader.write(folder)
            self.valid[reader.name] = self.targets[reader.name].read_bytes()
        self._context = multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn")
        self._child: Any = None

    def start(self) -> None:
        """A new child."""
        self._pipe, other = self._context.Pipe()
        self._child = self._context.Process(target=child, args=(other, self.known, str(self.scratch)), daemon=True)
        self._child.start()
        other.close()

    def stop(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.join()
            self._pipe.close()
            self._child = None

    def judge(self, name: str, content: bytes) -> tuple[str, str]:
        """Outcome of one file, and what there is to say of it."""
        target = self.targets[name]
        for beside in target.parent.glob("set.sqlite-*"):
            beside.unlink()
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        if self._child is None:
            self.start()
        self._pipe.send((name, str(target)))
        began, used, most = time.monotonic(), _cpu(self._child.pid), 0
        while not self._pipe.poll(0.02):
            most = max(most, _memory(self._child.pid))
            spent = _cpu(self._child.pid) - used
            # on a busy machine a file may wait: what counts is its own time
            late = time.monotonic() - began > SECONDS and (
                spent > SECONDS / 2 or time.monotonic() - began > 4 * SECONDS
            )
            if late or most > MOST_BYTES:
                self.stop()
                return (
                    ("memory", f"{most} bytes") if most > MOST_BYTES else ("hang", f"{spent:.1f} s of processor time")
                )
        try:
            outcome, text = self._pipe.recv()
        except EOFError:
            self._child.join()
            code = self._child.exitcode
            self.stop()
            return "crash", f"the process ended with {code}"
        return outcome, text


def _memory(process: int) -> int:
    """Bytes in memory; 0 where that cannot be told."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def _cpu(process: int) -> float:
    """Seconds of processor time; without /proc: time as it passes."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return time.monotonic()


def changed(reader: Reader, valid: bytes, seed: int, case: int, trap: Path) -> bytes:
    """The file of a case."""
    return mutated(valid, reader.kind, random.Random(f"{seed} {reader.name} {case}"), trap)


def run(arguments: argparse.Namespace) -> int:
    """Everything; returns the exit code."""
    warnings.filterwarnings("ignore", "Duplicate name")  # some archives are to have it
    chosen = [reader for reader in readers() if not arguments.readers or reader.name in arguments.readers]
    counts: dict[str, Counter[str]] = {reader.name: Counter() for reader in chosen}
    with tempfile.TemporaryDirectory() as folder:
        scratch, trap = Path(folder, "files"), Path(folder, "trap")
        scratch.mkdir()
        session = Session(scratch, chosen)
        for reader in chosen:
            outcome, text = session.judge(reader.name, session.valid[reader.name])
            if outcome != ("own error" if reader.refuses else "read"):
                session.stop()
                raise SystemExit(f"{reader.name}: the valid file gives {outcome}: {text}")
        if arguments.case is not None:
            content = changed(chosen[0], session.valid[chosen[0].name], arguments.seed, arguments.case, trap)
            print(*session.judge(chosen[0].name, content), sep="\n")
            session.stop()
            return 0
        end = time.monotonic() + 60 * arguments.minutes if arguments.cases is None else float("inf")
        case = 0
        while time.monotonic() < end and (arguments.cases is None or case < arguments.cases):
            for reader in chosen:
                if time.monotonic() > end:
                    break
                content = changed(reader, session.valid[reader.name], arguments.seed, case, trap)
                outcome, text = session.judge(reader.name, content)
                if trap.exists():
                    outcome, text = "executed", "it made what it was not to make"
                    trap.rmdir() if trap.is_dir() else trap.unlink()
                counts[reader.name][outcome] += 1
                if outcome in BAD:
                    _keep(arguments.keep, reader, arguments.seed, case, content, f"{outcome}\n{text}")
            case += 1
        session.stop()
    _print(counts)
    return int(any(counts[name][outcome] for name in counts for outcome in BAD))


def _keep(folder: Path, reader: Reader, seed: int, case: int, content: bytes, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{reader.name.replace(' ', '_').replace('/', '_')}-{seed}-{case}"
    (folder / stem).write_bytes(content)
    (folder / f"{stem}.txt").write_text(text)
    last = text.strip().splitlines()[-1]
    print(f"{reader.name}, seed {seed}, case {case}: {text.splitlines()[0]}: {last:.200}", flush=True)


def _print(counts: dict[str, "Counter[str]"]) -> None:
    width = max(map(len, counts))
    print(f"{'reader':{width}}", *(f"{outcome:>9}" for outcome in OUTCOMES))
    for name, found in counts.items():
        print(f"{name:{width}}", *(f"{found[outcome]:9d}" for outcome in OUTCOMES))
    whole = sum(counts.values(), Counter())
    print(f"{'all':{width}}", *(f"{whole[outcome]:9d}" for outcome in OUTCOMES))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--cases", type=int, help="files a reader, instead of --minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--readers", nargs="*", default=[])
    parser.add_argument("--case", type=int, help="one case of the first of --readers, with its traceback")
    parser.add_argument("--keep", type=Path, default=Path("fuzz_failures"))
    raise SystemExit(run(parser.parse_args()))
