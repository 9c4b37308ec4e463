"""Many photos in one run: bad input ends in a message and an exit code, the rest goes on, nothing is half-written.

The networks have real backbones and untrained regressors; what they say does not matter here.
"""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.batch import PeopleRecipe, PeopleWriter, estimate_photos
from limner.body.model import BodyModel
from limner.errors import (
    BodyModelError,
    BoxError,
    KeypointFileError,
    LimnerError,
    OutputError,
    PhotoError,
    WeightsError,
)
from limner.estimator import Estimator
from limner.geometry.camera import photo_camera
from limner.io.image import Photo
from limner.io.keypoint_file import read_keypoints
from limner.io.motion_file import read_params
from limner.pipeline import results
from limner.pipeline.people import People, nobody
from limner.pipeline.result_names import FILES
from limner.scale.photos import How

RESUME = How(resume=True)
PHOTOS = Path(results.__file__).parents[1] / "assets" / "photos"
Run = Callable[..., int]


def estimated(photos: Sequence[Path], out: Path, weights="limner", body_model=None, files=tuple(FILES), **rest) -> int:
    return estimate_photos(photos, PeopleRecipe(weights, body_model), PeopleWriter(out, files=files), **rest)


@pytest.fixture
def run(untrained_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Estimate photos into tmp_path/out, on a terminal wide enough for whole messages."""
    monkeypatch.setenv("COLUMNS", "400")

    def estimate(photos: list[Path], out: Path = tmp_path / "out", **options: object) -> int:
        return estimated(photos, out, **{"weights": str(untrained_weights)} | options)

    return estimate


@pytest.fixture
def grey(tmp_path: Path) -> Path:
    """A photo of nothing, 60 x 40."""
    return save(tmp_path / "grey.png", np.full((40, 60, 3), 128, np.uint8))


def save(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def written(folder: Path) -> set[str]:
    """Everything below a folder, hidden files too."""
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}


def test_a_broken_photo_is_reported_and_the_rest_goes_on(run: Run, grey: Path, tmp_path: Path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    whole = (PHOTOS / "eileen_collins.jpg").read_bytes()
    (folder / "a_cut_off.jpg").write_bytes(whole[:20_000])
    (folder / "b_empty.png").touch()
    (folder / "c_text.jpg").write_text("no image at all")
    shutil.copy(grey, folder / "d_nobody.png")
    (folder / "e_person.jpg").write_bytes(whole)
    assert run([folder]) == 1
    shown = capsys.readouterr().out
    assert "a_cut_off.jpg is damaged or cut off" in shown and "b_empty.png is empty (0 bytes)" in shown
    assert "c_text.jpg is no image that can be read" in shown and "nobody found" in shown and "5 photos" in shown
    person = {"overlay.png", "mesh.obj", "mesh.ply", "mesh.glb", "params.npz", "keypoints.json"}
    assert written(tmp_path / "out") == (
        {"d_nobody", "d_nobody/overlay.png", "d_nobody/keypoints.json", "d_nobody/result.json"}
        | {"e_person", "e_person/person_0"}
        | {f"e_person/{name}" for name in ("overlay.png", "sheet.png", "keypoints.json", "result.json")}
        | {f"e_person/person_0/{name}" for name in person}
    )


def test_results_fit_together(run: Run, tmp_path: Path):
    """The numbers that one run wrote, read again: 2D is the projection of 3D, the box is where it was asked for."""
    box = (90.0, 10.0, 420.0, 512.0)
    assert run([PHOTOS / "eileen_collins.jpg"], box=box, focal_px=700.0) == 0
    folder = tmp_path / "out" / "eileen_collins"
    motion = read_params(folder / "person_0" / "params.npz")
    assert motion.extras["box_px"].tolist() == [list(box)]
    assert motion.extras["camera_K"][0].tolist() == [[700, 0, 256], [0, 700, 256], [0, 0, 1]]
    assert motion.extras["photo_size_px"].tolist() == [512, 512] and motion.body_model == "limner"
    (photo,) = read_keypoints(folder / "keypoints.json").values()
    (person,) = photo.people
    assert person.xyz is not None and photo.camera == (700.0, 256.0, 256.0)
    projected = person.xyz[:, :2] / person.xyz[:, 2:] * 700 + 256
    assert (projected - person.xy).abs().max() < 0.05


def test_nobody_is_an_empty_result(run: Run, grey: Path, tmp_path: Path, capsys):
    assert run([grey]) == 0
    assert written(tmp_path / "out") == {"grey", "grey/overlay.png", "grey/keypoints.json", "grey/result.json"}
    assert read_keypoints(tmp_path / "out" / "grey" / "keypoints.json")["grey"].people == []
    assert "nobody found" in capsys.readouterr().out


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 300, 3), (300, 1, 3)])
def test_a_photo_of_one_pixel_or_line_shows_nobody(shape: tuple[int, ...], run: Run, tmp_path: Path):
    assert run([save(tmp_path / "tiny.png", np.full(shape, 200, np.uint8))]) == 0
    assert written(tmp_path / "out") == {"tiny", "tiny/overlay.png", "tiny/keypoints.json", "tiny/result.json"}


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((70.0, 10.0, 90.0, 30.0), "lies outside the photo of 60 x 40 px"),
        ((10.0, 10.0, 10.0, 10.0), "is 0 x 0 px, expected at least 1 x 1"),
        ((30.0, 10.0, 20.0, 30.0), "left, top, right, bottom"),
        ((0.0, 0.0, float("nan"), 10.0), "must be finite"),
    ],
)
def test_a_bad_box_is_reported(box, message: str, run: Run, grey: Path, tmp_path: Path, capsys):
    assert run([grey], box=box) == 1
    assert message in capsys.readouterr().out
    assert written(tmp_path / "out") == set()


def test_what_concerns_all_photos_stops_at_once(run: Run, grey: Path, tmp_path: Path):
    points = tmp_path / "points.json"
    points.write_text("{}")
    empty = tmp_path / "empty"
    empty.mkdir()
    cases: list[tuple[type[LimnerError], str, list[Path], dict[str, object]]] = [
        (BoxError, "4 numbers a person", [grey], {"box": (1.0, 2.0, 3.0)}),
        (BoxError, "Leave one out", [grey], {"box": (1.0, 2.0, 30.0, 40.0), "keypoints": points}),
        (BoxError, "--box and --boxes", [grey], {"box": (1.0, 2.0, 30.0, 40.0), "boxes": points}),
        (BoxError, "does not exist", [grey], {"boxes": tmp_path / "none.json"}),
        (WeightsError, "checkpoint is for `limner expose --weights PATH`", [grey], {"weights": "model.ckpt"}),
        (PhotoError, "expected a positive number", [grey], {"focal_px": -5.0}),
        (PhotoError, "no photo in the folder", [empty], {}),
        (PhotoError, "does not exist", [tmp_path / "nowhere"], {}),
        (KeypointFileError, "no keypoint file that is known", [grey], {"keypoints": points}),
        (BodyModelError, "no body model at", [grey], {"body_model": tmp_path / "SMPLX_NEUTRAL.npz"}),
        (BodyModelError, "expected an .npz or .pkl file", [grey], {"body_model": grey}),
        (WeightsError, "unknown weights", [grey], {"weights": "best"}),
        (WeightsError, "no weights at", [grey], {"weights": str(empty)}),
    ]
    for kind, message, photos, options in cases:
        with pytest.raises(kind, match=message):
            run(photos, **options)
    assert not (tmp_path / "out").exists()


def test_truncated_weights_are_refused(run: Run, untrained_weights: Path, grey: Path, tmp_path: Path):
    folder = tmp_path / "weights"
    shutil.copytree(untrained_weights, folder)
    hand = folder / "hand.safetensors"
    hand.write_bytes(hand.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"hand\.safetensors cannot be read.*cut off"):
        run([grey], weights=str(folder))


def test_an_unwritable_output_is_refused_before_the_work(run: Run, grey: Path, tmp_path: Path):
    before = written(tmp_path)
    with pytest.raises(OutputError, match="Give a folder that you may write to"):
        run([grey], out=grey / "below_a_file")
    assert written(tmp_path) == before


def test_a_failing_write_leaves_the_older_result(run: Run, grey: Path, tmp_path: Path, capsys, monkeypatch):
    assert run([grey]) == 0
    old = tmp_path / "out" / "grey" / "overlay.png"
    stamp = old.stat().st_mtime_ns

    def full(*_: object) -> None:
        raise OutputError("the disk is full: free some space.")

    monkeypatch.setattr(results, "_write_keypoints", full)
    assert run([grey]) == 1
    assert "the disk is full" in capsys.readouterr().out
    assert written(tmp_path / "out") == {"grey", "grey/overlay.png", "grey/keypoints.json", "grey/result.json"}
    assert old.stat().st_mtime_ns == stamp


def test_an_older_result_is_replaced(run: Run, grey: Path, tmp_path: Path):
    stale = tmp_path / "out" / "grey" / "person_3"
    stale.mkdir(parents=True)
    (stale / "mesh.obj").touch()
    assert run([grey]) == 0
    assert not stale.exists()


def test_a_folder_with_other_files_is_left_alone(run: Run, grey: Path, tmp_path: Path, capsys):
    own = tmp_path / "out" / "grey" / "holiday.jpg"
    own.parent.mkdir(parents=True)
    own.write_text("dear to somebody")
    assert run([grey]) == 1
    assert "holds holiday.jpg, which limner did not write" in capsys.readouterr().out
    assert written(tmp_path / "out") == {"grey", "grey/holiday.jpg"}


def test_odd_names_make_safe_folders(run: Run, grey: Path, tmp_path: Path, capsys):
    """Brackets are markup to the printer of tables, and the stem of `...png` is the folder above."""
    folder = tmp_path / "odd"
    folder.mkdir()
    names = ("...png", "[bold].png", "twin.png", "twin.bmp")
    for name in names:
        shutil.copy(grey, folder / name)
    assert run([folder / name for name in names]) == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"photo", "[bold]", "twin_png", "twin_bmp"}
    assert "[bold].png" in capsys.readouterr().out


def test_keypoints_say_where_people_are(run: Run, tmp_path: Path, capsys):
    """Boxes about OpenPose's points, a tenth larger; a photo without keypoints is an error of that photo alone."""
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.open(PHOTOS / "eileen_collins.jpg").resize((128, 128)).save(folder / "small.png")
    save(folder / "other.png", np.zeros((40, 40, 3), np.uint8))
    corners = [[20.0, 2.0, 0.9], [110.0, 126.0, 0.9], [60.0, 60.0, 0.9], [500.0, 500.0, 0.0]]  # the last is not there
    numbers = [x for point in corners + [[0.0] * 3] * 21 for x in point]
    points = tmp_path / "small_keypoints.json"
    points.write_text(json.dumps({"people": [{"pose_keypoints_2d": numbers}]}))
    assert run([folder], keypoints=points) == 1
    assert "no keypoints for the photo 'other'" in capsys.readouterr().out
    (person,) = read_keypoints(tmp_path / "out" / "small" / "keypoints.json")["small"].people
    assert person.box is not None
    assert person.box.tolist() == pytest.approx([20 - 12.4, 2 - 12.4, 110 + 12.4, 126 + 12.4], abs=0.01)


def test_a_box_file_says_where_people_are(run: Run, tmp_path: Path, capsys):
    """By photo, for a folder; a photo that the file does not name and a bad box are errors of that photo alone."""
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.open(PHOTOS / "eileen_collins.jpg").resize((128, 128)).save(folder / "a.png")
    for name in ("b.png", "c.png", "d.png"):
        save(folder / name, np.full((40, 40, 3), 90, np.uint8))
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps({"photos/a.png": [[20, 2, 110, 126]], "b.png": [], "c.png": [[50, 50, 60, 60]]}))
    assert run([folder], boxes=file, how=How(batch=3)) == 1
    shown = capsys.readouterr().out
    assert "no boxes for the photo 'd.png'" in shown and "lies outside the photo of 40 x 40 px" in shown
    (person,) = read_keypoints(tmp_path / "out" / "a" / "keypoints.json")["a"].people
    assert person.box is not None and person.box.tolist() == [20, 2, 110, 126]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a", "b"}


# --- many photos, with an estimator that finds nobody ------------------------------------------------------------


class FindsNobody(Estimator):
    """Stands for the networks, which take seconds; `looked` names the photos."""

    def __init__(self, body: BodyModel):
        self.body_model, self.converter = body, None
        self.looked: list[str] = []

    def together(self, photos: Sequence[Photo], boxes: object, focal_px: float | None = None) -> list[People]:
        self.looked += [photo.path.name for photo in photos]
        return [nobody(self.body_model, photo_camera(photo.width, photo.height, focal_px, 0)) for photo in photos]


@pytest.fixture
def finder(body: BodyModel, monkeypatch: pytest.MonkeyPatch) -> FindsNobody:
    """In the place of the networks."""
    found = FindsNobody(body)
    monkeypatch.setattr(PeopleRecipe, "load", lambda _: found)
    monkeypatch.setenv("COLUMNS", "400")
    return found


def grey_photos(folder: Path, *names: str) -> Path:
    for k, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 16), (k, k, k)).save(folder / name, format="PNG")
    return folder


def test_nothing_is_left_out_in_silence(finder: FindsNobody, tmp_path: Path, capsys):
    photos = grey_photos(tmp_path / "photos", "a.gif", "b.jfif", "c", "below/d.png")
    for name in ("film.mp4", "raw.NEF", "notes.txt", ".DS_Store"):
        (photos / name).write_bytes(b"nothing")
    assert estimated([photos], tmp_path / "out", how=How(batch=4)) == 0
    shown = capsys.readouterr().out
    assert finder.looked == ["a.gif", "b.jfif", "c"] and "3 photos, 0 people, 2 left out" in shown
    assert "ffmpeg -i film.mp4" in shown and "raw.NEF" in shown and "raw file" in shown
    assert "2 other files left out" in shown and "1 folder below left out" in shown
    assert "say where with --box" in shown


def test_folders_below_are_mirrored(finder: FindsNobody, tmp_path: Path, capsys):
    photos = grey_photos(tmp_path / "photos", "a.png", "x/a.png", "x/y/a.png", "a/person_0.png")
    out = photos / "out"
    assert estimated([photos], out, recursive=True) == 0
    assert {p.parent.relative_to(out).as_posix() for p in out.rglob("result.json")} == {
        "a_png", "x/a", "x/y/a", "a/person_0_",
    }  # fmt: skip
    assert "x/y/a.png" in capsys.readouterr().out
    assert estimated([photos], tmp_path / "again", recursive=True) == 0  # results are no photos
    assert "4 photos" in capsys.readouterr().out


def test_a_run_goes_on_where_it_was(finder: FindsNobody, tmp_path: Path, capsys):
    photos, out = grey_photos(tmp_path / "photos", "a.png", "b.png", "c.png", "d.png"), tmp_path / "out"
    (photos / "e.png").write_bytes(b"no picture")
    assert estimated([photos], out) == 1
    (out / "b" / "overlay.png").unlink()
    grey_photos(photos, "x", "c.png")
    shutil.rmtree(out / "d")
    finder.looked.clear()
    capsys.readouterr()
    assert estimated([photos], out, how=RESUME) == 1
    assert finder.looked == ["b.png", "c.png", "d.png", "x"]
    shown = capsys.readouterr().out
    assert "6 photos, 0 people, 1 kept, 1 failed" in shown and "e.png is no image" in shown
    finder.looked.clear()
    assert estimated([photos], out, how=RESUME) == 1 and finder.looked == []
    assert estimated([photos], out, how=RESUME, focal_px=900.0) == 1 and len(finder.looked) == 5
    finder.looked.clear()
    assert estimated([photos], out) == 1 and len(finder.looked) == 5  # only when asked for
    finder.looked.clear()
    assert estimated([photos], out, how=RESUME, files=["keypoints"]) == 1 and len(finder.looked) == 5  # fewer files
    assert {path.name for path in (out / "b").iterdir()} == {"keypoints.json", "result.json"}
    assert json.loads((out / "b" / "result.json").read_text())["options"]["files"] == ["keypoints"]
    assert estimated([photos], out, how=RESUME, files=["keypoints"]) == 1 and len(finder.looked) == 5


def test_a_broken_record_is_no_result(finder: FindsNobody, tmp_path: Path):
    photos, out = grey_photos(tmp_path / "photos", "a.png"), tmp_path / "out"
    for content in (
        "",
        "[]",
        "{}",
        '{"format": "limner-result", "version": 1}',
        '{"format": "limner-result"',
        "[" * 9999,
    ):
        assert estimated([photos], out) == 0
        (out / "a" / "result.json").write_text(content)
        finder.looked.clear()
        assert estimated([photos], out, how=RESUME) == 0 and finder.looked == ["a.png"]


@pytest.mark.parametrize(
    "name",
    ["n" * 251, "n" * 247 + ".png", os.fsdecode(b"no utf-8 \xff.png"), "esc\x1b]0;title\x07\x1b[31m.png", "con.png"],
)
def test_a_name_of_any_kind_is_one_photo(name: str, finder: FindsNobody, tmp_path: Path, capsys):
    photos = grey_photos(tmp_path / "photos", name, "a.png")
    assert estimated([photos], tmp_path / "out", how=RESUME) == 0
    assert len(finder.looked) == 2 and len(list((tmp_path / "out").iterdir())) == 2
    shown = capsys.readouterr().out
    assert not {"\x1b", "\x07"} & set(shown) and shown.encode()
    assert estimated([photos], tmp_path / "out", how=RESUME) == 0 and len(finder.looked) == 2


def test_leftovers_of_killed_runs_are_swept(finder: FindsNobody, tmp_path: Path):
    left = tmp_path / "out" / f".limner-{'0' * 32}"
    (left / "new").mkdir(parents=True)
    (tmp_path / "out" / ".mine").touch()
    assert estimated([grey_photos(tmp_path / "photos", "a.png")], tmp_path / "out") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a", ".mine"}


def test_a_persons_folder_with_other_files_is_left_alone(run: Run, grey: Path, tmp_path: Path, capsys):
    own = tmp_path / "out" / "grey" / "person_0" / "scene.blend"
    own.parent.mkdir(parents=True)
    own.write_text("work of a day")
    assert run([grey]) == 1
    assert "holds person_0/scene.blend, which limner did not write" in capsys.readouterr().out and own.exists()


def test_keypoints_of_a_name_that_two_photos_share(finder: FindsNobody, tmp_path: Path, capsys):
    photos = grey_photos(tmp_path / "photos", "x/a.png", "y/a.png", "b.png")
    points = {"pose_keypoints_2d": [v for k in range(25) for v in (k / 25, k / 25, 0.9)]}
    (tmp_path / "k").mkdir()
    for name in ("a", "b"):
        (tmp_path / "k" / f"{name}_keypoints.json").write_text(json.dumps({"people": [points]}))
    assert estimated([photos], tmp_path / "out", recursive=True, keypoints=tmp_path / "k") == 1
    assert capsys.readouterr().out.count("several photos are called 'a'") == 2 and finder.looked == ["b.png"]
