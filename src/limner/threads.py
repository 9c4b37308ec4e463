"""How many threads does torch get here, and do they sleep while they wait? Decided once, at `import limner`.

torch's OpenMP spins at the end of every parallel loop until the last thread is there. Where other work has the cores,
that thread is late: a photo takes seconds instead of 0.3, nearly all of it spinning. Waiting threads that sleep cost
nothing on a quiet machine. OpenMP reads its settings when it is loaded, so they have to stand in the environment before
torch is imported; where torch was there first, `_calm` does what can still be done.

Which OpenMP torch's wheels bring, and what it heeds: Linux GNU's libgomp (OMP_WAIT_POLICY), macOS LLVM's libomp and
Windows Intel's libiomp5md (KMP_BLOCKTIME, milliseconds). What the user has set is left as it is.
"""

import ctypes
import math
import os
import sys
import threading
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
"""Who set one of these has decided how threads wait."""
COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_THREAD_LIMIT")
"""Who set one of these has decided how many threads there are."""


def settle() -> None:
    """Make torch's threads sleep while they wait, and no more of them than this process may use.

    Before torch is imported this only sets environment variables (which child processes inherit).
    """
    decided = _waiting_is_decided(os.environ)
    prepare(os.environ, allowed_processors(), quota())
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_num_threads"):  # without it: torch is just being imported
        _limit(torch)
        if not decided:
            _calm(torch)


def prepare(environment: MutableMapping[str, str], processors: int, limit: float | None) -> None:
    """Set what OpenMP reads when it is loaded, except what the user has set.

    limit: processors' worth of time that a container grants, see `quota`. torch itself counts `processors`, but knows
    of no quota.
    """
    if not _waiting_is_decided(environment):
        environment["OMP_WAIT_POLICY"] = "PASSIVE"
        environment["KMP_BLOCKTIME"] = "0"
    if limit is not None and threads_for(processors, limit) < processors and not _count_is_decided(environment):
        environment["OMP_NUM_THREADS"] = str(threads_for(processors, limit))


def threads_for(processors: int, limit: float | None) -> int:
    """Threads that can run at once: one a processor, and no more than a container's quota rounded up; at least 1."""
    return max(1, processors if limit is None else min(processors, math.ceil(limit)))


def allowed_processors() -> int:
    """Processors this process may run on: its affinity, where the system has one."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def quota(root: Path = Path("/")) -> float | None:
    """Processors' worth of time that this process's control groups grant; None without a limit.

    The least along the group's path counts: version 2 (cpu.max) and 1 (cpu.cfs_quota_us). root: where /proc and /sys
    are.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None  # not Linux, or nothing may be read
    limits: list[float] = []
    for line in groups:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            mounts = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"]
        elif "cpu" in controllers.split(","):
            mounts = [root / "sys/fs/cgroup" / name for name in dict.fromkeys(("cpu", controllers))]
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for mount in mounts:
            folders = [mount.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]
            limits += [limit for folder in folders if (limit := _limit_of(folder)) is not None]
    return min(limits, default=None)


def _limit_of(group: Path) -> float | None:
    """The quota of one control group."""
    try:
        if (group / "cpu.max").exists():
            granted, period = (group / "cpu.max").read_text(encoding="utf-8").split()[:2]
        else:
            granted = (group / "cpu.cfs_quota_us").read_text(encoding="utf-8")
            period = (group / "cpu.cfs_period_us").read_text(encoding="utf-8")
        limit = float(granted) / float(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None  # "max", or no such file
    return limit if limit > 0 else None  # version 1 writes -1 for no limit


def _waiting_is_decided(environment: MutableMapping[str, str]) -> bool:
    return any(name in environment for name in WAITING)


def _count_is_decided(environment: MutableMapping[str, str]) -> bool:
    return any(name in environment for name in COUNTS)


def _limit(torch: Any) -> None:
    """A quota's number of threads for a torch that is loaded with its own default: processors, or cores of two."""
    processors = allowed_processors()
    wanted = threads_for(processors, quota())
    count = torch.get_num_threads()
    if count > wanted and count in (processors, processors // 2) and not _count_is_decided(os.environ):
        torch.set_num_threads(wanted)


def _calm(torch: Any) -> None:
    """Let an OpenMP that is already loaded wait with less spinning, as far as it can be told."""
    library = Path(torch.__file__).parent / "lib"
    for name in ("libomp.dylib", "libiomp5md.dll"):
        if (library / name).exists():
            try:
                ctypes.CDLL(str(library / name)).kmp_set_blocktime(0)
            except (AttributeError, OSError):
                pass
            return
    try:
        gomp = ctypes.CDLL(torch._C.__file__)
        start, nothing = gomp.GOMP_parallel, gomp.omp_get_thread_num
    except (AttributeError, OSError, TypeError):
        return
    # libgomp has no call for it. But it spins 300 times less as soon as it has more threads than there are
    # processors: a team that sleeps for ever makes it so. Teams belong to the thread that started them.
    size = max(2, allowed_processors() - torch.get_num_threads() + 2)
    started = threading.Event()

    def hold() -> None:
        start(ctypes.cast(nothing, ctypes.c_void_p), None, ctypes.c_uint(size), ctypes.c_uint(0))
        started.set()
        threading.Event().wait()

    threading.Thread(target=hold, name="limner-calm", daemon=True).start()
    started.wait()
