"""What comes out for a photo: the record of all people in it."""

from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from limner.body.keypoints import keypoint_indices
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.geometry.box import Squares
from limner.geometry.camera import Camera


@dataclass(frozen=True)
class People:
    """P people of one photo, best detection first. Lengths in metres, camera axes x right, y down, z into the scene.

    params        SMPL-X parameters; `transl` places the body in the camera
    vertices      "P V 3" mesh in the camera, faces "F 3" its triangles
    joints        "P 55 3" skeleton in the camera
    keypoints     "P 144 3" ExPose's keypoints in the camera (see `limner.body.keypoints`)
    keypoints_px  "P 144 2" the same in photo pixels
    confidence    "P 144" how sure the networks are of each keypoint, 0 to 1
    camera        the photo's camera, repeated for each person
    boxes         "P 4" x0 y0 x1 y1 photo pixels, scores "P" of the detector (1 for given boxes)
    body_square, left_hand_square, right_hand_square, face_square: where the networks looked
    left_hand_trusted, right_hand_trusted, face_trusted: whether that part network overruled the body network
    coarse        the body network's estimate alone, where the flow keeps it
    eased         "P 4" limbs (`pipeline.unseen.EASED`) that the photo does not show and that stand at ease, if known
    """

    params: BodyParams
    vertices: Float[Tensor, "P V 3"]
    faces: Int[Tensor, "F 3"]
    joints: Float[Tensor, "P 55 3"]
    keypoints: Float[Tensor, "P 144 3"]
    keypoints_px: Float[Tensor, "P 144 2"]
    confidence: Float[Tensor, "P 144"]
    camera: Camera
    boxes: Float[Tensor, "P 4"]
    scores: Float[Tensor, "P"]
    body_square: Squares
    left_hand_square: Squares
    right_hand_square: Squares
    face_square: Squares
    left_hand_trusted: Bool[Tensor, "P"]
    right_hand_trusted: Bool[Tensor, "P"]
    face_trusted: Bool[Tensor, "P"]
    coarse: BodyParams | None = None
    eased: Bool[Tensor, "P 4"] | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: slice | list[int] | Tensor) -> "People":
        """Some of the people, as a People again; index with a slice, a list or a tensor."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "faces"}
        rows: dict[str, Any] = {name: value[index] for name, value in values.items() if value is not None}
        return People(faces=self.faces, **rows)

    def keypoint_set(self, name: str) -> tuple[Float[Tensor, "P K 2"], Float[Tensor, "P K"], Float[Tensor, "P K 3"]]:
        """A named set, e.g. "coco_wholebody133": photo pixels, confidence, and camera-frame metres."""
        index = list(keypoint_indices(name))
        return self.keypoints_px[:, index], self.confidence[:, index], self.keypoints[:, index]


def nobody(model: BodyModel, camera: Camera) -> People:
    """The result for a photo without people."""
    params = model.rest(0)
    mesh = model(params)
    keypoints = model.keypoints144(mesh, params)
    square = Squares(torch.zeros(0, 2), torch.zeros(0), torch.zeros(0))
    none = torch.zeros(0, dtype=torch.bool)
    return People(
        params=params,
        vertices=mesh.vertices,
        faces=model.faces,
        joints=mesh.joints,
        keypoints=keypoints,
        keypoints_px=keypoints[..., :2],
        confidence=keypoints[..., 0],
        camera=camera,
        boxes=torch.zeros(0, 4),
        scores=torch.zeros(0),
        body_square=square,
        left_hand_square=square,
        right_hand_square=square,
        face_square=square,
        left_hand_trusted=none,
        right_hand_trusted=none,
        face_trusted=none,
    )
