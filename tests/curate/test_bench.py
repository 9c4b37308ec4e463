"""The bench without a browser: pictures of the right place, edits that can be, answers over HTTP."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.body.keypoints import KEYPOINT_NAMES
from limner.curate.bench import GROUPS, POINTS, Bench, EditError
from limner.curate.run import curate
from limner.curate.store import CuratedSet
from limner.errors import PhotoError
from tests.curate.fakes import MakeFake, SlidingFit, photos

testclient = pytest.importorskip("fastapi.testclient", reason="FastAPI is not installed: pip install 'limner[review]'")
NOSE = KEYPOINT_NAMES.index("nose")


@pytest.fixture(scope="module")
def fit() -> SlidingFit:
    return SlidingFit()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of two people."""
    folder = tmp_path_factory.mktemp("made")
    curate([photos(folder / "photos", [1, 1])], folder / "set", make_worker=MakeFake())
    return folder / "set"


@pytest.fixture
def bench(made: Path, tmp_path: Path, fit: SlidingFit) -> Bench:
    return Bench(CuratedSet.open(shutil.copytree(made, tmp_path / "set")), fit.model, fit)


@pytest.fixture
def web(bench: Bench):
    from limner.curate.review import make_app

    return testclient.TestClient(make_app(bench, "Anna"))


def pixels(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg))).astype(float)


def test_pictures_show_what_the_views_say(bench: Bench):
    views = bench.person(1)["views"]
    assert views.keys() == GROUPS.keys()
    for name, view in views.items():
        plain, drawn = pixels(bench.picture(1, name, False)), pixels(bench.picture(1, name, True))
        assert plain.shape == drawn.shape == (view["shown"][1], view["shown"][0], 3)
        changed = np.abs(plain - drawn).max(-1) > 40
        assert changed.any(), name
        # the points lie on the mesh, or at its edge
        x, y, *_ = np.array(bench.person(1)["points"])[POINTS["groups"][name]].T
        column = ((x - view["left"]) * view["scale"]).astype(int).clip(0, view["shown"][0] - 1)
        row = ((y - view["top"]) * view["scale"]).astype(int).clip(0, view["shown"][1] - 1)
        near = [changed[max(0, r - 9) : r + 10, max(0, c - 9) : c + 10].any() for r, c in zip(row, column, strict=True)]
        assert np.mean(near) > 0.9, name
    assert pixels(bench.picture(1, "side", True)).shape == (640, 400, 3)


def test_a_moved_point_moves_the_fit_and_only_that_view(bench: Bench):
    before = bench.person(1)
    x, y, *_ = before["points"][NOSE]
    after = bench.move_points(1, 0, {NOSE: (x + 15, y, 1.0)}, "Anna")
    assert after["fit"][NOSE][0] > before["fit"][NOSE][0] + 3 and after["version"] == 1
    assert after["history"][0]["action"] == "moved nose"
    assert bench.move_points(1, 1, {NOSE: (x, y, 0.0)}, "Anna")["history"][0]["action"] == "hid nose"


@pytest.mark.parametrize(
    "edits", [{}, {144: (1.0, 1.0, 1.0)}, {0: (float("nan"), 1.0, 1.0)}, {0: (9e9, 1.0, 1.0)}, {0: (1.0, 1.0, 7.0)}]
)
def test_points_that_cannot_be_are_refused(bench: Bench, edits: dict[int, tuple[float, float, float]]):
    with pytest.raises(EditError):
        bench.move_points(1, 0, edits, "Anna")
    assert bench.person(1)["version"] == 0


def test_the_addresses_answer(web):
    assert "limner review" in web.get("/").text and "http" not in web.get("/").text.replace("http://www.w3.org", "")
    about = web.get("/api/set").json()
    assert about["reviewer"] == "Anna" and len(about["names"]) == 144 and about["people"]["open"] == 2
    assert [person["id"] for person in web.get("/api/people?order=photo").json()] == [1, 2]
    assert web.get("/api/people/1/thumb.jpg").headers["content-type"] == "image/jpeg"
    assert web.get("/api/people/1/0/face/mesh.jpg").status_code == 200
    assert web.get("/api/people/1/7/face/mesh.jpg").status_code == 410
    assert web.get("/api/people/9").status_code == 404
    assert web.post("/api/next", json={"reviewer": "Anna", "order": "photo"}).json() == {"id": 1}


def test_conflicts_come_with_how_it_stands_now(web):
    first = {"version": 0, "reviewer": "Anna", "decision": "accepted"}
    assert web.post("/api/people/1/decision", json=first).json()["version"] == 1
    late = web.post("/api/people/1/decision", json=first | {"reviewer": "Bert", "decision": "rejected"})
    assert late.status_code == 409 and late.json()["current"]["decision"] == "accepted"
    assert late.json()["current"]["history"][0]["reviewer"] == "Anna"
    moved = {"version": 0, "reviewer": "Bert", "points": [{"index": NOSE, "x": 100.0, "y": 50.0}]}
    assert web.post("/api/people/1/points", json=moved).status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        {"version": 0, "reviewer": "", "decision": "accepted"},
        {"version": 0, "reviewer": "A", "decision": "perhaps"},
        {"reviewer": "A"},
    ],
)
def test_nonsense_is_refused(web, body):
    assert web.post("/api/people/1/decision", json=body).status_code == 422


def test_other_sites_do_not_reach_the_server(web):
    assert web.get("/api/summary", headers={"host": "evil.example"}).status_code == 400
    form = '{"version": 0, "reviewer": "x", "decision": "accepted"}'  # what a form of another site could send
    plain = {"content-type": "text/plain"}
    assert web.post("/api/people/1/decision", content=form, headers=plain).status_code == 422


def test_a_photo_that_is_gone_is_told(web, bench: Bench):
    with bench.curated._write() as db:
        db.execute("UPDATE photos SET path = '/moved/away.jpg' WHERE id = 1")
    answer = web.get("/api/people/1/0/person/photo.jpg")
    assert answer.status_code == 410 and "must stay" in answer.json()["detail"]


def test_another_picture_in_a_photos_place_is_not_shown(bench: Bench):
    """The fit of one photo drawn over another would be judged as if it were its own."""
    row = bench.curated.people(None, "photo")[0]
    photo = bench.curated.photo(row.photo)
    content = photo.path.read_bytes()
    try:
        Image.new("RGB", (320, 400), "red").save(photo.path)
        with pytest.raises(PhotoError, match="not the photo that was curated"):
            bench.picture(row.id, "person", mesh=True)
    finally:
        photo.path.write_bytes(content)
    assert bench.picture(row.id, "person", mesh=True)
