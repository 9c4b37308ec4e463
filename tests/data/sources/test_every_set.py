"""Every set that is missing is answered with where to get it, its licence, and what it should look like."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from limner.data.sources import (
    agora,
    agora_frames,
    coco_wholebody,
    curated_fits,
    ehf,
    ffhq_fits,
    freihand,
    h36m,
    humandata,
    now,
    spin_smplx,
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
    (spin_smplx.LAYOUT, lambda folder: spin_smplx.read_spin_smplx(folder, "coco")),
    (ffhq_fits.LAYOUT, ffhq_fits.read_ffhq_fits),
    (h36m.LAYOUT, lambda folder: h36m.read_h36m(folder, 9)),
    (coco_wholebody.LAYOUT, lambda folder: coco_wholebody.read_coco_wholebody(folder, "val")),
    (humandata.LAYOUT, lambda folder: humandata.read_humandata(folder / "FILE.npz", folder)),
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
