"""Builds sdist and wheel, checks them, and tries the wheel in an empty environment, as a user installs it.

    python tools/try_wheel.py [--keep dist] [--tag v0.1.0] [pip options, e.g. --extra-index-url URL]

Needs `build` and `twine`. The environment gets the wheel and what it asks for; there the bundled photo is estimated by
the command, and once more from Python. `--keep`: leave sdist and wheel in this folder, for a release.
"""

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINES = """
import limner
from limner import read_photo
from limner.estimator import Estimator
from pathlib import Path
photo = Path(limner.__file__).parent / "assets" / "photos" / "photographer.jpg"
assert len(Estimator.load()(photo)) == 1, "the photographer was not found"
assert "site-packages" in limner.__file__
print(limner.__version__)
"""


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """What a command printed; SystemExit with all of it where it fails."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--tag", help="the version's tag: must fit what was built")
    options, pip = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        dist = Path(folder) / "dist" if options.keep is None else options.keep.resolve()
        run(sys.executable, "-m", "build", "--outdir", dist, ROOT)
        files = sorted(dist.iterdir())
        run(sys.executable, "-m", "twine", "check", "--strict", *files)
        (wheel,) = (file for file in files if file.suffix == ".whl")
        version = wheel.name.split("-")[1]
        if options.tag not in (None, f"v{version}"):
            raise SystemExit(f"the tag is {options.tag}, the package's version {version}: they must be the same.")
        environment = Path(folder) / "environment"
        venv.create(environment, with_pip=True)
        binaries = environment / ("Scripts" if sys.platform == "win32" else "bin")
        run(binaries / "python", "-m", "pip", "install", "--quiet", *pip, wheel)
        found = run(binaries / "python", "-c", LINES, cwd=Path(folder)).strip()
        photo = ROOT / "src" / "limner" / "assets" / "photos" / "photographer.jpg"
        run(binaries / "limner", "estimate", photo, "--out", Path(folder) / "out", cwd=Path(folder))
        written = sorted(path.name for path in (Path(folder) / "out" / "photographer" / "person_0").iterdir())
        print(f"{wheel.name} ({wheel.stat().st_size / 1e6:.1f} MB), version {found}: works, wrote {', '.join(written)}")


if __name__ == "__main__":
    main()
