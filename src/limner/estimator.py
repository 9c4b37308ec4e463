"""Photo in, people out: the whole product, top to bottom."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.geometry.box import as_boxes, boxes_of_each, check_boxes
from limner.geometry.camera import Camera, check_focal, photo_camera
from limner.io.image import Photo
from limner.io.photo_input import P, PhotoLike, as_photo
from limner.networks.face_net import FaceNet
from limner.networks.hand_net import HandNet
from limner.networks.onnx import Engine
from limner.networks.person_net import Looks, PersonNet
from limner.networks.weights import Networks, load_networks, movenet_path, shipped_pose
from limner.pipeline.attention import (
    BodyLook,
    FaceLook,
    HandLook,
    bodies_of_looks,
    look_at_faces,
    look_at_hands,
    squares_of_boxes,
)
from limner.pipeline.confidence import keypoint_confidence
from limner.pipeline.convert_body import BodyConverter
from limner.pipeline.merge import merge
from limner.pipeline.part_alone import PartAlone, Side, faces_alone, hands_alone
from limner.pipeline.parts_alone import where_is_part
from limner.pipeline.people import People, nobody
from limner.pipeline.place import body_targets, join_targets, part_targets, place
from limner.pipeline.refine import refine
from limner.pipeline.refine_face import refine_face
from limner.pipeline.unseen import eased_limbs, with_unseen_at_ease
from limner.threads import one_torch_thread


@dataclass(frozen=True)
class Coarse:
    """What is known before anybody looks at hands and faces.

    look     what the body network saw
    body     its answer in the photo's camera, unseen limbs at ease
    refined  the same, moved onto the 2D points that were seen
    size_px  width and height of the photo
    """

    look: BodyLook
    camera: Camera
    body: BodyParams
    refined: BodyParams
    size_px: tuple[int, int]


@dataclass(frozen=True)
class Parts:
    """What the part networks saw: hands by side, and the face."""

    hands: dict[str, HandLook]
    face: FaceLook


class Estimator:
    """One photo in, everybody in it out, as SMPL-X bodies with hands and faces (ExPose, ECCV 2020).

        estimator = Estimator.load()
        people = estimator("photo.jpg")

    A body network sees each person in a low-resolution crop; its estimate says where hands and face are; those are cut
    again from the ORIGINAL photo; part networks refine them; all is merged into one body model.

    Each step is a method of its own (`look_at_people`, `look_at_parts`, `join`): `limner.experiments` leaves some out.
    """

    def __init__(self, networks: Networks, person_net: PersonNet, body_model: BodyModel, refined: bool = True):
        """body_model: the body of the results; the networks speak of limner's own, which is converted to another.

        `refined`: move the bodies onto the networks' own 2D points at the end (see `limner.pipeline.refine`).
        """
        self.person_net = person_net
        self.body_net, self.hand_net, self.face_net = networks.body, networks.hand, networks.face
        self.body_model = body_model
        self.converter = BodyConverter.to(body_model)
        self.own_body = body_model if self.converter is None else self.converter.source
        self.keypoint_model = self.own_body.keypoints_only()
        self.refined = refined

    @classmethod
    def load(
        cls,
        weights: str | Path = "limner",
        body_model: str | Path | None = None,
        refined: bool = True,
        engine: Engine = "onnx",
    ) -> "Estimator":
        """Networks and body model from files; the defaults ship with limner.

        weights: a folder of `limner train`'s files; if it holds a movenet.safetensors, that finds people.
        engine: what runs the networks, ONNX Runtime or torch; both say the same.
        Raises WeightsError or BodyModelError, which name the cure.
        """
        networks = load_networks(weights, engine)
        finder = PersonNet.load(movenet_path(weights), engine, shipped_pose(networks))
        return cls(networks, finder, BodyModel.load(body_model), refined)

    @overload
    def __call__(self, photo: PhotoLike, boxes: Any = None, focal_px: float | None = None) -> People: ...
    @overload
    def __call__(
        self, photo: list[P] | tuple[P, ...], boxes: Any = None, focal_px: float | None = None
    ) -> list[People]: ...
    @one_torch_thread()
    @torch.no_grad()
    def __call__(self, photo: Any, boxes: Any = None, focal_px: float | None = None) -> People | list[People]:
        """Everybody in a photo; nobody gives an empty People. A list or tuple of photos gives a list of People.

        photo: a path, bytes, an open binary file, a PIL image, a numpy array H W 3 or torch tensor 3 H W of uint8 RGB,
        or a `Photo`; other arrays are refused, see `limner.io.photo_input.as_photo`. boxes: x0 y0 x1 y1 of each person
        in photo pixels, if known, as lists, numpy or torch (four numbers are one person); for a list of photos a list
        with an entry a photo, boxes or None; otherwise the detector finds people. focal_px: the focal length, if known;
        otherwise from EXIF, otherwise the photo's diagonal. Raises PhotoError and BoxError.
        """
        if isinstance(photo, list | tuple):
            return [self(one, own, focal_px) for one, own in zip(photo, boxes_of_each(boxes, len(photo)), strict=True)]
        check_focal(focal_px)
        return self.together([as_photo(photo)], [None if boxes is None else as_boxes(boxes)], focal_px)[0]

    @one_torch_thread()
    @torch.no_grad()
    def together(
        self, photos: Sequence[Photo], boxes: Sequence[Float[Tensor, "_ 4"] | None], focal_px: float | None = None
    ) -> list[People]:
        """The people of several photos, one People a photo; boxes and errors as for one photo."""
        return [self._people_of(photo, own, focal_px) for photo, own in zip(photos, boxes, strict=True)]

    @property
    def note(self) -> str:
        """What a user should know of all results; mostly nothing."""
        return "" if self.converter is None else self.converter.note

    def _people_of(self, photo: Photo, boxes: Tensor | None, focal_px: float | None) -> People:
        pixels = photo.pixels
        height, width = pixels.shape[-2:]
        boxes, scores, looks = self._where_is_everyone(pixels, boxes)
        camera = photo_camera(width, height, focal_px or photo.focal_px, len(boxes))
        if not len(boxes):
            return nobody(self.body_model, camera)

        coarse = self.look_at_people(pixels, looks, camera)
        parts = self.look_at_parts(pixels, coarse.refined, camera)
        params = self.join(coarse, parts)
        if self.converter is not None:
            params = self.converter(params, camera)
        return self._people(params, boxes, scores, coarse, parts)

    @torch.no_grad()
    def hands(
        self, photo: PhotoLike, boxes: Any = None, side: Side = "auto", focal_px: float | None = None
    ) -> list[PartAlone]:
        """Hands in a photo that shows no body: one in each box; without boxes the one that is seen most clearly.

        side: left or right; "auto" goes by looks. Meshes and numbers are of limner's own body. Else as for people; see
        `limner.pipeline.part_alone.PartAlone`, which says how sure it is that there is a hand.
        """
        pixels, where, camera = self._parts_in(self.hand_net, photo, boxes, focal_px)
        return hands_alone(self.hand_net, self.own_body, pixels, where, camera, side)

    @torch.no_grad()
    def faces(self, photo: PhotoLike, boxes: Any = None, focal_px: float | None = None) -> list[PartAlone]:
        """Faces in a photo that shows no body; as `hands`."""
        pixels, where, camera = self._parts_in(self.face_net, photo, boxes, focal_px)
        return faces_alone(self.face_net, self.own_body, pixels, where, camera)

    def _parts_in(
        self, net: HandNet | FaceNet, photo: PhotoLike, boxes: Any, focal_px: float | None
    ) -> tuple[Tensor, Tensor, Camera]:
        """Pixels, a box a part, looked for if none is given, and the photo's camera for each."""
        check_focal(focal_px)
        read = as_photo(photo)
        where = where_is_part(net, read.pixels) if boxes is None else as_boxes(boxes)
        if boxes is not None:
            check_boxes(where, read.width, read.height)
        return read.pixels, where, photo_camera(read.width, read.height, focal_px or read.focal_px, len(where))

    @torch.no_grad()
    def look_at_people(self, photo: UInt8[Tensor, "3 H W"], looks: Looks, camera: Camera) -> Coarse:
        """Low resolution: whole people, one in each square that the finder has looked at."""
        size_px = (photo.shape[-1], photo.shape[-2])
        look = bodies_of_looks(self.body_net, photo, looks, self.person_net.pose)
        body = with_unseen_at_ease(self.keypoint_model, place(look, camera), look, *size_px)
        return Coarse(look, camera, body, self._refine(body, camera, look, size_px), size_px)

    @torch.no_grad()
    def look_at_parts(self, photo: UInt8[Tensor, "3 H W"], body: BodyParams, camera: Camera) -> Parts:
        """Attention: the body says where hands and face are in the original photo; the part networks look there."""
        points_px = camera.project(self._keypoints(body))
        hands = look_at_hands(self.hand_net, photo, body, points_px, camera)
        return Parts(hands, look_at_faces(self.face_net, photo, body, points_px, camera))

    @torch.no_grad()
    def join(self, coarse: Coarse, parts: Parts) -> BodyParams:
        """Parts on the refined body, and all of it moved onto all points seen."""
        params = merge(coarse.refined, parts.hands, parts.face)
        params = self._refine(params, coarse.camera, coarse.look, coarse.size_px, parts)
        params = merge(params, parts.hands, parts.face)  # arms and neck have moved: parts turn back to what was seen
        return self._refine_face(params, coarse.camera, parts.face)

    def _where_is_everyone(self, pixels: Tensor, boxes: Tensor | None) -> tuple[Tensor, Tensor, Looks]:
        """Boxes, scores, and upright squares that hold the whole person, with what was seen in them."""
        if boxes is None:
            found = self.person_net(pixels)
            return found.boxes, found.scores, found.looks
        check_boxes(boxes, pixels.shape[-1], pixels.shape[-2])
        return boxes, torch.ones(len(boxes)), self.looks_in(pixels, boxes)

    @torch.no_grad()
    def looks_in(self, photo: UInt8[Tensor, "3 H W"], boxes: Float[Tensor, "P 4"]) -> Looks:
        """Where the body network looks for people of whom only boxes are known."""
        return self.person_net.better_looks(photo, boxes, squares_of_boxes(self.body_net, photo, boxes))

    def _keypoints(self, params: BodyParams) -> Float[Tensor, "P 144 3"]:
        return self.keypoint_model.keypoints144(self.keypoint_model(params), params)

    def _refine(
        self,
        params: BodyParams,
        camera: Camera,
        body: BodyLook,
        photo_size: tuple[int, int],
        parts: Parts | None = None,
    ) -> BodyParams:
        """Move the body onto the 2D points seen so far."""
        targets = body_targets(self.body_net, body, *photo_size)
        if not self.refined or targets is None:
            return params
        seen = [] if parts is None else part_targets(self.keypoint_model, params, parts.hands, parts.face)
        return refine(self.keypoint_model, params, camera, join_targets([targets, *seen]))

    def _refine_face(self, params: BodyParams, camera: Camera, face: FaceLook) -> BodyParams:
        """Move each face's skin onto its landmarks."""
        if not self.refined or face.points_px is None:
            return params
        size_px = face.crops.squares.size_px
        return refine_face(self.keypoint_model, params, camera, face.points_px, size_px, face.trusted)[0]

    def _people(
        self,
        params: BodyParams,
        boxes: Tensor,
        scores: Tensor,
        coarse: Coarse,
        parts: Parts,
    ) -> People:
        hands, face = parts.hands, parts.face
        mesh = self.body_model(params)
        keypoints = self.body_model.keypoints144(mesh, params)
        keypoints_px = coarse.camera.project(keypoints)
        return People(
            params=params,
            vertices=mesh.vertices,
            faces=self.body_model.faces,
            joints=mesh.joints,
            keypoints=keypoints,
            keypoints_px=keypoints_px,
            confidence=keypoint_confidence(coarse.look, hands, face),
            camera=coarse.camera,
            boxes=boxes,
            scores=scores,
            body_square=coarse.look.crops.squares,
            left_hand_square=hands["left"].crops.squares,
            right_hand_square=hands["right"].crops.squares,
            face_square=face.crops.squares,
            left_hand_trusted=hands["left"].trusted,
            right_hand_trusted=hands["right"].trusted,
            face_trusted=face.trusted,
            eased=eased_limbs(coarse.look, *coarse.size_px),
        )
