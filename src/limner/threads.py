"""Threads of this process: how many it may use, and that they sleep while they wait.

OpenMP's threads, which torch uses, turn round and round while they wait for each other. On a machine that is busy with
other work the one they wait for does not run, and a photo takes a hundred times as long. They are told to sleep instead
(OMP_WAIT_POLICY for GNU's OpenMP in torch on Linux, KMP_BLOCKTIME for LLVM's and Intel's on macOS and Windows). That is
read when torch is loaded, so `import limner` says it; what the user has set stands.
"""

import math
import os
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def prepare(environment: MutableMapping[str, str] = os.environ) -> None:
    """Say how OpenMP's threads wait, and how many there are where a container allows fewer than it shows; before torch.

    Does nothing to variables that are set, and nothing where torch has been loaded already.
    """
    if "torch" in sys.modules:
        return
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment.setdefault("KMP_BLOCKTIME", "0")
    quota = quota_cores()
    if quota is not None and quota < visible_cores():
        environment.setdefault("OMP_NUM_THREADS", str(quota))


def usable_threads(environment: MutableMapping[str, str] = os.environ) -> int:
    """So many threads are worth having: cores of the affinity, at most the container's quota and OMP_NUM_THREADS."""
    count = visible_cores()
    quota = quota_cores()
    if quota is not None:
        count = min(count, quota)
    asked = environment.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return max(1, min(count, int(asked)) if asked.isdecimal() and int(asked) > 0 else count)


def visible_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def quota_cores(root: Path = CGROUPS, own: Path = OWN_CGROUP) -> int | None:
    """Cores that the container's processor time is worth, at least 1; None where it is not limited.

    Reads cpu.max of the process's cgroup and those above it (cgroup v2), or cpu.cfs_quota_us (v1).
    """
    shares = [_share(folder) for folder in _cgroup_folders(root, own)]
    limits = [share for share in shares if share is not None]
    return max(1, math.ceil(min(limits))) if limits else None


def _cgroup_folders(root: Path, own: Path) -> Iterator[Path]:
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:  # no such thing on this system
        return
    for line in lines:
        _, controllers, name = (line.split(":", 2) + ["", ""])[:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / controllers if controllers else root
        inside = base / name.lstrip("/")
        # in a container the path may be the host's: then only the root is there
        yield from (folder for folder in (inside, *inside.parents) if folder == base or base in folder.parents)


def _share(folder: Path) -> float | None:
    """Cores that one cgroup's quota is worth; None where it has none."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()[:2]
        else:
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text(encoding="utf-8").strip() for name in ("quota", "period")
            )
        return int(quota) / int(period) if quota not in ("max", "-1") else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def use_one_thread() -> None:
    """This process, one of many, computes with one thread from now on."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}
    if "torch" in sys.modules:  # loaded by the user's script, which a new process reads again
        sys.modules["torch"].set_num_threads(1)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """torch works with one thread meanwhile: in many small operations others bring nothing, and each waits for all."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
