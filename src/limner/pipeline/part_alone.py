"""One hand or one face alone in a photo: the record of it, and how it is placed in the photo's camera."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from limner.body.keypoints import FACE68, hand21, indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import JOINT
from limner.geometry.box import Squares
from limner.geometry.camera import (
    Camera,
    WeakCamera,
    camera_from_crop,
    translation_from_points,
    translation_from_weak,
)
from limner.geometry.rotation import mirror_rotation
from limner.geometry.warp import Frames
from limner.networks.part_net import FaceEstimate, HandEstimate, Observations, PartNet
from limner.pipeline.observe import MIN_PRESENCE
from limner.pipeline.parts import select
from limner.pipeline.parts_alone import (
    PartName,
    faces_in_boxes,
    hands_in_boxes,
    head_params,
    part_faces,
    which_are_left,
)
from limner.pipeline.refine_face import refine_face

Side = Literal["auto", "left", "right"]


@dataclass(frozen=True)
class PartAlone:
    """One hand or head that was seen without its body. Lengths in metres, camera axes x right, y down, z ahead.

    part          left_hand, right_hand or face
    params        one row of SMPL-X parameters: a body in the T-pose that turns as a whole with its part, so that this
                  lies where it was seen; only the part's own numbers mean something (fingers and `betas`, or jaw,
                  `expression` and `betas`, of limner's own body)
    vertices      "V 3" mesh of the part alone in the camera, faces "F 3" its triangles
    keypoints     "K 3" in the camera, keypoints_px "K 2" in photo pixels, names: a hand's 21 points or a face's 68
    camera, box   the photo's camera (one row); x0 y0 x1 y1 where the part was said to be, photo pixels
    square        where the network looked (one row)
    presence      probability in [0, 1] that there is such a part at all; under 0.5 the rest is a guess
    """

    part: PartName
    params: BodyParams
    vertices: Float[Tensor, "V 3"]
    faces: Int[Tensor, "F 3"]
    keypoints: Float[Tensor, "K 3"]
    keypoints_px: Float[Tensor, "K 2"]
    names: tuple[str, ...]
    camera: Camera
    box: Float[Tensor, "4"]
    square: Squares
    presence: float

    @property
    def seen(self) -> bool:
        """Whether the network is sure enough that the part is there."""
        return self.presence > MIN_PRESENCE

    @property
    def keypoint_set(self) -> str:
        """The name of its points among `limner.body.keypoints.KEYPOINT_SETS`."""
        return "face68" if self.part == "face" else f"{self.part}21"

    def numpy(self) -> dict[str, np.ndarray]:
        """The numbers as float32 arrays by name, for `np.savez`."""
        params = {
            name: getattr(self.params, name)[0]
            for name in ("global_orient", "left_hand_pose", "right_hand_pose", "jaw_pose", "betas", "expression")
        }
        names = ("vertices", "keypoints", "keypoints_px", "box")
        own = {name: getattr(self, name) for name in names} | {"camera_K": self.camera.K[0]}
        floats = {name: value.detach().cpu().float().numpy() for name, value in (params | own).items()}
        return floats | {"faces": self.faces.cpu().numpy().astype(np.int32), "presence": np.float32(self.presence)}

    def __repr__(self) -> str:
        box = " ".join(f"{number:.0f}" for number in self.box.tolist())
        return f"PartAlone({self.part.replace('_', ' ')}, presence {self.presence:.2f}, box {box} px)"


def hands_alone(
    net: PartNet[HandEstimate],
    model: BodyModel,
    frames: Frames,
    boxes: Float[Tensor, "P 4"],
    camera: Camera,
    side: Side = "auto",
) -> list[PartAlone]:
    """The hand in each box. side "auto": what each looks like, which is right for most hands, not for all.

    frames: the one photo; camera: its own, one row a box; model: limner's own body.
    """
    left = torch.full_like(boxes[:, 0], side == "left", dtype=torch.bool)
    if side == "auto":
        left = which_are_left(net, model, frames, boxes)
    alone = hands_in_boxes(net, model, frames, boxes, left)
    said = alone.estimate
    wrist = camera_from_crop(alone.seen.squares, camera) @ _as_seen(said.wrist, left)
    fingers = _as_seen(said.hand_pose, left)
    rest = model.rest(len(boxes))
    params = rest.replace(
        global_orient=wrist,
        left_hand_pose=select(left, fingers, rest.left_hand_pose),
        right_hand_pose=select(left, rest.right_hand_pose, fingers),
        betas=said.betas[:, : model.num_betas],
    )
    flip = torch.stack([1 - 2 * left.float(), torch.ones_like(boxes[:, 0])], -1)
    weak = WeakCamera(said.camera.scale, said.camera.translation * flip)
    parts: list[PartName] = ["left_hand" if is_left else "right_hand" for is_left in left.tolist()]
    params = _placed(model, params, parts, alone.seen, weak, camera)
    return _records(model, params, parts, alone.seen, camera, boxes)


def faces_alone(
    net: PartNet[FaceEstimate],
    model: BodyModel,
    frames: Frames,
    boxes: Float[Tensor, "P 4"],
    camera: Camera,
) -> list[PartAlone]:
    """The face in each box; arguments as for `hands_alone`."""
    alone = faces_in_boxes(net, model, frames, boxes)
    seen, params = alone.seen, head_params(model, alone.estimate)
    params = params.replace(global_orient=camera_from_crop(seen.squares, camera) @ params.global_orient)
    parts: list[PartName] = ["face"] * len(boxes)
    params = _placed(model, params, parts, seen, alone.estimate.camera, camera)
    points_px = _points_px(seen, len(FACE68))
    if points_px is not None and seen.features.presence is not None:
        sure, size_px = seen.presence > MIN_PRESENCE, seen.squares.size_px
        params = refine_face(model.keypoints_only(), params, camera, points_px, size_px, sure)[0]
    return _records(model, params, parts, seen, camera, boxes)


def _as_seen(rotations: Tensor, left: Bool[Tensor, "P"]) -> Tensor:
    """Rotations of hands that all were looked at as right ones, as the left ones among them are."""
    return select(left, mirror_rotation(rotations), rotations)


def _names(part: PartName) -> tuple[str, ...]:
    return FACE68 if part == "face" else hand21(part.removesuffix("_hand"))


def _root(part: PartName) -> int:
    return JOINT["head" if part == "face" else part.replace("hand", "wrist")]


def _points_px(seen: Observations, count: int) -> Tensor | None:
    """The part's points in the photo, where the backbone reports these very points."""
    points_px = seen.points_px
    return None if points_px is None or points_px.shape[1] != count else points_px


def _placed(
    model: BodyModel,
    params: BodyParams,
    parts: list[PartName],
    seen: Observations,
    weak: WeakCamera,
    camera: Camera,
) -> BodyParams:
    """Moved to where the part's points fall on those that were seen; else to where the crop's camera puts its root."""
    mesh = model(params)
    rows = torch.arange(len(parts), device=camera.focal_px.device)
    roots = mesh.joints[rows, [_root(part) for part in parts]]
    by_crop = translation_from_weak(weak, seen.squares, camera) - roots
    chosen = torch.tensor([indices_of(_names(part)) for part in parts], device=rows.device)
    points_px = _points_px(seen, chosen.shape[1] if len(parts) else 0)
    if points_px is None:
        return params.replace(transl=by_crop)
    points = model.keypoints144(mesh, params)[rows[:, None], chosen]
    return params.replace(transl=translation_from_points(points, points_px, camera, by_crop))


def _records(
    model: BodyModel,
    params: BodyParams,
    parts: list[PartName],
    seen: Observations,
    camera: Camera,
    boxes: Tensor,
) -> list[PartAlone]:
    mesh = model(params)
    keypoints = model.keypoints144(mesh, params)
    presence = seen.presence.tolist()
    records = []
    for i, part in enumerate(parts):
        triangles = part_faces(model, part)
        used = triangles.unique()
        points = keypoints[i, list(indices_of(_names(part)))]
        records.append(
            PartAlone(
                part=part,
                params=params[i],
                vertices=mesh.vertices[i, used],
                faces=torch.searchsorted(used, triangles),
                keypoints=points,
                keypoints_px=camera[i].project(points[None])[0],
                names=_names(part),
                camera=camera[i],
                box=boxes[i],
                square=seen.squares[i],
                presence=presence[i],
            )
        )
    return records
