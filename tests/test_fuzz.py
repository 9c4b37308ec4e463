"""The short form of `tools/fuzz.py`: every reader gets a few damaged and hostile files, always the same ones."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CASES = 3


def test_no_file_crashes_hangs_or_runs(tmp_path: Path):
    command = [
        sys.executable,
        str(ROOT / "tools" / "fuzz.py"),
        "--cases",
        str(CASES),
        "--seed",
        "0",
        "--keep",
        str(tmp_path),
    ]
    paths = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    *_, last = ended.stdout.strip().splitlines()
    _, read, refused, *bad = last.split()
    assert int(read) + int(refused) >= 60 * CASES and int(refused) > 60 and bad == ["0"] * 4
