"""limner, or the official ExPose network, as a system under test on the photos of a benchmark."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.keypoints import FACE68, KEYPOINT_NAMES, hand21, indices_of
from limner.body.model import BodyModel
from limner.body.skeleton import JOINT
from limner.data.sources.agora import FULL_WIDTH, Submitted
from limner.errors import WeightsError
from limner.estimator import Estimator
from limner.evaluate.benchmarks.agora import MATCHED_JOINTS
from limner.evaluate.benchmarks.record import Case
from limner.evaluate.person_points import PersonPoints
from limner.expose.estimator import OfficialEstimator
from limner.geometry.box import Squares
from limner.geometry.camera import camera_from_crop, photo_camera
from limner.geometry.warp import Frames
from limner.io.image import Photo, read_photo
from limner.pipeline.parts_alone import faces_in_boxes, hand_mesh, hands_in_boxes
from limner.pipeline.people import People

SEVEN_IBUG = (36, 39, 42, 45, 33, 48, 54)
"""iBUG numbers of `limner.data.sources.now.LANDMARKS`: eye corners, nose bottom, mouth corners, right ones first."""
FACE_ROOM = 1.4
"""Boxes given to the face network have this much room taken off again (`parts_alone.FIRST_MARGIN`)."""


class LimnerSystem:
    """limner, or the official ExPose network, as a system under test; it is not told the focal length.

    submitted: everybody of the crowds so far, by the photo's group, in the form that AGORA's server takes.
    """

    def __init__(self, estimator: Estimator | OfficialEstimator):
        self.estimator = estimator
        self.submitted: dict[str, list[Submitted]] = {}

    @torch.no_grad()
    def prediction(self, case: Case) -> PersonPoints | None:
        """The prediction for one case; None when nobody is seen. Raises LimnerError for photos that cannot be read."""
        photo = read_photo(case.photo)
        match case.kind:
            case "person":
                return self._person(photo, case.box)
            case "right_hand":
                return self._right_hand(photo)
            case "head":
                return self._head(photo)

    @torch.no_grad()
    def crowd(self, group: str, photo: Path) -> list[PersonPoints]:
        """Everybody that the detector finds in a photo. Raises LimnerError for photos that cannot be read."""
        read = read_photo(photo)
        people = self.estimator(read)
        joints_px = people.keypoints_px[:, :MATCHED_JOINTS] * (FULL_WIDTH / read.width)
        self.submitted[group] = [Submitted(group, people.params[i], joints_px[i]) for i in range(len(people))]
        return [_prediction(people, i) for i in range(len(people))]

    def _person(self, photo: Photo, box: Float[Tensor, "4"] | None) -> PersonPoints | None:
        people = self.estimator(photo, None if box is None else box[None])
        return _prediction(people, 0) if len(people) else None

    def _right_hand(self, photo: Photo) -> PersonPoints:
        """The hand network alone, the whole photo as its box; points from the wrist, camera axes."""
        if isinstance(self.estimator, OfficialEstimator):
            return _official_right_hand(self.estimator, photo)
        box = torch.tensor([[0.0, 0.0, photo.width, photo.height]])
        model, converter = self.estimator.own_body, self.estimator.converter
        frames = Frames((photo.pixels,))
        alone = hands_in_boxes(self.estimator.networks.hand, model, frames, box, torch.tensor([False]))
        camera = photo_camera(photo.width, photo.height, photo.focal_px, 1)
        to_camera = camera_from_crop(alone.seen.squares, camera)[0]
        prediction = alone.estimate
        betas = prediction.betas if converter is None else converter.betas(prediction.betas)
        vertices, faces = hand_mesh(self.estimator.body_model, prediction.wrist, prediction.hand_pose, betas)
        return PersonPoints(
            vertices=vertices[0] @ to_camera.mT,
            faces=faces,
            joints=alone.points[0] @ to_camera.mT,
            joint_names=hand21("right"),
        )

    def _head(self, photo: Photo) -> PersonPoints | None:
        """The head network's shape with a neutral face: where the estimator sees the best person's face."""
        if isinstance(self.estimator, OfficialEstimator):
            raise WeightsError(
                "this benchmark scores face shapes, and those of the official head network are FLAME's, which limner "
                "does not have. Leave --weights out, or score meshes of FLAME with --predictions."
            )
        people = self.estimator(photo)
        if not len(people):
            return None
        square = people.face_square[:1]
        half = square.size_px[:, None] / 2 / FACE_ROOM
        box = torch.cat([square.center_px - half, square.center_px + half], 1)
        model = self.estimator.own_body
        alone = faces_in_boxes(self.estimator.networks.face, model, Frames((photo.pixels,)), box)
        return neutral_head(model, alone.estimate.betas)


@torch.no_grad()
def neutral_head(model: BodyModel, betas: Float[Tensor, "1 S"]) -> PersonPoints:
    """The whole body at rest with this shape, and the seven landmarks of its face; metres."""
    params = model.rest().replace(betas=betas)
    mesh = model(params)
    points = model.keypoints144(mesh, params)[0]
    names = tuple(FACE68[i] for i in SEVEN_IBUG)
    return PersonPoints(vertices=mesh.vertices[0], faces=model.faces, landmarks=points[list(indices_of(names))])


def _official_right_hand(estimator: OfficialEstimator, photo: Photo) -> PersonPoints:
    """The official hand network alone, from its mean, the whole photo as its crop; SMPL-X's mean shape."""
    net, model, cropping = estimator.network.hand_net, estimator.body_model, estimator.cropping
    square = Squares(
        torch.tensor([[photo.width, photo.height]]) / 2, torch.tensor([float(max(photo.width, photo.height))]),
        torch.zeros(1),
    )  # fmt: skip
    vector = net(cropping.part(photo.pixels, square, net.backbone.crop_size, False).pixels).vector
    wrist, fingers = (net.layout.rotations(vector, name) for name in ("wrist_pose", "hand_pose"))
    rest, index = model.rest(), JOINT["right_wrist"]
    pose = torch.cat([rest.body_pose[:, : index - 1], wrist, rest.body_pose[:, index:]], 1)
    params = rest.replace(global_orient=torch.eye(3)[None], body_pose=pose, right_hand_pose=fingers)
    mesh = model(params)
    points = model.keypoints144(mesh, params)[0, list(indices_of(hand21("right")))]
    vertices, faces = hand_mesh(model, wrist[:, 0], fingers, rest.betas)
    return PersonPoints(vertices=vertices[0], faces=faces, joints=points - points[0], joint_names=hand21("right"))


def _prediction(people: People, row: int) -> PersonPoints:
    return PersonPoints(
        vertices=people.vertices[row],
        faces=people.faces,
        joints=people.keypoints[row],
        joint_names=KEYPOINT_NAMES,
        points_px=people.keypoints_px[row, :MATCHED_JOINTS],
    )
