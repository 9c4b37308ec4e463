"""Photos in, people out, by the official ExPose network: its own way number for number, or a cleaner one."""

from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import JOINT_NAMES, NUM_BODY
from limner.expose.crops import CLEAN_CROPS, OFFICIAL_CROPS, Cropping
from limner.expose.load import load_network
from limner.expose.network import DEMO_FOCAL_PX, ExposeNetwork, ExposePeople
from limner.geometry.box import check_boxes
from limner.geometry.camera import (
    Camera,
    camera_from_crop,
    photo_camera,
    translation_from_points,
    translation_from_weak,
)
from limner.geometry.warp import Frames
from limner.io.image import Photo
from limner.networks.detector import PersonDetector
from limner.pipeline.people import People, nobody
from limner.pipeline.people_estimator import PeopleEstimator
from limner.records import join

PREFIX = "expose:"
"""`limner evaluate --weights expose:PATH` means the official checkpoint at PATH."""
Mode = Literal["official", "clean"]


Runtime = Literal["torch", "onnx"]


class OfficialEstimator(PeopleEstimator):
    """Photos in, everybody in them out, by the official ExPose network (its licence and files are the user's).

        estimator = OfficialEstimator.load("data/checkpoints/model.ckpt")
        people = estimator("photo.jpg", boxes)

    mode "official": crops, numbers and camera of the released code and its demo: every person has a camera of their
    own (5000 px about the centre of their crop), `keypoints_px` are the network's own weak-perspective points.
    mode "clean": crops cut to the fraction of a pixel and anti-aliased; all people stand in the photo's one camera,
    turned and moved so that they look there as in their crops, and `keypoints_px` are projections by that camera.
    """

    def __init__(self, network: ExposeNetwork, mode: Mode = "official"):
        self.network, self.mode = network, mode

    @classmethod
    def load(
        cls,
        checkpoint: str | Path,
        body_model: str | Path | None = None,
        mode: Mode = "official",
        runtime: Runtime = "torch",
    ) -> "OfficialEstimator":
        """From the official .ckpt, the folder of the official download, or a converted .safetensors.

        `body_model`, `runtime` and errors: see `limner.expose.load.load_network`.
        """
        return cls(load_network(checkpoint, body_model, runtime=runtime), mode)

    @property
    def body_model(self) -> BodyModel:
        """The body model that the checkpoint was trained with."""
        return self.network.body_model

    @property
    def note(self) -> str:
        """What a user should know of all results: how to get the compiled loops, where they are missing."""
        if find_spec("llvmlite") is not None:
            return ""
        return "The official network takes a third less time with its compiled loops: pip install 'limner[expose]'"

    @property
    def cropping(self) -> Cropping:
        """How crops are cut in this mode."""
        return OFFICIAL_CROPS if self.mode == "official" else CLEAN_CROPS

    @cached_property
    def detector(self) -> PersonDetector:
        """limner's detector, loaded when boxes are not given."""
        return PersonDetector.load()

    @torch.inference_mode()
    def together(
        self,
        photos: Sequence[Photo],
        boxes: Sequence[Float[Tensor, "_ 4"] | None],
        focal_px: float | None = None,
    ) -> list[People]:
        """The people of several photos that go through the networks as one batch, one People a photo.

        boxes: x0 y0 x1 y1 in photo pixels; where None, limner's detector finds people. focal_px: of the cameras;
        default in mode "official" the demo's 5000, in mode "clean" that of EXIF, else the photo's diagonal. Raises
        BoxError.
        """
        found = [self._where(photo, given) for photo, given in zip(photos, boxes, strict=True)]
        counts = [len(own) for own, _ in found]
        if not sum(counts):
            return [nobody(self.body_model, Camera(torch.zeros(0), torch.zeros(0, 2))) for _ in photos]
        seen = self.network.people([photo.pixels for photo in photos], [own for own, _ in found], self.cropping)
        all_boxes, scores = (torch.cat(parts) for parts in zip(*found, strict=True))
        if self.mode == "official":
            people = self._as_demo(seen, all_boxes, scores, focal_px)
        else:
            cameras = [
                photo_camera(photo.width, photo.height, focal_px or photo.focal_px, count)
                for photo, count in zip(photos, counts, strict=True)
            ]
            people = self._in_one_camera(seen, all_boxes, scores, join(cameras))
        return [people[start:end] for start, end in pairwise(accumulate(counts, initial=0))]

    def _where(self, photo: Photo, boxes: Tensor | None) -> tuple[Tensor, Tensor]:
        """Boxes and scores."""
        if boxes is None:
            found = self.detector(Frames((photo.pixels,)))
            return found.boxes, found.scores
        check_boxes(boxes, photo.width, photo.height)
        return boxes, torch.ones(len(boxes))

    def _as_demo(self, seen: ExposePeople, boxes: Tensor, scores: Tensor, focal_px: float | None) -> People:
        """The camera of the official demo: a long focal length about the centre of each crop."""
        camera = Camera(torch.full((len(seen),), focal_px or DEMO_FOCAL_PX), seen.squares.center_px)
        transl = translation_from_weak(seen.camera, seen.squares, camera)
        moved = seen.vertices + transl[:, None], seen.keypoints + transl[:, None]
        placed = [params.replace(transl=transl) for params in (seen.params, seen.coarse)]
        return self._people(seen, boxes, scores, camera, placed, (*moved, seen.keypoints_px))

    def _in_one_camera(self, seen: ExposePeople, boxes: Tensor, scores: Tensor, camera: Camera) -> People:
        """The photo's camera: turned towards the crop, moved to where the body's joints fit the network's points."""
        turn = camera_from_crop(seen.squares, camera)
        turned = [params.replace(global_orient=turn @ params.global_orient) for params in (seen.params, seen.coarse)]
        mesh = self.body_model(turned[0])
        keypoints = self.body_model.keypoints144(mesh, turned[0])
        body = slice(0, NUM_BODY + 1)
        weak = translation_from_weak(seen.camera, seen.squares, camera)
        transl = translation_from_points(keypoints[:, body], seen.keypoints_px[:, body], camera, weak)
        keypoints = keypoints + transl[:, None]
        placed = [params.replace(transl=transl) for params in turned]
        points = mesh.vertices + transl[:, None], keypoints, camera.project(keypoints)
        return self._people(seen, boxes, scores, camera, placed, points)

    def _people(
        self,
        seen: ExposePeople,
        boxes: Tensor,
        scores: Tensor,
        camera: Camera,
        placed: list[BodyParams],
        points: tuple[Tensor, Tensor, Tensor],
    ) -> People:
        """`placed`: final and coarse parameters; `points`: vertices and keypoints in the camera, keypoints in px."""
        vertices, keypoints, keypoints_px = points
        params, coarse = placed
        always = torch.ones(len(seen), dtype=torch.bool)
        return People(
            params=params,
            vertices=vertices,
            faces=self.body_model.faces,
            joints=keypoints[:, : len(JOINT_NAMES)],
            keypoints=keypoints,
            keypoints_px=keypoints_px,
            confidence=torch.ones(keypoints.shape[:2]),  # the official network reports none
            camera=camera,
            boxes=boxes,
            scores=scores,
            body_square=seen.squares,
            left_hand_square=seen.left_hand,
            right_hand_square=seen.right_hand,
            face_square=seen.head,
            left_hand_trusted=always,
            right_hand_trusted=always,
            face_trusted=always,
            coarse=coarse,
        )
