"""Photos in, people out: the whole product, top to bottom."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.errors import LimnerError
from limner.geometry.box import as_boxes, check_boxes
from limner.geometry.camera import Camera, check_focal, photo_camera
from limner.geometry.warp import Frames
from limner.io.image import Photo
from limner.io.photo_input import PhotoLike, as_photo
from limner.networks.detector import Detections, PersonDetector
from limner.networks.onnx import Engine
from limner.networks.part_net import Observations, PartNet
from limner.networks.weights import Networks, load_networks, movenet_path, shipped_pose
from limner.pipeline.confidence import keypoint_confidence
from limner.pipeline.convert_body import BodyConverter
from limner.pipeline.merge import merge
from limner.pipeline.observe import observe_bodies, observe_faces, observe_hands, squares_of_boxes
from limner.pipeline.part_alone import PartAlone, Side, faces_alone, hands_alone
from limner.pipeline.parts_alone import where_is_part
from limner.pipeline.people import People, PeopleObservations, nobody
from limner.pipeline.people_estimator import PeopleEstimator
from limner.pipeline.place import body_targets, join_targets, part_targets, place
from limner.pipeline.predict import Coarse, Parts, predict_faces, predict_hands
from limner.pipeline.refine import refine
from limner.pipeline.refine_face import refine_face
from limner.pipeline.unseen import unseen_limbs, with_default_pose
from limner.records import join
from limner.threads import one_torch_thread


class Flow:
    """The steps from observations to people. They see no pixels: a photo, a clip's frame and kept features take them.

    Rows are people, of one frame or of many: nothing here asks how many frames there are.
    """

    def __init__(self, networks: Networks, body_model: BodyModel, refined: bool = True):
        """body_model: limner's own. `refined`: move the bodies onto the networks' own 2D points."""
        self.networks, self.keypoint_model, self.refined = networks, body_model.keypoints_only(), refined

    def coarse(self, seen: Observations, camera: Camera) -> Coarse:
        """Whole people from what the body network's backbone saw in low resolution."""
        estimate = self.networks.body.predict(seen.features)
        body = with_default_pose(self.keypoint_model, place(seen, estimate, camera), seen)
        return Coarse(seen, estimate, camera, body, self._refine(body, camera, seen))

    def parts(self, body: BodyParams, camera: Camera, hands: Observations, faces: Observations) -> Parts:
        """Hands and faces, started from the body. hands: right ones of all people, then left ones."""
        both = predict_hands(self.networks.hand, hands, join([body, body]), join([camera, camera]))
        face = predict_faces(self.networks.face, faces, body, camera)
        return Parts(both[: len(body)], both[len(body) :], face)

    def join(self, coarse: Coarse, parts: Parts) -> BodyParams:
        """Parts on the refined body, and all of it moved onto all points seen."""
        params = merge(coarse.refined, parts)
        params = self._refine(params, coarse.camera, coarse.seen, parts)
        params = merge(params, parts)  # arms and neck have moved: parts turn back to what was seen
        points_px, size_px = parts.face.seen.points_px, parts.face.seen.squares.size_px
        if not self.refined or points_px is None:
            return params
        return refine_face(self.keypoint_model, params, coarse.camera, points_px, size_px, parts.face.trusted)[0]

    def keypoints_px(self, params: BodyParams, camera: Camera) -> Float[Tensor, "P 144 2"]:
        """Where a body's 144 keypoints are in its frame."""
        return camera.project(self.keypoint_model.keypoints144(self.keypoint_model(params), params))

    def _refine(self, params: BodyParams, camera: Camera, seen: Observations, parts: Parts | None = None) -> BodyParams:
        """The body moved onto the 2D points seen so far."""
        targets = body_targets(self.networks.body, seen)
        if not self.refined or targets is None:
            return params
        of_parts = [] if parts is None else part_targets(self.keypoint_model, params, parts)
        return refine(self.keypoint_model, params, camera, join_targets([targets, *of_parts]))


class Estimator(PeopleEstimator):
    """Photos in, everybody in them out, as SMPL-X bodies with hands and faces (ExPose, ECCV 2020).

        estimator = Estimator.load()
        people = estimator("photo.jpg")

    A body network sees each person in a low-resolution crop; its estimate says where hands and face are; those are cut
    again from the ORIGINAL photo; part networks refine them; all is merged into one body model.

    Each step is a method of its own, here or in `Flow`: `limner.experiments` leaves some out.
    """

    def __init__(self, networks: Networks, detector: PersonDetector, body_model: BodyModel, refined: bool = True):
        """body_model: the body of the results; the networks speak of limner's own, which is converted to another.

        `refined`: move the bodies onto the networks' own 2D points at the end (see `limner.pipeline.refine`).
        """
        self.detector, self.body_model = detector, body_model
        self.converter = BodyConverter.to(body_model)
        self.own_body = body_model if self.converter is None else self.converter.source
        self.flow = Flow(networks, self.own_body, refined)
        self.device = body_model.v_template.device

    @property
    def networks(self) -> Networks:
        """The three part networks."""
        return self.flow.networks

    def to(self, device: str | torch.device) -> "Estimator":
        """Move everything to a device; returns the estimator itself."""
        self.device = torch.device(device)
        for module in (self.detector, self.body_model, self.own_body, self.flow.keypoint_model):
            module.to(self.device)
        self.flow.networks = self.networks.to(self.device)
        if self.converter is not None:
            self.converter.move(self.device)
        return self

    @classmethod
    def load(
        cls,
        weights: str | Path = "limner",
        body_model: str | Path | None = None,
        refined: bool = True,
        engine: Engine | None = None,
        device: str | torch.device = "cpu",
    ) -> "Estimator":
        """Networks and body model from files; the defaults ship with limner.

        weights: a folder of `limner train`'s files; if it holds a movenet.safetensors, that finds people.
        engine: what runs the networks, ONNX Runtime ("onnx", on the CPU only) or "torch"; both say the same. Default:
        ONNX Runtime on the CPU, torch on other devices. device: of everything, results included, as torch names it.
        Raises WeightsError or BodyModelError, which name the cure.
        """
        on_cpu = torch.device(device).type == "cpu"
        if engine is None:
            engine = "onnx" if on_cpu else "torch"
        elif engine == "onnx" and not on_cpu:
            raise LimnerError(f'engine "onnx" runs on the CPU, got device {str(device)!r}. Leave engine out.')
        networks = load_networks(weights, engine)
        detector = PersonDetector.load(movenet_path(weights), engine, shipped_pose(networks))
        return cls(networks, detector, BodyModel.load(body_model), refined).to(device)

    @one_torch_thread()
    @torch.no_grad()
    def together(
        self, photos: Sequence[Photo], boxes: Sequence[Float[Tensor, "_ 4"] | None], focal_px: float | None = None
    ) -> list[People]:
        """The people of several photos that go through the steps as one batch, one People a photo.

        boxes: of each photo, or None where the detector is to find people. Raises BoxError.
        """
        frames = Frames(tuple(photo.pixels.to(self.device) for photo in photos))
        found = self.detect(frames, boxes)
        cameras = join([photo_camera(p.width, p.height, focal_px or p.focal_px, 1, self.device) for p in photos])
        if len(found):
            coarse = self.flow.coarse(self.observe_bodies(frames, found), cameras[found.frame])
            parts = self.attend(frames, coarse, coarse.refined)
            params = self.flow.join(coarse, parts)
            if self.converter is not None:
                params = self.converter(params, coarse.camera)
            everybody = self.people(params, found, coarse, parts)
        ends = torch.bincount(found.frame, minlength=len(photos)).cumsum(0).tolist()
        return [
            everybody[start:end] if end > start else nobody(self.body_model, cameras[:0])
            for start, end in pairwise([0, *ends])
        ]

    @torch.no_grad()
    def detect(self, frames: Frames, boxes: Sequence[Float[Tensor, "_ 4"] | None]) -> Detections:
        """Everybody in these frames, where boxes say or the detector finds them; with what BlazePose saw there."""
        for own, pixels in zip(boxes, frames.pixels, strict=True):
            if own is not None:
                check_boxes(own, pixels.shape[-1], pixels.shape[-2])
        found = self.detector(frames, [i for i, own in enumerate(boxes) if own is None])
        known = [(i, own.to(self.device)) for i, own in enumerate(boxes) if own is not None and len(own)]
        if not known:
            return found
        frame = torch.tensor([i for i, own in known for _ in own], device=self.device)
        given = torch.cat([own for _, own in known])
        squares = squares_of_boxes(self.networks.body, frames, frame, given)
        pose = self.detector.better_observed(frames, frame, given, squares)
        both = join([found, Detections(frame, given, torch.ones_like(given[:, 0]), pose)])
        return both[both.frame.argsort(stable=True)]

    @torch.no_grad()
    def observe_bodies(self, frames: Frames, found: Detections) -> Observations:
        """Whole people in low resolution, one in each square that the detector has looked at."""
        return observe_bodies(self.networks.body, frames, found.pose, self.detector.pose)

    @torch.no_grad()
    def attend(self, frames: Frames, coarse: Coarse, body: BodyParams) -> Parts:
        """Attention: the body says where hands and face are in the original frame; the part networks look there."""
        frame, points_px = coarse.seen.frame, self.flow.keypoints_px(body, coarse.camera)
        hands = observe_hands(self.networks.hand, frames, frame, points_px)
        faces = observe_faces(self.networks.face, frames, frame, points_px)
        return self.flow.parts(body, coarse.camera, hands, faces)

    def people(self, params: BodyParams, found: Detections, coarse: Coarse, parts: Parts) -> People:
        """The result: meshes, keypoints and all that is known of these people."""
        mesh = self.body_model(params)
        keypoints = self.body_model.keypoints144(mesh, params)
        seen = PeopleObservations(coarse.seen, parts.right_hand.seen, parts.left_hand.seen, parts.face.seen)
        return People(
            params=params,
            vertices=mesh.vertices,
            faces=self.body_model.faces,
            joints=mesh.joints,
            keypoints=keypoints,
            keypoints_px=coarse.camera.project(keypoints),
            confidence=keypoint_confidence(coarse.seen, parts),
            camera=coarse.camera,
            boxes=found.boxes,
            scores=found.scores,
            body_square=seen.body.squares,
            left_hand_square=seen.left_hand.squares,
            right_hand_square=seen.right_hand.squares,
            face_square=seen.face.squares,
            left_hand_trusted=parts.left_hand.trusted,
            right_hand_trusted=parts.right_hand.trusted,
            face_trusted=parts.face.trusted,
            eased=unseen_limbs(coarse.seen),
            observations=seen.without_pixels(),
        )

    @property
    def note(self) -> str:
        """What a user should know of all results; mostly nothing."""
        return "" if self.converter is None else self.converter.note

    @torch.no_grad()
    def hands(
        self, photo: PhotoLike, boxes: Any = None, side: Side = "auto", focal_px: float | None = None
    ) -> list[PartAlone]:
        """Hands in a photo that shows no body: one in each box; without boxes the one that is seen most clearly.

        side: left or right; "auto" goes by looks. Meshes and numbers are of limner's own body. Else as for people; see
        `limner.pipeline.part_alone.PartAlone`, which says how sure it is that there is a hand.
        """
        net = self.networks.hand
        frames, where, camera = self._parts_in(net, photo, boxes, focal_px)
        return hands_alone(net, self.own_body, frames, where, camera, side)

    @torch.no_grad()
    def faces(self, photo: PhotoLike, boxes: Any = None, focal_px: float | None = None) -> list[PartAlone]:
        """Faces in a photo that shows no body; as `hands`."""
        net = self.networks.face
        frames, where, camera = self._parts_in(net, photo, boxes, focal_px)
        return faces_alone(net, self.own_body, frames, where, camera)

    def _parts_in(
        self, net: PartNet[Any], photo: PhotoLike, boxes: Any, focal_px: float | None
    ) -> tuple[Frames, Tensor, Camera]:
        """The photo as a frame, a box a part, looked for if none is given, and the photo's camera for each."""
        check_focal(focal_px)
        read = as_photo(photo)
        frames = Frames((read.pixels.to(self.device),))
        where = where_is_part(net, frames) if boxes is None else as_boxes(boxes).to(self.device)
        if boxes is not None:
            check_boxes(where, read.width, read.height)
        focal = focal_px or read.focal_px
        return frames, where, photo_camera(read.width, read.height, focal, len(where), self.device)
