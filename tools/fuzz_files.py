"""Which files of others does limner read? One small valid file for each reader, and the call that reads it."""

import json
import pickle
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from tests.conftest import smplx_arrays  # noqa: E402
from tests.curate.fakes import SlidingFit, seen_people  # noqa: E402
from tests.data.sources import tiny_sets  # noqa: E402
from tests.fit.test_vposer import SIZES  # noqa: E402

from limner.body.assets import read_body_assets  # noqa: E402
from limner.body.model import BodyModel  # noqa: E402
from limner.curate.run import read_provenance  # noqa: E402
from limner.curate.store import CuratedSet  # noqa: E402
from limner.data.crop_shards import CropPictures, write_crops  # noqa: E402
from limner.data.curated import check_curated, read_curated  # noqa: E402
from limner.data.evidence import read_shards  # noqa: E402
from limner.data.labelled_photos import read_labelled_photos  # noqa: E402
from limner.data.sources import frames, pickled  # noqa: E402
from limner.data.sources.freihand import read_freihand  # noqa: E402
from limner.data.sources.meshes import read_mesh  # noqa: E402
from limner.data.sources.now import read_points  # noqa: E402
from limner.data.sources.threedpw import read_threedpw  # noqa: E402
from limner.evaluate.photo_sets import read_photo_sets  # noqa: E402
from limner.evaluate.prediction_files import people_of  # noqa: E402
from limner.evaluate.resume import Done, Ledger  # noqa: E402
from limner.experiments.backbones import read_backbones  # noqa: E402
from limner.expose.checkpoint import read_checkpoint  # noqa: E402
from limner.expose.convert_params import convert_params  # noqa: E402
from limner.expose.demo_file import read_demo_params, write_demo_params  # noqa: E402
from limner.expose.load import load_network  # noqa: E402
from limner.fit.files import read_fits_file, write_fits_file  # noqa: E402
from limner.fit.prior import load_priors  # noqa: E402
from limner.fit.vposer import LAYERS, load_vposer  # noqa: E402
from limner.io.box_file import read_boxes  # noqa: E402
from limner.io.image import read_photo  # noqa: E402
from limner.io.keypoint_file import read_keypoints  # noqa: E402
from limner.io.motion_file import read_params, write_params  # noqa: E402
from limner.networks.shipped import load_weights  # noqa: E402
from limner.networks.weights import NetSpec, build_net, load_net, write_net  # noqa: E402
from limner.synth.light import read_panoramas  # noqa: E402
from limner.synth.poses import read_pose_library  # noqa: E402
from limner.train.checkpoint import cosine_schedule, read_log, resume_state, save_state  # noqa: E402


@dataclass(frozen=True)
class Reader:
    """One reader: `write` leaves valid files in a folder and returns the one that is changed, `read` reads all of
    them. kind: a key of `fuzz_mutate.KINDS`. accepts: the valid file too is refused with limner's own error."""

    name: str
    kind: str
    write: Callable[[Path], Path]
    read: Callable[[Path], object]
    refuses: bool = False


def readers() -> Iterator[Reader]:
    """All of them."""
    for ending, kind in ((".png", "png"), (".jpg", "jpeg"), (".webp", "bytes"), (".tif", "bytes"), (".bmp", "bytes")):
        yield Reader(f"photo {ending}", kind, lambda f, e=ending: _photo(f / f"photo{e}"), read_photo)
    for name, content in _keypoints().items():
        yield Reader(f"keypoints {name}", "json", _json("a_keypoints.json", content), read_keypoints)
    yield Reader("boxes", "json", _json("boxes.json", {"a.jpg": [[1, 2, 30, 40]], "b.jpg": []}), read_boxes)
    listed = {"images": ["a.jpg", "b.jpg"], "boxes": [[1, 2, 30, 40], [[3, 4, 50, 60]]]}
    yield Reader("boxes, listed", "json", _json("boxes.json", listed), read_boxes)
    yield Reader("body .npz", "npz", _body_npz, lambda f: BodyModel.load(f))
    yield Reader("body .pkl", "pickle", _body_pickle, lambda f: BodyModel.load(f))
    yield Reader("params.npz", "npz", _params, read_params)
    yield Reader("expose params", "npz", _expose, read_demo_params)
    yield Reader("params to expose", "npz", _params, lambda f: convert_params(f, f.with_name("out_params.npz")))
    yield Reader("expose to params", "npz", _expose, lambda f: convert_params(f, f.with_name("out.npz")))
    for zipped in (True, False):
        kind, what = ("torch", "zip") if zipped else ("pickle", "old")
        yield Reader(f"official {what}", kind, lambda f, z=zipped: _official(f, z), read_checkpoint)
        yield Reader(f"vposer {what}", kind, lambda f, z=zipped: _vposer(f, z), load_vposer)
    yield Reader("vposer .safetensors", "tensors", _vposer_tensors, load_vposer)
    yield Reader("official whole", "torch", lambda f: _official(f, True), load_network, refuses=True)
    yield Reader("official converted", "tensors", _converted, load_network, refuses=True)
    yield Reader("training checkpoint", "torch", _checkpoint, _resume)
    yield Reader("training log", "text", _text("body_log.csv", "step,loss\n1,0.5\n2,0.25\n"), read_log)
    yield Reader("weights", "tensors", _weights, load_net)
    yield Reader("shipped weights", "tensors", _shipped, lambda f: load_weights(torch.nn.Linear(4, 3), "x", f))
    yield Reader("pose prior", "tensors", _prior, load_priors)
    yield Reader("curated set", "sqlite", _set, _look_through)
    fits = {"a": {"people": [{"verdict": "fitted", "objective": 1.5, "scores": {"x": None}, "folder": "person_0"}]}}
    yield Reader("fits.json", "json", lambda f: _fits(f, fits), read_fits_file)
    yield Reader("annotations", "json", _annotations, lambda f: read_labelled_photos(f.parent))
    yield Reader("photo sets", "json", _annotations, lambda f: read_photo_sets(f.parent))
    yield Reader("evidence", "tensors", _evidence, lambda f: read_shards([f]))
    yield Reader("crops", "tensors", _crops, lambda f: CropPictures([f])[torch.arange(2)])
    yield Reader("exported set", "tar", _exported, _read_exported)
    yield Reader("exported set, people", "npz", _exported_people, _read_exported_people)
    described = {"format": "limner-curated", "version": 1, "body": {}}
    yield Reader("dataset.json", "json", _json("dataset.json", described), lambda f: check_curated(f.parent))
    yield Reader("provenance", "text", _text("p.csv", "file,licence,source\na.jpg,CC0,me\n"), read_provenance)
    yield Reader("set pickle", "pickle", _set_pickle, pickled.read_pickle)
    yield Reader("set .npz", "npz", _set_npz, pickled.read_npz)
    yield Reader("set .npy", "npy", _set_npy, pickled.read_npy)
    for name in ("pandas_1_5.pkl", "pandas_3_1.pkl"):
        source = REPOSITORY / "tests" / "data" / "sources" / "tables" / name
        yield Reader(f"table {name}", "pickle", lambda f, s=source: _copy(s, f), frames.read_frame)
    yield Reader("3DPW", "pickle", _threedpw, lambda f: list(read_threedpw(f.parents[2])))
    yield Reader("FreiHAND", "json", _freihand, lambda f: list(read_freihand(f.parent)))
    yield Reader("mesh .obj", "text", _text("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1/1 2/2 3/3\n"), read_mesh)
    yield Reader("mesh .ply", "bytes", _ply, read_mesh)
    yield Reader("points .npy", "npy", _points, read_points)
    picked = tiny_sets.PICKED.format(points=' <point x="1" y="2" z="3" active="1" name="0"/>\n')
    yield Reader("points .pp", "text", _text("a.pp", picked), read_points)
    yield Reader("points .lnd", "text", _text("a.lnd", "P0 1.0 2.0 3.0\nP1 1 2 3\n"), read_points)
    for name, kind, write in _answers():
        yield Reader(f"answers {name}", kind, write, lambda f: [one.prediction for one in people_of(f, BODY)])
    row = {
        "name": "a",
        "init": "b",
        "trained": "c",
        "images": 1,
        "minutes": 2,
        "ms_per_crop": 3,
        "heldout_pa_mpjpe_mm": 4,
    }
    yield Reader("backbones", "json", _json("backbones.json", {"rows": [row]}), read_backbones)
    yield Reader("ledger", "text", _ledger, lambda f: Ledger(f.parent, "run").find("a", "key"))
    yield Reader("poses", "npz", _poses, lambda f: read_pose_library(f, torch.device("cpu")))
    yield Reader("panoramas", "json", _panoramas, lambda f: read_panoramas(f.parent, torch.device("cpu"), 16))


BODY = BodyModel.load()


def _copy(source: Path, folder: Path) -> Path:
    file = folder / source.name
    file.write_bytes(source.read_bytes())
    return file


def _json(name: str, content: object) -> Callable[[Path], Path]:
    return _text(name, json.dumps(content))


def _text(name: str, text: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text(text)
        return folder / name

    return write


def _photo(file: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)
    Image.fromarray(pixels).save(file, **({"progressive": True} if file.suffix == ".jpg" else {}))
    return file


def _keypoints() -> dict[str, object]:
    openpose = {
        "people": [{"pose_keypoints_2d": [1.0] * 75, "hand_left_keypoints_2d": [2.0] * 63, "face_keypoints_2d": []}]
    }
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "keypoints": [1, 2, 2] * 17, "bbox": [1, 2, 3, 4]}],
    }
    person = {"box_px": [1, 2, 3, 4], "score": 0.5, "keypoints_px": [[1, 2, 1]] * 17, "keypoints_camera_m": None}
    own = {
        "format": "limner-keypoints", "version": 1, "photo": "a.jpg", "photo_size_px": [30, 40], "name_set": "coco17",
        "names": ["x"] * 17, "camera": {"focal_px": 100, "center_px": [15, 20]}, "people": [person],
    }  # fmt: skip
    return {"openpose": openpose, "coco": coco, "own": own}


def _small_body() -> dict[str, Any]:
    return smplx_arrays(vertices=40, directions=20)


def _body_npz(folder: Path) -> Path:
    np.savez(folder / "SMPLX_NEUTRAL.npz", **_small_body())
    return folder / "SMPLX_NEUTRAL.npz"


def _body_pickle(folder: Path) -> Path:
    import scipy.sparse

    arrays = {name: array for name, array in _small_body().items() if array.dtype != object}
    arrays["J_regressor"] = scipy.sparse.csc_matrix(arrays["J_regressor"])
    (folder / "SMPLX_NEUTRAL.pkl").write_bytes(pickle.dumps(arrays, protocol=2))
    return folder / "SMPLX_NEUTRAL.pkl"


def _params(folder: Path) -> Path:
    from tests.io.test_motion_file import motion

    model = BODY
    write_params(
        folder / "params.npz",
        motion(1, betas=torch.zeros(model.num_betas), expression=torch.zeros(1, model.num_expression)),
    )
    return folder / "params.npz"


def _expose(folder: Path) -> Path:
    from limner.expose.demo_file import DemoPerson
    from limner.geometry.box import Squares
    from limner.geometry.camera import Camera, WeakCamera

    crop = Squares(torch.tensor([[30.0, 21.0]]), torch.tensor([40.0]), torch.zeros(1))
    person = DemoPerson(
        name="a",
        rotations=torch.eye(3).repeat(55, 1, 1),
        betas=torch.zeros(10),
        expression=torch.zeros(10),
        transl=torch.tensor([0.1, 0.3, 31.0]),
        vertices=torch.rand(30, 3),
        v_shaped=torch.rand(30, 3),
        joints=torch.rand(144, 3),
        proj_joints=torch.rand(144, 2),
        camera=Camera(torch.tensor([5000.0]), crop.center_px),
        weak=WeakCamera(torch.tensor([0.8]), torch.tensor([[0.1, 0.3]])),
        crop=crop,
        photo_size_px=(60, 42),
        box_px=torch.tensor([1.0, 2.0, 30.0, 40.0]),
    )
    write_demo_params(folder / "a_params.npz", person)
    return folder / "a_params.npz"


def _official(folder: Path, zipped: bool) -> Path:
    model = {
        "smplx.backbone.conv1.weight": torch.arange(12.0).reshape(3, 4),
        "smplx.backbone.bn1.weight": torch.nn.Parameter(torch.ones(4, dtype=torch.float16)),
        "smplx.regressor.mean_param": np.ones((1, 341), np.float32),
        "smplx.body_model.v_template": torch.rand(40, 3),
        "smplx.neck_kin_chain": torch.tensor([12, 9, 6, 3, 0]),
    }
    torch.save({"model": model, "iteration": 3}, folder / "model.ckpt", _use_new_zipfile_serialization=zipped)
    return folder / "model.ckpt"


def _vposer_state() -> dict[str, torch.Tensor]:
    found = {}
    for short, name in LAYERS.items():
        size = SIZES[short]
        kinds = {"weight": size, "bias": size[:1]}
        kinds |= {"running_mean": size, "running_var": size} if short.startswith("norm") else {}
        found |= {f"vp_model.{name}.{kind}": torch.rand(shape) + 0.1 for kind, shape in kinds.items()}
    return found


def _vposer(folder: Path, zipped: bool) -> Path:
    torch.save({"state_dict": _vposer_state()}, folder / "v.ckpt", _use_new_zipfile_serialization=zipped)
    return folder / "v.ckpt"


def _vposer_tensors(folder: Path) -> Path:
    save_file(_vposer_state(), folder / "v.safetensors")
    return folder / "v.safetensors"


def _converted(folder: Path) -> Path:
    from limner.expose.body_assets import assets_to_arrays
    from limner.expose.load import KIND, VERSION, _stored_order

    _body_npz(folder)
    arrays = assets_to_arrays(read_body_assets(folder / "SMPLX_NEUTRAL.npz"))
    tensors = {f"body_model.{name}": torch.tensor(_stored_order(name, array)) for name, array in arrays.items()}
    notes = {"limner": json.dumps({"kind": KIND, "version": VERSION, "source": "model.ckpt"})}
    save_file(tensors, folder / "expose.safetensors", notes)
    return folder / "expose.safetensors"


def _trained() -> tuple[torch.nn.Module, torch.optim.Optimizer, Any]:
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
    optimiser = torch.optim.AdamW(net.parameters(), 1e-3)
    return net, optimiser, cosine_schedule(optimiser, 10)


def _checkpoint(folder: Path) -> Path:
    net, optimiser, schedule = _trained()
    net(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    schedule.step()
    save_state(folder / "body_checkpoint.pt", net, optimiser, schedule, 1)
    return folder / "body_checkpoint.pt"


def _resume(file: Path) -> None:
    net, optimiser, schedule = _trained()
    resume_state(file, net, optimiser, schedule)
    net(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    schedule.step()


def _weights(folder: Path) -> Path:
    spec = NetSpec("hand", hidden=(8,), stages=1)
    write_net(folder, spec, build_net(spec))
    return folder / "hand.safetensors"


def _shipped(folder: Path) -> Path:
    save_file({"weight": torch.rand(3, 4).half(), "bias": torch.rand(3).half()}, folder / "x.safetensors")
    return folder / "x.safetensors"


def _prior(folder: Path) -> Path:
    import limner

    return _copy(Path(limner.__file__).parent / "assets" / "pose_prior.safetensors", folder)


def _set(folder: Path) -> Path:
    fit = SlidingFit(BODY)
    curated = CuratedSet.make(folder)
    curated.add_photos([(folder / "a.jpg", "CC0", "me"), (folder / "b.jpg", "", "")])
    for photo, people in ((1, 1), (2, 2)):
        seen = seen_people(BODY, people)
        curated.save_seen(photo, (320, 400), seen, [b"\xff\xd8thumb"] * people)
        curated.save_fits([(photo, people)], fit(seen))
    curated.decide(1, 0, "accepted", "Anna")
    curated.close()
    return folder / "set.sqlite"


def _look_through(file: Path) -> None:
    curated = CuratedSet.open(file.parent)
    try:
        curated.counts(), curated.photo_counts(), curated.unfinished()
        for order in ("best", "worst", "photo"):
            for person in curated.people(None, order):  # type: ignore[arg-type]
                curated.body(person.id)
                curated.changes(person.id)
                curated.photo(person.photo)
                try:
                    curated.thumb(person.id)
                except KeyError:
                    continue  # "there is none", which its callers ask for
            curated.next_open(order, "Anna")  # type: ignore[arg-type]
        list(curated.chosen(0.1))
        for person in curated.people(None, "best"):
            curated.undo(person.id, person.version, "Anna")
    finally:
        curated.close()


def _fits(folder: Path, fits: dict[str, Any]) -> Path:
    write_fits_file(folder / "fits.json", fits)
    return folder / "fits.json"


def _annotations(folder: Path) -> Path:
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 30, "height": 40}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "bbox": [1, 2, 20, 30],
                "keypoints": [1.0, 2.0, 2] * 17,
                "iscrowd": 0,
            }
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": list(_coco17())}],
    }
    return _json("annotations.json", content)(folder)


def _coco17() -> tuple[str, ...]:
    from limner.data.labelled_photos import COCO17

    return COCO17


def _evidence(folder: Path) -> Path:
    count = 2
    tensors = {
        "pooled": torch.rand(count, 5).half(), "keypoints": torch.rand(count, 4, 3), "presence": torch.rand(count),
        "image": torch.rand(count, 0).half(), "pose": torch.rand(count, 55, 3), "betas": torch.rand(count, 10),
        "expression": torch.rand(count, 20), "transl": torch.rand(count, 3), "focal_px": torch.rand(count),
        "principal_px": torch.rand(count, 2), "square_center_px": torch.rand(count, 2),
        "square_size_px": torch.rand(count), "square_angle_rad": torch.rand(count),
        "mirrored": torch.zeros(count, dtype=torch.bool), "visible": torch.ones(count, 144, dtype=torch.bool),
    }  # fmt: skip
    save_file(tensors, folder / "body_00000.safetensors")
    return folder / "body_00000.safetensors"


def _crops(folder: Path) -> Path:
    write_crops(folder / "crops.safetensors", torch.randint(0, 255, (2, 3, 32, 32), dtype=torch.uint8))
    return folder / "crops.safetensors"


def _exported_files(folder: Path) -> dict[str, Path]:
    (folder / "dataset.json").write_text(json.dumps({"format": "limner-curated", "version": 1}))
    _photo(folder / "0.jpg")
    (folder / "0.json").write_text(json.dumps({"licence": "CC0", "source": "me"}))
    arrays = {
        "pose": np.zeros((1, 55, 3), np.float32), "betas": np.zeros((1, 10), np.float32),
        "expression": np.zeros((1, 20), np.float32), "transl": np.zeros((1, 3), np.float32),
        "keypoints_px": np.zeros((1, 144, 3), np.float32), "by_hand": np.zeros((1, 144), np.float32),
        "focal_px": np.ones(1, np.float32), "center_px": np.ones((1, 2), np.float32),
        "boxes": np.ones((1, 4), np.float32), "quality": np.ones(1, np.float32),
    }  # fmt: skip
    np.savez(folder / "0.npz", **arrays)
    (folder / "shards").mkdir(exist_ok=True)
    return {name: folder / name for name in ("0.jpg", "0.json", "0.npz")}


def _packed(folder: Path) -> Path:
    target = folder / "shards" / "train-000000.tar"
    with tarfile.open(target, "w") as tar:
        for name in ("0.jpg", "0.json", "0.npz"):
            tar.add(folder / name, name)
    return target


def _exported(folder: Path) -> Path:
    _exported_files(folder)
    return _packed(folder)


def _exported_people(folder: Path) -> Path:
    return _exported_files(folder)["0.npz"]


def _read_exported(file: Path) -> None:
    for photo in read_curated(file.parents[1], "train"):
        photo.truth()


def _read_exported_people(file: Path) -> None:
    _read_exported(_packed(file.parent))


def _set_content() -> dict[str, Any]:
    records = np.array([(1, 2.5)], dtype=[("a", "<i4"), ("b", "<f8")])
    return {
        "poses": [np.arange(6.0).reshape(2, 3)], "n": np.float64(2.5), "names": np.array(["a", "b"]), "r": records,
        "objects": np.array([{"x": 1}, None], dtype=object), "columns": np.asfortranarray(np.eye(3, 2)),
    }  # fmt: skip


def _set_pickle(folder: Path) -> Path:
    (folder / "set.pkl").write_bytes(pickle.dumps(_set_content(), protocol=2))
    return folder / "set.pkl"


def _set_npz(folder: Path) -> Path:
    np.savez(folder / "set.npz", smplx={"betas": np.ones(3)}, numbers=np.arange(3), names=np.array(["a", "b"]))
    return folder / "set.npz"


def _set_npy(folder: Path) -> Path:
    np.save(folder / "set.npy", np.random.default_rng(0).random((5, 3)))
    return folder / "set.npy"


def _threedpw(folder: Path) -> Path:
    tiny_sets.write_threedpw(folder, np.random.default_rng(0).random((1, 2, 24, 3)))
    return folder / "sequenceFiles" / "test" / "yard_00.pkl"


def _freihand(folder: Path) -> Path:
    g = np.random.default_rng(0)
    tiny_sets.write_freihand(folder, g.random((1, 21, 3)), g.random((1, 778, 3)).round(2))
    return folder / "evaluation_xyz.json"


def _ply(folder: Path) -> Path:
    import trimesh

    trimesh.Trimesh(np.random.default_rng(0).random((5, 3)), [[0, 1, 2]], process=False).export(folder / "a.ply")
    return folder / "a.ply"


def _points(folder: Path) -> Path:
    np.save(folder / "a.npy", np.random.default_rng(0).random((7, 3)))
    return folder / "a.npy"


def _answers() -> Iterator[tuple[str, str, Callable[[Path], Path]]]:
    g = np.random.default_rng(0)
    poses = {"global_orient": g.random(3), "body_pose": g.random(63), "betas": np.zeros(10), "transl": g.random(3)}
    matrices = {"global_pose": np.eye(3)[None], "body_pose": np.eye(3)[None].repeat(21, 0), "exp": np.zeros((1, 20))}
    agora = {"verts": g.random((30, 3)), "allSmplJoints3d": g.random((127, 3)), "joints": g.random((24, 2))}
    amass = {"poses": g.random((2, 165)), "trans": g.random((2, 3)), "betas": np.zeros(10)}
    mesh = {"vertices": g.random((30, 3)), "joints": g.random((144, 3)), "transl": g.random(3)}

    def npz(folder: Path, content: dict[str, Any]) -> Path:
        np.savez(folder / "a.npz", **content)
        return folder / "a.npz"

    def pkl(folder: Path, content: dict[str, Any]) -> Path:
        (folder / "a.pkl").write_bytes(pickle.dumps(content, protocol=2))
        return folder / "a.pkl"

    yield "parameters", "npz", lambda f: npz(f, poses)
    yield "amass", "npz", lambda f: npz(f, amass)
    yield "mesh", "npz", lambda f: npz(f, mesh)
    yield "pixie", "pickle", lambda f: pkl(f, matrices)
    yield "agora", "pickle", lambda f: pkl(f, agora)
    yield "json", "json", _json("a.json", {name: value.tolist() for name, value in poses.items()})
    yield (
        "freihand",
        "json",
        _json("pred.json", [g.random((1, 21, 3)).tolist(), g.random((1, 778, 3)).round(2).tolist()]),
    )
    yield "vertices", "npy", _set_npy


def _ledger(folder: Path) -> Path:
    ledger = Ledger(folder / "run", "run")
    ledger.add(Done("a", "key", {"a": {"x": 1.0}}, distances=True), torch.rand(4))
    return folder / "run" / "cases.jsonl"


def _poses(folder: Path) -> Path:
    g = np.random.default_rng(0)
    np.savez(folder / "poses.npz", body_pose=g.random((3, 21, 3)), global_orient=g.random((3, 3)), weight=np.ones(3))
    return folder / "poses.npz"


def _panoramas(folder: Path) -> Path:
    pixels = np.random.default_rng(0).integers(100, 140, (32, 64, 4), np.uint8)
    Image.fromarray(pixels, "RGBA").save(folder / "a.webp", lossless=True, exact=True)
    return _json("names.json", {"hdris": [{"file": "a.webp"}]})(folder)
