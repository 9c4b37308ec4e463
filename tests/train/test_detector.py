"""The person finder learns on from labelled photos, goes on bit by bit, and its weights find people in limner."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from limner.data.labelled_photos import LabelledPhoto
from limner.errors import DataSetError, LimnerError, WeightsError
from limner.estimator import Estimator
from limner.geometry.box import Squares
from limner.geometry.warp import crop
from limner.io.image import write_image
from limner.networks.movenet import MoveNet
from limner.networks.weights import load_networks, movenet_path, weights_paths
from limner.train.center_maps import CenterWeights, center_loss, targets_of
from limner.train.detector import (
    DetectorOptions,
    judged,
    level_scores,
    read_split,
    train_detector,
    trained_parts,
    write_movenet,
)
from limner.train.detector_photos import MIRRORED, CutOptions, cut_square, draw_batch, keep_photo, labels_in
from tests.networks.figures import as_photo, blank, draw_person

OPTIONS = DetectorOptions(4, batch_size=3, size=64, learning_rate=3e-3, sizes_px=(96,), log_every=4, save_every=2)


def photo_of(tmp_path: Path, boxes: torch.Tensor, points: torch.Tensor, size: tuple[int, int]) -> LabelledPhoto:
    known = torch.ones(points.shape[:2], dtype=torch.bool)
    return LabelledPhoto(tmp_path / "photo.png", size, "photo", boxes, points, known, torch.zeros(0, 4))


def figure_points(box: torch.Tensor) -> list[float]:
    """COCO's points of a drawn person, roughly, as the file has them."""
    x0, y0, x1, y1 = box.tolist()
    unit, middle = (y1 - y0) / 7.95, (x0 + x1) / 2
    heights = [0.7, 0.5, 0.5, 0.5, 0.5, 1.75, 1.75, 3.0, 3.0, 4.1, 4.1, 3.9, 3.9, 5.6, 5.6, 7.4, 7.4]
    aside = [0.0, 0.15, 0.36, 0.85, 1.2, 1.3, 0.45, 0.5, 0.5]
    signs = [0] + [1, -1] * 8
    return [
        value
        for k in range(17)
        for value in (middle + signs[k] * aside[(k + 1) // 2] * unit, y0 + heights[k] * unit, 2.0)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven photos of drawn people, one broken and one of nobody among them."""
    folder = tmp_path_factory.mktemp("photos")
    images, annotations = [], []
    for k in range(7):
        image = blank(96, 96)
        name = f"images/{k}.png"
        if k != 5:
            box = draw_person(image, 30 + 6 * k, 8 + k, 70).clamp(0, 96)
            x0, y0, x1, y1 = box.tolist()
            person = {"id": k, "image_id": k, "bbox": [x0, y0, x1 - x0, y1 - y0], "keypoints": figure_points(box)}
            annotations.append(person)
        images.append({"id": k, "file_name": name, "width": 96, "height": 96})
        write_image(folder / name, as_photo(image))
    (folder / "images" / "6.png").write_bytes(b"no image")
    (folder / "annotations.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return folder


@torch.no_grad()
def loss_on(folder: Path, net: MoveNet) -> float:
    """Of people who were held out."""
    pixels, labels = draw_batch(read_split(folder, 0.3)[1], 4, 96, CutOptions(0.9), torch.Generator().manual_seed(0))
    assert any(len(one.boxes) for one in labels)
    return float(center_loss(net(pixels), targets_of(labels, 96, 96), CenterWeights())[0])


def relabelled(folder: Path, to: Path, change: Callable[[dict[str, Any], list[dict[str, Any]]], None]) -> Path:
    """The same photos with other labels: `change` is told each image and its people."""
    content = json.loads((folder / "annotations.json").read_text())
    for image in content["images"]:
        image["group"] = image["file_name"]  # by which the held-out ones are chosen
        image["file_name"] = str(folder / image["file_name"])
        change(image, [entry for entry in content["annotations"] if entry["image_id"] == image["id"]])
    to.mkdir(exist_ok=True)
    (to / "annotations.json").write_text(json.dumps(content))
    return to


def as_half(image: dict[str, Any], people: list[dict[str, Any]]) -> None:
    """Boxes end at the hips: something to learn."""
    for person in people:
        person["bbox"][3] /= 2


def test_learns_and_goes_on_bit_by_bit(folder: Path, tmp_path: Path, one_thread: None):
    folder = relabelled(folder, tmp_path / "halves", as_half)
    told: list[str] = []
    result = train_detector(folder, tmp_path / "whole", OPTIONS, complain=told.append)
    assert len(told) == 1 and "6.png" in told[0]
    with (tmp_path / "whole" / "detector_log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows[:2]] == ["0", "4"]
    assert float(rows[0]["held_out_found"]) == result["held_out_found_before"]

    class Cut(Exception):
        pass

    def cut(done: int, row: dict[str, float]) -> None:
        if done == 4:
            raise Cut

    with pytest.raises(Cut):
        train_detector(folder, tmp_path / "cut", OPTIONS, progress=cut)
    train_detector(folder, tmp_path / "cut", OPTIONS)
    net = MoveNet.load()
    shipped = {name: value.half() for name, value in net.state_dict().items()}
    whole, again = (load_file(tmp_path / run / "movenet.safetensors") for run in ("whole", "cut"))
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    changed = {name.split(".")[0] for name in whole if not torch.equal(whole[name], shipped[name])}
    assert changed == {"reduce", "lateral", "merge", "center", "size", "offset", "heat", "points"}
    before = loss_on(folder, net)
    net.load_state_dict({name: value.float() for name, value in whole.items()})
    assert loss_on(folder, net) < 0.6 * before
    with safe_open(tmp_path / "whole" / "movenet.safetensors", "pt") as file:
        assert (
            file.metadata()["licence"].startswith("Apache-2.0") and "limner train detector" in file.metadata()["origin"]
        )


def test_its_file_goes_with_the_shipped_networks_and_is_checked(tmp_path: Path):
    net = MoveNet.load()
    assert movenet_path("limner") is None and movenet_path(tmp_path) is None
    path = tmp_path / "movenet.safetensors"
    with torch.no_grad():
        net.size[1].bias += 1.0
    write_movenet(path, net, None, "nothing")
    assert movenet_path(tmp_path) == path and weights_paths(tmp_path) == weights_paths("limner")
    finder = Estimator.load(tmp_path, engine="torch").detector
    assert torch.allclose(finder.movenet.size[1].bias, net.size[1].bias, atol=1e-2)
    with pytest.raises(LimnerError, match="both the start and the result"):
        train_detector(tmp_path, tmp_path, OPTIONS, path)
    (tmp_path / "body.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError):
        load_networks(tmp_path)
    content = bytearray(path.read_bytes())
    content[-100] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="do not match the file's hash"):
        MoveNet.load(path)


def test_photos_of_a_group_stay_together(folder: Path, tmp_path: Path):
    training, held_out = read_split(
        relabelled(folder, tmp_path, lambda i, _: i.update(group=f"clip {i['id'] // 3}")), 0.15
    )
    assert len({photo.labels.group for photo in held_out}) == 1
    assert not {photo.labels.group for photo in held_out} & {photo.labels.group for photo in training}
    with pytest.raises(DataSetError, match="0 are to learn from.*Label more photos"):
        read_split(relabelled(folder, tmp_path, lambda i, _: i.update(group="one")), 0.15)


def test_labels_of_another_size_are_refused(folder: Path, tmp_path: Path):
    with pytest.raises(DataSetError, match=r"none of the 7 photos.*96 x 96 pixels.*\(97, 96\)"):
        read_split(relabelled(folder, tmp_path, lambda i, _: i.update(width=97)), 0.15)


def test_large_photos_are_kept_small_with_their_labels(tmp_path: Path):
    image = blank(400, 200)
    image[50:150, 100:140] = (250, 0, 0)
    write_image(tmp_path / "photo.png", as_photo(image))
    box, point = torch.tensor([[100.0, 50.0, 140.0, 150.0]]), torch.tensor([120.0, 60.0]).repeat(1, 17, 1)
    kept = keep_photo(photo_of(tmp_path, box, point, (400, 200)), most_px=200)
    assert kept.pixels().shape == (3, 100, 200) and kept.labels.boxes.tolist() == [[50, 25, 70, 75]]
    assert kept.labels.points_px[0, 0].tolist() == [60, 30]
    red = kept.pixels()[0].int() - kept.pixels()[1] > 120
    assert torch.stack([red.any(0).nonzero()[[0, -1], 0], red.any(1).nonzero()[[0, -1], 0]]).tolist() == [
        [50, 69],
        [25, 74],
    ]


@pytest.mark.parametrize("mirror", [False, True])
def test_a_cut_shows_boxes_and_points_where_the_picture_does(tmp_path: Path, mirror: bool):
    image = torch.zeros(3, 120, 160, dtype=torch.uint8)
    image[0, 40:80, 60:84] = 255  # the person
    image[1, 40:44, 60:64] = 255  # the left eye
    points = torch.full((1, 17, 2), 70.0)
    points[0, 1] = torch.tensor([62.0, 42.0])
    photo = photo_of(tmp_path, torch.tensor([[60.0, 40.0, 84.0, 80.0]]), points, (160, 120))
    square = Squares(torch.tensor([[80.0, 60.0]]), torch.tensor([100.0]), torch.zeros(1))
    cut = crop(image, square, 200, torch.tensor([mirror]))
    labels = labels_in(cut, photo, 200, CutOptions())
    red = cut.pixels[0, 0] > 0.5
    seen = torch.cat([axis.nonzero()[[0, -1], 0] for axis in (red.any(0), red.any(1))])[[0, 2, 1, 3]]
    assert (labels.boxes[0] - seen).abs().max() < 2
    green = (cut.pixels[0, 1] > 0.5).nonzero().float().mean(0).flip(-1) + 0.5
    assert (labels.points[0, MIRRORED[1] if mirror else 1] - green).norm() < 1


def test_who_is_cut_off_does_not_count_and_is_no_mistake(tmp_path: Path):
    boxes = torch.tensor([[0.0, 0.0, 40.0, 100.0], [60.0, 10.0, 90.0, 90.0]])
    photo = photo_of(tmp_path, boxes, torch.zeros(2, 17, 2), (200, 100))
    square = Squares(torch.tensor([[80.0, 50.0]]), torch.tensor([100.0]), torch.zeros(1))  # 30 to 130
    labels = labels_in(crop(torch.zeros(3, 100, 200, dtype=torch.uint8), square, 100), photo, 100, CutOptions())
    assert labels.boxes.round().tolist() == [[30, 10, 60, 90]] and labels.ignored.round().tolist() == [[0, 0, 10, 100]]


def test_turned_boxes_stay_about_the_person(tmp_path: Path):
    photo = photo_of(tmp_path, torch.tensor([[40.0, 20.0, 60.0, 80.0]]), torch.zeros(1, 17, 2), (100, 100))
    square = Squares(torch.tensor([[50.0, 50.0]]), torch.tensor([100.0]), torch.tensor([torch.pi / 2]))
    cut = crop(torch.zeros(3, 100, 100, dtype=torch.uint8), square, 100)
    torch.testing.assert_close(labels_in(cut, photo, 100, CutOptions()).boxes, torch.tensor([[20.0, 40.0, 80.0, 60.0]]))


def test_the_same_seed_draws_the_same_and_squares_stay_in_the_photo(folder: Path):
    training, _ = read_split(folder, 0.15)
    (first, labels), (again, _) = (
        draw_batch(training, 3, 64, CutOptions(), torch.Generator().manual_seed(2)) for _ in range(2)
    )
    assert torch.allclose(first, again, atol=1e-5) and len(labels) == 3
    for seed in range(20):
        square = cut_square(training[0].labels, CutOptions(), torch.Generator().manual_seed(seed))
        assert (square.center_px - 48).abs().max() <= (96 - square.size_px[0]).clamp_min(0) / 2 + 1e-3


def test_held_out_people_are_counted_and_crowds_forgiven(folder: Path):
    training, _ = read_split(folder, 0.15)
    somebody = [next(photo for photo in training if len(photo.labels.boxes))]
    net, options = MoveNet.load(), replace(OPTIONS, sizes_px=(192,))
    score = judged(net, somebody, options)
    assert score["held_out_found"] == score["held_out_right"] == 100 and score["held_out_points"] < 15
    empty = torch.zeros(0, 17, 2)
    nobody = replace(somebody[0].labels, boxes=torch.zeros(0, 4), points_px=empty, labelled=empty[..., 0] > 0)
    wrong = judged(net, [replace(somebody[0], labels=nobody)], options)
    crowd = replace(nobody, ignored=torch.tensor([[0.0, 0.0, 96.0, 96.0]]))
    forgiven = judged(net, [*somebody, replace(somebody[0], labels=crowd)], options)
    assert wrong["held_out_right"] == 0 and forgiven["held_out_right"] == 100


def test_scores_that_sank_are_levelled(folder: Path):
    training, _ = read_split(folder, 0.15)
    net, options = MoveNet.load(), replace(OPTIONS, sizes_px=(192,))
    assert level_scores(net, training, options) == 0.0, "the threshold is a good one as it is"
    with torch.no_grad():
        net.center[1].bias -= 6.0
    assert judged(net, training, options)["held_out_found"] == 0
    assert level_scores(net, training, options) > 1
    assert judged(net, training, options)["held_out_found"] > 50


def test_the_backbone_learns_only_if_asked():
    net = MoveNet.load()
    heads = sum(p.numel() for p in trained_parts(net, backbone=False).parameters())
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == heads < 200_000
    trained_parts(net, backbone=True)
    assert all(p.requires_grad for p in net.parameters())
