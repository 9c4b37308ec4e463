"""What a plain install does without the packages of the extras, and what it says where one is needed."""

import subprocess
import sys
from pathlib import Path

import pytest

from limner.errors import LimnerError
from limner.extras import extra

ONLY_IN_EXTRAS = (
    "scipy", "matplotlib", "trimesh", "cv2", "llvmlite", "accelerate", "fastapi", "uvicorn", "ray", "onnx",
    "pillow_heif", "roma",
)  # fmt: skip
PLAIN = f"""
import sys
for name in {ONLY_IN_EXTRAS!r}:
    sys.modules[name] = None  # importing it raises ModuleNotFoundError, as where it is not installed
from limner.cli import main
main()
"""
PHOTO = Path(__file__).parents[1] / "src" / "limner" / "assets" / "photos" / "photographer.jpg"


def plain(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PLAIN, *map(str, words)], capture_output=True, text=True)


def test_a_plain_install_estimates_photos(tmp_path: Path):
    done = plain("estimate", PHOTO, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "photographer" / "person_0" / "mesh.glb").stat().st_size > 100_000


def test_a_benchmark_names_the_extra_that_it_needs(tmp_path: Path):
    done = plain("evaluate", "ehf", tmp_path)
    assert done.returncode == 2
    assert "pip install 'limner[evaluate]'" in done.stderr and "Traceback" not in done.stderr


def test_a_missing_package_is_one_error_with_its_cure():
    message = r"Dreaming needs .*no_such_package.*pip install 'limner\[dream\]'"
    with pytest.raises(LimnerError, match=message), extra("dream", "Dreaming"):
        import no_such_package  # noqa: F401
    with pytest.raises(ValueError), extra("dream", "Dreaming"):
        raise ValueError
