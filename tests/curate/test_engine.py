"""Both engines do the same work; a bug costs its photo alone."""

from pathlib import Path
from typing import Any

import pytest
import torch

from limner.curate.run import curate
from limner.curate.work import Item, PhotoFailed, PhotoSeen, PhotosFitted, work
from tests.curate.fakes import FakeWorker, MakeFake, photos
from tests.curate.test_run import contents, unlike


@pytest.mark.slow
def test_ray_fills_the_set_with_the_same(tmp_path: Path):
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'limner[ray]'")
    source = photos(tmp_path / "photos", [1, 2, 0, 1, 3, 1])
    curate([source], tmp_path / "local", batch=2, make_worker=MakeFake())
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        curate([source], tmp_path / "ray", engine="ray", workers=2, batch=2, make_worker=MakeFake())
    finally:
        ray.shutdown()
    assert unlike(contents(tmp_path / "ray"), contents(tmp_path / "local")) == []


def test_what_was_seen_is_not_looked_at_again(tmp_path: Path):
    source = photos(tmp_path / "photos", [2, 1])
    paths = sorted(source.iterdir())
    worker = FakeWorker(tmp_path / "log")
    first, second, fitted = work(worker, [Item(7, paths[0]), Item(8, paths[1])])
    assert isinstance(first, PhotoSeen) and isinstance(second, PhotoSeen) and isinstance(fitted, PhotosFitted)
    assert fitted.photos == [(7, 2), (8, 1)] and len(fitted.judged) == 3
    (again,) = work(worker, [Item(7, paths[0], first.seen), Item(8, paths[1], second.seen)])
    assert isinstance(again, PhotosFitted) and torch.allclose(
        again.judged.params.transl, fitted.judged.params.transl, atol=1e-5
    )
    assert (tmp_path / "log").read_text().count("look") == 2


def test_a_bug_in_a_fit_costs_only_the_photo_that_wakes_it(tmp_path: Path):
    class Picky(FakeWorker):
        def fit(self, seen: Any) -> Any:
            if 2 in seen.size_px.shape and bool((seen.size_px[:, 0] == 300).any()):
                raise RuntimeError("singular matrix")
            return super().fit(seen)

    good = sorted(photos(tmp_path / "good", [1, 1]).iterdir())
    bad = sorted(photos(tmp_path / "bad", [1], (300, 400)).iterdir())
    found = list(work(Picky(), [Item(k, path) for k, path in enumerate([good[0], bad[0], good[1]])]))
    assert [m.photo for m in found if isinstance(m, PhotoFailed)] == [1]
    assert [m.photos for m in found if isinstance(m, PhotosFitted)] == [[(0, 1)], [(2, 1)]]
    assert "singular matrix" in next(m.note for m in found if isinstance(m, PhotoFailed))
