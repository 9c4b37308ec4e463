"""Every set that is missing is answered with where to get it, its licence, and what it should look like."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from limner.data.sources import (
    agora,
    agora_frames,
    curated_fits,
    ehf,
    freihand,
    now,
    stirling,
    threedpw,
)
from limner.data.sources.layout import Layout
from limner.errors import DataSetError

READERS: list[tuple[Layout, Callable[[Path], Iterable[object]]]] = [
    (ehf.LAYOUT, ehf.read_ehf),
    (threedpw.LAYOUT, threedpw.read_threedpw),
    (freihand.LAYOUT, freihand.read_freihand),
    (stirling.LAYOUT, lambda folder: stirling.read_stirling(folder, "HQ").photos),
    (now.LAYOUT, now.read_now),
    (agora.LAYOUT, agora.read_agora),
    (agora_frames.LAYOUT, agora_frames.AgoraTables),
    (curated_fits.LAYOUT, lambda folder: curated_fits.read_curated_fits(folder, "val")),
]


@pytest.mark.parametrize(("layout", "read"), READERS, ids=lambda value: getattr(value, "name", ""))
def test_a_missing_set_says_where_to_get_it(tmp_path: Path, layout: Layout, read: Callable[[Path], Iterable[object]]):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataSetError) as caught:
            list(read(folder))
        text = str(caught.value)
        assert layout.name in text and layout.url in text and layout.licence in text
        assert all(line in text for line in layout.tree.strip("\n").split("\n"))
        assert "http" in layout.url or layout.url.startswith("nobody")
