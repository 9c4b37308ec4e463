"""The result of a photo: the record of all people in it, and the view of one of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import overload

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from limner.body.keypoints import keypoint_indices
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.geometry.box import Squares
from limner.geometry.camera import Camera
from limner.index import Index, is_one
from limner.networks.part_net import Observations
from limner.records import Rows

SHOWN_SCORES = 6
"""So many scores are in the line that a People prints as."""


@dataclass(frozen=True)
class PeopleObservations(Rows):
    """What the networks saw of P people, crops without their pixels: each hand and face as its network looked last."""

    body: Observations
    right_hand: Observations
    left_hand: Observations
    face: Observations

    def without_pixels(self) -> "PeopleObservations":
        """What is kept."""
        return PeopleObservations(**{name: seen.without_pixels() for name, seen in self.rows().items()})


@dataclass(frozen=True)
class People(Rows):
    """P people of one photo, best detection first. Lengths in metres, camera axes x right, y down, z into the scene.

    A sequence: `people[0]` is one `Person`, iteration yields one after the other; a slice, a list or an array of whole
    numbers or truth values gives a People again (`people[:1]`, `people[people.scores > 0.5]`).

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
    eased         "P 4" limbs (`pipeline.unseen.LIMB_NAMES`) that the photo does not show: in the default pose, if known
    observations  what the networks saw, where the flow keeps it
    """

    params: BodyParams
    vertices: Float[Tensor, "P V 3"]
    faces: Int[Tensor, "F 3"] = field(metadata={"shared": True})
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
    observations: PeopleObservations | None = None

    @overload  # type: ignore[override]
    def __getitem__(self, index: int | np.integer) -> "Person": ...
    @overload
    def __getitem__(self, index: slice | list[int] | list[bool] | np.ndarray | Tensor) -> "People": ...
    def __getitem__(self, index: Index) -> "Person | People":
        """One person, or some of them as a People again. Raises IndexError out of range."""
        some = super().__getitem__(index)
        return Person(some) if is_one(index) else some

    def __iter__(self) -> "Iterator[Person]":
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        if not len(self):
            return "People(nobody)"
        scores = [f"{score:.2f}" for score in self.scores[:SHOWN_SCORES].tolist()]
        more = " ..." if len(self) > SHOWN_SCORES else ""
        hands = int(self.left_hand_trusted.sum() + self.right_hand_trusted.sum())
        seen = f"{_counted(int(self.face_trusted.sum()), 'face')} and {_counted(hands, 'hand')} seen"
        people = "1 person" if len(self) == 1 else f"{len(self)} people"
        return f"People({people}, score{'s' * (len(self) > 1)} {' '.join(scores)}{more}, {seen})"

    def numpy(self) -> dict[str, np.ndarray]:
        """All numbers as arrays by name, float32, whole numbers int32: `np.savez("people.npz", **people.numpy())`.

        The tensors of this record under their own names; the SMPL-X parameters under theirs (rotation matrices, `betas`
        and `expression` of the estimator's body model); the camera as camera_K "P 3 3"; the squares as
        body_square_px, ... "P 4": centre x and y, side, angle in radians.
        """
        arrays: dict[str, np.ndarray] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            match value:
                case Tensor():
                    arrays[one.name] = _array(value)
                case Camera():
                    arrays[f"{one.name}_K"] = _array(value.K)
                case Squares():
                    rows = torch.cat([value.center_px, value.size_px[:, None], value.angle_rad[:, None]], -1)
                    arrays[f"{one.name}_px"] = _array(rows)
                case BodyParams():
                    before = "" if one.name == "params" else f"{one.name}_"
                    arrays |= {before + name: _array(numbers) for name, numbers in value.rows().items()}
        return arrays

    def keypoint_set(self, name: str) -> tuple[Float[Tensor, "P K 2"], Float[Tensor, "P K"], Float[Tensor, "P K 3"]]:
        """A named set, e.g. "coco_wholebody133": photo pixels, confidence, and camera-frame metres."""
        index = list(keypoint_indices(name))
        return self.keypoints_px[:, index], self.confidence[:, index], self.keypoints[:, index]


@dataclass(frozen=True)
class Person:
    """One person of a photo: the fields of `People` without their first axis.

    alone   the same person as a People of length 1, for what takes people: `save_results`, `overlay`, ...
    params  BodyParams of length 1, as `BodyModel` takes them: `body_model(person.params)`; `params.body_pose[0]` is the
            pose alone
    """

    alone: People

    @property
    def params(self) -> BodyParams:
        """SMPL-X parameters, one row."""
        return self.alone.params

    @property
    def vertices(self) -> Float[Tensor, "V 3"]:
        """Mesh in the camera, metres."""
        return self.alone.vertices[0]

    @property
    def faces(self) -> Int[Tensor, "F 3"]:
        """Its triangles."""
        return self.alone.faces

    @property
    def joints(self) -> Float[Tensor, "55 3"]:
        """Skeleton in the camera, metres."""
        return self.alone.joints[0]

    @property
    def keypoints(self) -> Float[Tensor, "144 3"]:
        """ExPose's keypoints in the camera, metres."""
        return self.alone.keypoints[0]

    @property
    def keypoints_px(self) -> Float[Tensor, "144 2"]:
        """The same in photo pixels."""
        return self.alone.keypoints_px[0]

    @property
    def confidence(self) -> Float[Tensor, "144"]:
        """How sure the networks are of each keypoint, 0 to 1."""
        return self.alone.confidence[0]

    @property
    def camera_K(self) -> Float[Tensor, "3 3"]:
        """The photo's camera: pixel = K xyz / z."""
        return self.alone.camera.K[0]

    @property
    def box(self) -> Float[Tensor, "4"]:
        """x0 y0 x1 y1, photo pixels."""
        return self.alone.boxes[0]

    @property
    def score(self) -> float:
        """Of the detector; 1 for a given box."""
        return float(self.alone.scores[0])

    @property
    def left_hand_trusted(self) -> bool:
        """Whether the hand network overruled the body network."""
        return bool(self.alone.left_hand_trusted[0])

    @property
    def right_hand_trusted(self) -> bool:
        """Whether the hand network overruled the body network."""
        return bool(self.alone.right_hand_trusted[0])

    @property
    def face_trusted(self) -> bool:
        """Whether the face network overruled the body network."""
        return bool(self.alone.face_trusted[0])

    def keypoint_set(self, name: str) -> tuple[Float[Tensor, "K 2"], Float[Tensor, "K"], Float[Tensor, "K 3"]]:
        """A named set, e.g. "coco_wholebody133": photo pixels, confidence, and camera-frame metres."""
        pixels, confidence, metres = self.alone.keypoint_set(name)
        return pixels[0], confidence[0], metres[0]

    def numpy(self) -> dict[str, np.ndarray]:
        """As `People.numpy` without the first axis; `box` and `score` instead of `boxes` and `scores`."""
        singular = {"boxes": "box", "scores": "score"}
        arrays = self.alone.numpy()
        return {singular.get(key, key): value if key == "faces" else value[0] for key, value in arrays.items()}

    def __repr__(self) -> str:
        parts = (("face", self.face_trusted), ("left hand", self.left_hand_trusted))
        seen = [name for name, trusted in (*parts, ("right hand", self.right_hand_trusted)) if trusted]
        box = " ".join(f"{number:.0f}" for number in self.box.tolist())
        return f"Person(score {self.score:.2f}, box {box} px, {' and '.join(seen) or 'neither face nor hands'} seen)"


def _array(values: Tensor) -> np.ndarray:
    if values.dtype == torch.bool:
        return values.detach().cpu().numpy()
    return values.detach().to("cpu", torch.float32 if values.is_floating_point() else torch.int32).numpy()


def _counted(count: int, name: str) -> str:
    return f"{count} {name}{'s' * (count != 1)}"


def nobody(model: BodyModel, camera: Camera) -> People:
    """The result for a photo without people."""
    params = model.rest(0)
    mesh = model(params)
    keypoints = model.keypoints144(mesh, params)
    empty = camera.focal_px[:0]
    square, none = Squares(empty.view(0, 2), empty, empty), empty.bool()
    return People(
        params=params,
        vertices=mesh.vertices,
        faces=model.faces,
        joints=mesh.joints,
        keypoints=keypoints,
        keypoints_px=keypoints[..., :2],
        confidence=keypoints[..., 0],
        camera=camera,
        boxes=empty.view(0, 4),
        scores=empty,
        body_square=square,
        left_hand_square=square,
        right_hand_square=square,
        face_square=square,
        left_hand_trusted=none,
        right_hand_trusted=none,
        face_trusted=none,
    )
