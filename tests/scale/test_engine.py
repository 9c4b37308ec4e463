"""Blocks of work in real processes: all is done once, who dies costs one item, nobody outlives the run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from limner.errors import WeightsError
from limner.scale.engine import AHEAD, EngineError, messages
from tests.scale.fakes import DEADLY, SLOW, Double

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals of POSIX")


def blocks(items: list[int], size: int) -> list[list[int]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(true: object, seconds: float = 30.0) -> None:
    assert callable(true)
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def pids(log: Path, count: int) -> list[int]:
    """The ids of so many processes, once they are there."""
    wait_until(lambda: log.exists() and len(log.read_text(encoding="utf-8").split()) >= count)
    return [int(pid) for pid in log.read_text(encoding="utf-8").split()]


def test_two_processes_do_what_one_does(tmp_path: Path):
    given = blocks(list(range(23)), 4)
    here = list(messages(Double(log=tmp_path / "here"), given, 23, workers=1))
    assert here == [(k, 2 * k) for k in range(23)] and pids(tmp_path / "here", 1) == [os.getpid()]
    both = sorted(messages(Double(log=tmp_path / "both"), given, 23, workers=2))
    assert both == here
    assert len(set(pids(tmp_path / "both", 1)) - {os.getpid()}) == len(pids(tmp_path / "both", 1)) <= 2


def test_who_dies_costs_the_item_in_hand(tmp_path: Path):
    items = [0, 1, DEADLY, 3, 4, 5, 6, DEADLY, 8, 9, 10, 11]
    told = list(messages(Double(log=tmp_path / "log"), blocks(items, 4), len(items), workers=2))
    assert sorted(item for item, _ in told) == sorted(items)
    assert {item: said for item, said in told if item != DEADLY} == {k: 2 * k for k in items if k != DEADLY}
    lost = [said for item, said in told if item == DEADLY]
    assert len(lost) == 2 and all("was killed (SIGKILL" in str(said) for said in lost)


def test_an_idle_worker_may_die(tmp_path: Path):
    """It is replaced by the next block; nothing is lost."""

    def slowly() -> Iterator[list[int]]:
        yield [1]
        yield [2]
        for pid in pids(tmp_path / "log", 2):
            os.kill(pid, signal.SIGKILL)
        yield from [[3], [4]]

    told = sorted(messages(Double(log=tmp_path / "log"), slowly(), 4, workers=2))
    assert [item for item, _ in told] == [1, 2, 3, 4]


def test_what_keeps_all_from_starting_is_said_once():
    with pytest.raises(WeightsError, match=r"^no weights\. Get some\.$"):
        list(messages(Double("refuse"), [[1], [2]], 2, workers=2))
    with pytest.raises(EngineError, match=r'exit code 3 before it could begin.*__name__ == "__main__"'):
        list(messages(Double("die"), [[1], [2]], 2, workers=2))
    with pytest.raises(EngineError, match="--workers -1"):
        list(messages(Double(), [[1]], 1, workers=-1))


def test_a_long_list_is_drawn_as_it_is_worked_on():
    drawn = []

    def endless() -> Iterator[list[int]]:
        for k in range(10_000):
            drawn.append(k)
            yield [k]

    with closing(messages(Double(), endless(), 10_000, workers=2)) as told:
        for count in range(1, 50):
            next(told)
            assert len(drawn) <= count + 2 * AHEAD + 1


def test_big_blocks_and_messages_do_not_block_each_other():
    big = "x" * 3_000_000
    told = list(messages(Double(), [[big] * 2 for _ in range(6)], 12, workers=2))
    assert len(told) == 12 and all(said == big * 2 for _, said in told)


def test_closed_in_the_middle_all_end_at_once(tmp_path: Path):
    with closing(messages(Double(log=tmp_path / "log"), [[1], [SLOW], [SLOW], [SLOW]], 4, workers=2)) as told:
        assert next(told) == (1, 2)
        started = pids(tmp_path / "log", 2)
        start = time.monotonic()
    assert time.monotonic() - start < 10 and not any(map(alive, started))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("how", ["control-c", "killed"])
def test_nobody_outlives_the_run(how: str, tmp_path: Path):
    """Control-C reaches all processes of a terminal; a kill only the one that started the others."""
    code = f"from tests.scale.fakes import drive; from pathlib import Path; drive(Path({str(tmp_path / 'log')!r}))"
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    started = pids(tmp_path / "log", 2)
    if how == "control-c":
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.kill()
    _, errors = process.communicate(timeout=30)
    wait_until(lambda: not any(map(alive, started)), 10)
    assert process.returncode == (130 if how == "control-c" else -signal.SIGKILL) and "Traceback" not in errors
