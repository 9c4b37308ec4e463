"""The report of a body-model file: what it holds, and how its directions look."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from limner.body.assets import embedded_body_path, file_notes
from limner.body.keypoints import KEYPOINT_SETS
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import BODY_JOINTS, FACE_JOINTS, FINGER_JOINTS, JOINT
from limner.geometry.camera import Camera
from limner.geometry.rotation import rotation_from_axis_angle
from limner.io.image import write_image
from limner.render.overlay import clay, paint
from limner.render.sheet import LAYOUT, Tile, compose

STEP = 2.0
"""Coefficients are shown at plus and minus this; they are in standard deviations of the people the file was made of."""
SHAPES, EXPRESSIONS = 4, 5
"""How many directions of each kind the picture shows."""
DISTANCE = 50.0
"""Metres between camera and body: far enough that there is hardly any perspective."""


@dataclass(frozen=True)
class Frame:
    """What a tile shows: the point in its middle (camera axes), metres from bottom to top, and its size in pixels.

    turn_deg: the person is turned about camera axes by this rotation vector in degrees: (0, 90, 0) shows the left
    side, (90, 0, 0) the top.
    """

    center: list[float]
    metres: float
    height: int
    width: int
    turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)


def report_model(body_model: Path | None, out: Path) -> None:
    """Print what a body-model file holds and draw it to `out`: mean body, shapes, expressions, hands.

    Without `body_model` the embedded body. Raises BodyModelError and OutputError, which name the cure.
    """
    model = BodyModel.load(body_model)
    console = Console()
    console.print(describe(model))
    write_image(out, draw(model))
    console.print(Text(f"Picture: {out.resolve()}"), soft_wrap=True)


def describe(model: BodyModel) -> Table:
    """Sizes, joints, keypoint sets and statures of a body model as a table to print."""
    assets = model.assets
    embedded = assets.path == embedded_body_path()
    table = Table(title=Text("limner's embedded body" if embedded else assets.path.name), show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    correctives = "none" if assets.pose_directions is None else f"{assets.pose_directions.shape[-1]} directions"
    rows = {
        "file": str(assets.path),
        "mesh": f"{len(model.v_template)} vertices, {len(model.faces)} triangles",
        "joints": f"{len(BODY_JOINTS)} of the body, {len(FACE_JOINTS)} of the face, {len(FINGER_JOINTS)} a hand",
        "shape": _count(model.num_betas, assets.shape_directions.shape[-1], "betas"),
        "expression": _count(model.num_expression, assets.expression_directions.shape[-1], "coefficients"),
        "pose correctives": correctives,
        "skinning": f"at most {model.skin_joints.shape[1]} joints a vertex",
        "stature": "; ".join(_statures(model)),
        "keypoint sets": ", ".join(f"{name} ({len(names)})" for name, names in KEYPOINT_SETS.items()),
        "further arrays": ", ".join(sorted(assets.extra)) or "none",
    }
    if notes := file_notes(assets):
        rows["to know"] = " ".join(notes)
    for name, value in rows.items():
        table.add_row(name, Text(value))
    return table


def _count(used: int, available: int, what: str) -> str:
    return f"{used} {what}" + (f" of {available} in the file" if available > used else "")


def stature(model: BodyModel, params: BodyParams) -> Float[Tensor, "B"]:
    """Height of the T-pose from sole to crown, metres."""
    heights = model.rest_vertices(params)[..., 1]
    return heights.amax(1) - heights.amin(1)


def _statures(model: BodyModel) -> Iterator[str]:
    """The mean body's, and those of the first directions' extremes."""
    yield f"mean body {float(stature(model, model.rest())[0]):.2f} m"
    for k in range(min(2, model.num_betas)):
        low, high = (float(stature(model, _with_number(model, "betas", k, sign * STEP))[0]) for sign in (-1, 1))
        yield f"beta {k} from {-STEP:g} to {STEP:g}: {low:.2f} to {high:.2f} m"


def _with_number(model: BodyModel, field: str, index: int, value: float) -> BodyParams:
    """The body at rest with one coefficient of `betas` or `expression` set."""
    params = model.rest()
    numbers = getattr(params, field).clone()
    numbers[:, index] = value
    return params.replace(**{field: numbers})


@torch.no_grad()
def draw(model: BodyModel) -> UInt8[Tensor, "3 h w"]:
    """One picture of the mean body, its first shape directions, expressions, the jaw, and a hand that closes."""
    rows = [list(_bodies(model)), list(_faces(model)), list(_hands(model))]
    width = max(sum(tile.image.shape[2] for tile in row) + LAYOUT.gap * (len(row) - 1) for row in rows)
    return compose(rows, width, LAYOUT)


def _tile(model: BodyModel, params: BodyParams, frame: Frame, caption: str) -> Tile:
    """One person (a BodyParams of length 1) on white."""
    turn = rotation_from_axis_angle(torch.deg2rad(torch.tensor(frame.turn_deg)))
    # turned about the frame's centre, so that the centre stays in the middle
    mesh = model(params.replace(transl=-torch.tensor([frame.center])))
    moved = mesh.vertices @ turn.mT + torch.tensor([0.0, 0.0, DISTANCE])
    focal = torch.tensor([DISTANCE * frame.height / frame.metres])
    camera = Camera(focal, torch.tensor([[frame.width / 2, frame.height / 2]]))
    pixels = torch.cat([camera.project(moved), moved[..., 2:]], -1)
    canvas = torch.full((3, frame.height, frame.width), 255, dtype=torch.uint8)
    drawn = paint(canvas, pixels, model.faces, clay(moved, model.faces))
    return Tile(drawn, caption, LAYOUT.ink)


def _bodies(model: BodyModel) -> Iterator[Tile]:
    rest = model.rest()
    vertices = model(rest).vertices[0]
    low, high = vertices.amin(0), vertices.amax(0)
    middle = ((low + high) / 2).tolist()
    metres = 1.35 * float(high[1] - low[1])  # room for the tallest
    wide = int(460 * 1.05 * float(high[0] - low[0]) / metres)
    front = Frame(middle, metres, 460, wide)
    yield _tile(model, rest, front, "mean body")
    yield _tile(model, rest, Frame(middle, metres, 460, 150, (0.0, 90.0, 0.0)), "its left side")
    narrow = Frame(middle, metres, 460, wide // 2 + 70)
    for k in range(min(SHAPES, model.num_betas)):
        for value in (-STEP, STEP):
            arms_down = _relaxed(_with_number(model, "betas", k, value))
            yield _tile(model, arms_down, narrow, f"beta {k} = {value:+g}")


def _relaxed(params: BodyParams) -> BodyParams:
    """Arms down by 60 degrees."""
    pose = params.body_pose.clone()
    for name, angle_deg in (("left_shoulder", -60.0), ("right_shoulder", 60.0)):
        turn = rotation_from_axis_angle(torch.tensor([0.0, 0.0, angle_deg * torch.pi / 180]))
        pose[:, JOINT[name] - 1] = turn
    return params.replace(body_pose=pose)


def _faces(model: BodyModel) -> Iterator[Tile]:
    rest = model.rest()
    head = model(rest).joints[0, [JOINT["left_eye_smplx"], JOINT["right_eye_smplx"]]].mean(0).tolist()
    frame = Frame([head[0], head[1] + 0.03, head[2]], 0.3, 230, 175)
    yield _tile(model, rest, frame, "face at rest")
    for k in range(min(EXPRESSIONS, model.num_expression)):
        for value in (-STEP, STEP):
            yield _tile(model, _with_number(model, "expression", k, value), frame, f"expression {k} = {value:+g}")
    jaw = rotation_from_axis_angle(torch.tensor([[0.35, 0.0, 0.0]]))
    yield _tile(model, rest.replace(jaw_pose=jaw), frame, "jaw open, 20 deg")


def _hands(model: BodyModel) -> Iterator[Tile]:
    """The left hand from the front and from above: flat, and the mean hand of the file one, two and three times."""
    rest = model.rest()
    knuckle = model(rest).joints[0, JOINT["left_middle1"]].tolist()
    mean = model.hand_means[0].reshape(1, 15, 3)
    for factor in (0.0, 1.0, 2.0, 3.0):
        posed = rest.replace(left_hand_pose=rotation_from_axis_angle(mean * factor))
        caption = f"mean hand x {factor:g}" if factor else "flat left hand"
        yield _tile(model, posed, Frame(knuckle, 0.24, 230, 230), caption)
        yield _tile(model, posed, Frame(knuckle, 0.24, 230, 230, (90.0, 0.0, 0.0)), "from above")
