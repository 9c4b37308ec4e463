"""The documents' code runs as it is written, and their cheap commands on a bundled photo: what a newcomer would type.

Blocks and commands find the files that they name in a folder of the test, made for them: small photos, a curated set,
a pose library, a panorama, a body model of noise in SMPL-X's layout. A new block of Python is run from the day it is
written; what it needs is added to `place`.
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.cli import main
from limner.curate.export import export
from limner.curate.run import curate
from limner.curate.store import CuratedSet
from limner.data.curated import read_curated
from limner.fit.fitter import FitOptions
from limner.fit.records import FitTargets
from tests.curate import fakes
from tests.docs_lines import ROOT, blocks, commands
from tests.fit.made import exact_targets, people

PHOTO = ROOT / "src/limner/assets/photos/eileen_collins.jpg"
NOT_RUN: dict[tuple[str, str], str] = {}
"""Blocks of Python that no test can run: (page, words that stand in it), and what stands in for it."""
SMALLER = {"docs/synthetic.md": {"batch(32,": "batch(2,", "ones(32,": "ones(2,", ", 256)": ", 64)", ", 224,": ", 64,"}}
"""Numbers of a page's blocks that would take long."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, smplx_file: Path) -> Path:
    """A folder with the files that the documents' lines name."""
    folder = tmp_path_factory.mktemp("place")
    for name in ("photo.jpg", "photos/photo.jpg", "holiday_photos/beach.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.open(PHOTO).resize((256, 256)).save(folder / name)
    shutil.copy(smplx_file, folder / "SMPLX_NEUTRAL.npz")
    g = np.random.default_rng(0)
    pose = {"body_pose": (50, 21, 3), "global_orient": (50, 3)}
    arrays = {name: g.normal(0, 0.2, shape).astype(np.float16) for name, shape in pose.items()}
    np.savez(folder / "cmu_poses.npz", **arrays, weight=np.ones(50))
    (folder / "hdri").mkdir()
    light = np.concatenate([g.integers(0, 255, (32, 64, 3)), np.full((32, 64, 1), 128)], -1).astype(np.uint8)
    Image.fromarray(light).save(folder / "hdri" / "sky.webp", lossless=True, exact=True)
    (folder / "hdri" / "names.json").write_text(json.dumps({"hdris": [{"file": "sky.webp"}]}))
    return folder


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, as working folder."""
    monkeypatch.chdir(place)
    return place


def reviewed(folder: Path) -> None:
    """Everybody of a set is accepted."""
    curated = CuratedSet.open(folder)
    for person in curated.people(None, "photo"):
        curated.decide(person.id, 0, "accepted", "Anna")
    curated.close()


def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """One search instead of many: it is the documents' lines that are tested here, not how well people are fitted."""
    one = FitOptions(views=2, extra=0, kept=1, finalists=1, try_swaps=False, retry=False)
    monkeypatch.setattr("limner.fit.fitter.FitOptions", lambda: one)


# ------------------------------------------------------------------------------------------------------ Python
def data_set(body: BodyModel) -> dict[str, Any]:
    """For docs/curation.md: `dataset`, of two photos."""
    curate([fakes.photos(Path("made"), [1, 2])], Path("made/set"), licence="CC0", make_worker=fakes.MakeFake())
    reviewed(Path("made/set"))
    export(Path("made/set"), Path("dataset"), val_share=0.0)
    return {}


def fit_targets(body: BodyModel) -> dict[str, Any]:
    """For docs/fitting.md: `targets` of one person, and `params` to start from."""
    params, camera = people(body.keypoints_only(), 1)
    return {"targets": exact_targets(body.keypoints_only(), params, camera), "params": params}


GIVEN: dict[str, Callable[[BodyModel], dict[str, Any]]] = {
    "docs/curation.md": data_set,
    "docs/fitting.md": fit_targets,
}
"""What the blocks of a page take as given."""


def read_photos(names: dict[str, Any]) -> None:
    assert [len(photo) for photo in read_curated(Path("dataset"), "train", ["CC0"])] == [1, 2]
    assert names["photo"].licence == "CC0"


def fitted(names: dict[str, Any]) -> None:
    targets, params = names["targets"], names["params"]
    assert isinstance(targets, FitTargets) and isinstance(params, BodyParams)
    assert (names["fits"].params.transl - params.transl).norm(dim=-1).max() < 0.2  # of 3 m


def drawn(names: dict[str, Any]) -> None:
    assert names["bodies"].shape == (2, 3, 64, 64) and names["hands"].shape == (2, 3, 64, 64)
    assert names["seen"].shape == (2, 144)


def estimated(names: dict[str, Any]) -> None:
    assert len(names["people"]) == 1 and torch.isfinite(names["people"].vertices).all()


PROMISES = {
    "README.md": estimated,
    "docs/curation.md": read_photos,
    "docs/fitting.md": fitted,
    "docs/synthetic.md": drawn,
}
"""What must hold when the blocks of a page are done."""


def python_pages() -> dict[str, list[str]]:
    """The code of each page that has some, but for the blocks of NOT_RUN."""
    pages: dict[str, list[str]] = {}
    for page, code in blocks("python"):
        if not any(page == other and words in code for other, words in NOT_RUN):
            pages.setdefault(page, []).append(code)
    return pages


def test_blocks_that_are_not_run_are_there():
    found = blocks("python")
    assert [key for key in NOT_RUN if not any(key[0] == page and key[1] in code for page, code in found)] == []
    assert PROMISES.keys() <= python_pages().keys()


@pytest.mark.parametrize("page", python_pages())
def test_python_of_the_documents_runs(page: str, here: Path, body: BodyModel, monkeypatch: pytest.MonkeyPatch):
    narrow(monkeypatch)
    names = GIVEN[page](body) if page in GIVEN else {}
    for number, code in enumerate(python_pages()[page]):  # one after the other, as a reader types them
        for long, short in SMALLER.get(page, {}).items():
            assert any(long in block for block in python_pages()[page]), f"{page} has no {long!r} any more"
            code = code.replace(long, short)
        exec(compile(code, f"{page}, block {number}", "exec"), names)
    if page in PROMISES:
        PROMISES[page](names)


# ---------------------------------------------------------------------------------------------------- command lines
RUN: dict[tuple[str, str], tuple[str, ...]] = {
    ("README.md", "limner estimate photo.jpg holiday_photos/"): (
        "results/photo/person_0/mesh.glb", "results/photo/sheet.png", "results/beach/person_0/params.npz"),
    ("README.md", "limner fit photos/"): ("fits/fits.json", "fits/photo/person_0/params.npz"),
    ("docs/curation.md", "limner curate photos/"): ("myset/set.sqlite",),
    ("docs/curation.md", "limner curate-export myset"): ("dataset/dataset.json", "dataset/provenance.csv"),
}  # fmt: skip
"""Lines that are really run, one after the other, by their beginnings, and files that are there afterwards.

The others take long, need files under licence, or serve until they are stopped; the tests of their modules run them in
the same process on small made data: `expose` and `weights` expose/test_command.py, `params`
expose/test_convert_params.py, `model` test_model_report.py, `evaluate` evaluate/, `train` and `render` train/,
`experiments` experiments/, `review` curate/test_page.py, `--body-model` body/ and the tests of each command.
"""


def before(line: str) -> None:
    """Makes what a line takes from the user, or from the lines before it."""
    if "fit photos/" in line:
        Path("json").mkdir()
        shutil.copy("results/photo/keypoints.json", "json/photo.json")
    elif "curate-export" in line:
        reviewed(Path("myset"))
        shutil.rmtree("dataset", ignore_errors=True)


def test_cheap_command_lines_of_the_documents(here: Path, monkeypatch: pytest.MonkeyPatch):
    narrow(monkeypatch)
    lines = commands("limner")
    for (page, beginning), files in RUN.items():
        line = next((one for one in lines if one.page == page and one.line.startswith(beginning)), None)
        assert line is not None, f"{page} has no line `{beginning} ...` any more: mend RUN"
        before(line.line)
        monkeypatch.setattr(sys, "argv", ["limner", *line.words])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 0, line
        assert [name for name in files if not (here / name).exists()] == [], line
