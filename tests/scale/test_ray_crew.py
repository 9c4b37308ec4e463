"""The same through Ray; without it the cure is named."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from limner.errors import LimnerError
from limner.scale.engine import messages
from limner.scale.photos import How
from tests.scale.fakes import DEADLY, Double
from tests.scale.test_photos import files, photos, run


def test_without_ray_the_cure_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(LimnerError, match=r"pip install 'limner\[ray\]'"):
        list(messages(Double(), [[1]], 1, "ray"))


@pytest.fixture
def ray() -> Iterator[None]:
    """A cluster of two cores."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'limner[ray]'")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


@pytest.mark.slow
def test_ray_does_what_one_process_does(ray: None, tmp_path: Path):
    told = list(messages(Double(), [[0, 1, DEADLY, 3], [4, 5]], 6, "ray", workers=1))
    assert sorted(item for item, _ in told) == [DEADLY, 0, 1, 3, 4, 5]
    assert all(said == 2 * item or (item == DEADLY and "died" in str(said)) for item, said in told)
    source = photos(tmp_path / "photos", *"abc", "bad", "ef")
    assert run(source, tmp_path / "ray", tmp_path / "log", How(engine="ray", workers=1, batch=2)) == 1
    assert run(source, tmp_path / "here", tmp_path / "log", How()) == 1
    assert files(tmp_path / "ray") == files(tmp_path / "here")
