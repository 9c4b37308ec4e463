"""The official ExPose network, number for number: photo and person boxes in, SMPL-X people out.

Read `ExposeNetwork.people` first: it is the method. Everything that the original does differently from limner's own
path is here or in `crops`, on purpose.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import pad

from limner.body.assets import BodyAssets
from limner.body.keypoints import HEAD_KEYPOINTS, KEYPOINT_SETS, indices_of
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import BODY_JOINTS, chain_to_root
from limner.body.skinning import absolute_rotation
from limner.expose.crops import OFFICIAL_CROPS, Cropping
from limner.expose.fold import AffineRegressor
from limner.expose.onnx_backbone import OnnxBackbone
from limner.geometry.box import Squares, bounds_of, check_boxes, squares_around
from limner.geometry.camera import WeakCamera
from limner.geometry.rotation import mirror_rotation, rotation_to_6d
from limner.networks.hrnet import HRNet
from limner.networks.regressor import (
    IterativeRegressor,
    ParamLayout,
    body_layout,
    decode_body,
    hand_layout,
    head_layout,
)
from limner.networks.resnet import ResNet
from limner.records import join

HAND_MARGIN = 3.0
HEAD_MARGIN = 2.0
"""The released configuration says 1.5, in a place where the released code does not look: it always used 2."""
DEMO_FOCAL_PX = 5000.0


@dataclass(frozen=True)
class Regression:
    """What one network saw and said: features "B F" and the parameter vectors "B P" after every stage."""

    features: Float[Tensor, "B F"]
    stages: tuple[Float[Tensor, "B P"], ...]

    @property
    def vector(self) -> Float[Tensor, "B P"]:
        """The result: the last stage."""
        return self.stages[-1]


@dataclass(frozen=True)
class ExposePeople:
    """B people as the official network sees them.

    `params`, `vertices`, `keypoints` are the merged result in axes of the photo (x right, y down, z away), metres,
    without translation; `camera` projects them into the body crop `squares`. `keypoints_px` are photo pixels. `coarse`
    is the body network alone. The part squares are those that the parts were cut from.
    """

    params: BodyParams
    vertices: Float[Tensor, "B V 3"]
    keypoints: Float[Tensor, "B 144 3"]
    keypoints_px: Float[Tensor, "B 144 2"]
    camera: WeakCamera
    squares: Squares
    right_hand: Squares
    left_hand: Squares
    head: Squares
    coarse: BodyParams
    coarse_keypoints: Float[Tensor, "B 144 3"]
    body_regression: Regression
    hand_regression: Regression  # 2B: right hands, then mirrored left hands
    head_regression: Regression

    def __len__(self) -> int:
        return len(self.params)


class CropNet(nn.Module):
    """A backbone and its regressor: crops in [0, 1] and a start in, a `Regression` out."""

    def __init__(
        self,
        backbone: HRNet | ResNet | OnnxBackbone,
        regressor: IterativeRegressor | AffineRegressor,
        layout: ParamLayout,
    ):
        super().__init__()
        self.backbone, self.regressor, self.layout = backbone, regressor, layout

    @property
    def start(self) -> Float[Tensor, "P"]:
        """Where the regression starts when nothing is known: the stored mean."""
        if isinstance(self.regressor, AffineRegressor):
            raise TypeError("a folded regressor has its start built in")
        return self.regressor.mean

    def forward(self, pixels: Float[Tensor, "B 3 S S"], start: Float[Tensor, "B P"] | None = None) -> Regression:
        features = self.backbone(pixels).pooled
        return Regression(features, self.regressor(features) if start is None else self.regressor(features, start))


class ExposeNetwork(nn.Module):
    """Body network, attention, part networks, merging (Choutas et al., ECCV 2020), in the released configuration."""

    def __init__(self, nets: Sequence[CropNet], assets: BodyAssets):
        """`nets`: of the body, of right hands, of the head."""
        super().__init__()
        self.body_net, self.hand_net, self.head_net = nets
        self.body_model = BodyModel(assets, num_betas=10, num_expression=10)
        self.keypoint_model = self.body_model.keypoints_only()

    @torch.inference_mode()
    def people(
        self,
        photos: Sequence[UInt8[Tensor, "3 _ _"]],
        boxes: Sequence[Float[Tensor, "_ 4"]],
        cropping: Cropping = OFFICIAL_CROPS,
    ) -> ExposePeople:
        """The people of several photos at once, in order; one tensor of boxes a photo.

        `cropping`: how crops are cut; the default is the original's way, needed for its numbers. Raises BoxError for an
        empty box or one outside its photo.
        """
        for photo, given in zip(photos, boxes, strict=True):
            check_boxes(given, photo.shape[-1], photo.shape[-2])
        body_size = self.body_net.backbone.crop_size
        crops = [cropping.body(photo, given, body_size) for photo, given in zip(photos, boxes, strict=True)]
        squares = join([crop.squares for crop in crops])
        body = self.body_net(torch.cat([crop.pixels for crop in crops]))
        coarse, camera = decode_body(self.body_net.layout, body.vector)
        coarse_keypoints = self.keypoint_model.keypoints144(self.keypoint_model(coarse), coarse)

        where = squares.photo_from_unit(camera.project(coarse_keypoints))
        right, left, head = (attend(where, names, margin) for names, margin in ATTENTION)

        def cut(squares: Squares, size: int, mirror: bool = False) -> Tensor:
            """Part crops of all people, each from the photo it is in."""
            shares = [len(given) for given in boxes]
            own = zip(photos, _shared_out(squares, shares), strict=True)
            return torch.cat([cropping.part(photo, some, size, mirror).pixels for photo, some in own])

        hand_size, head_size = self.hand_net.backbone.crop_size, self.head_net.backbone.crop_size
        hand_pixels = torch.cat([cut(right, hand_size), cut(left, hand_size, mirror=True)])
        hands = self.hand_net(hand_pixels, self.hand_condition(body.vector, coarse))
        face = self.head_net(cut(head, head_size), self.head_condition(body.vector))

        params = self.merge(coarse, hands, face)
        mesh = self.body_model(params)
        keypoints = self.body_model.keypoints144(mesh, params)
        return ExposePeople(
            params=params,
            vertices=mesh.vertices,
            keypoints=keypoints,
            keypoints_px=squares.photo_from_unit(camera.project(keypoints)),
            camera=camera,
            squares=squares,
            right_hand=right,
            left_hand=left,
            head=head,
            coarse=coarse,
            coarse_keypoints=coarse_keypoints,
            body_regression=body,
            hand_regression=hands,
            head_regression=face,
        )

    def hand_condition(self, body: Float[Tensor, "B P"], coarse: BodyParams) -> Float[Tensor, "H Q"]:
        """Where the hand network starts: the body's wrist and fingers, B right hands, then B mirrored left ones.

        The right fingers are the body's raw numbers; the left ones were decoded, mirrored and encoded again.
        """
        layout = self.hand_net.layout
        pose = coarse.full_pose()
        right_wrist = absolute_rotation(pose, chain_to_root("right_wrist"))
        left_wrist = mirror_rotation(absolute_rotation(pose, chain_to_root("left_wrist")))
        start = self.hand_net.start.repeat(2 * len(body), 1)
        start[:, layout.slices["wrist_pose"]] = rotation_to_6d(torch.cat([right_wrist, left_wrist]))
        right_fingers = self.body_net.layout.part(body, "right_hand_pose")
        left_fingers = rotation_to_6d(mirror_rotation(coarse.left_hand_pose)).flatten(1)
        start[:, layout.slices["hand_pose"]] = torch.cat([right_fingers, left_fingers])
        start[:, layout.slices["betas"]] = 0
        return start

    def head_condition(self, body: Float[Tensor, "B P"]) -> Float[Tensor, "B Q"]:
        """Where the head network starts: the body network's raw jaw and expression; a neck that faces the camera."""
        layout = self.head_net.layout
        start = self.head_net.start.repeat(len(body), 1)
        start[:, layout.slices["jaw_pose"]] = self.body_net.layout.part(body, "jaw_pose")
        start[:, layout.slices["betas"]] = 0
        expression = self.body_net.layout.part(body, "expression")
        where = layout.slices["expression"]
        start[:, where] = pad(expression, (0, where.stop - where.start - expression.shape[1]))
        return start

    def merge(self, coarse: BodyParams, hands: Regression, face: Regression) -> BodyParams:
        """The parts overrule the body: wrists, fingers, jaw, expression. Shape, neck and head stay the body's."""
        layout, count = self.hand_net.layout, len(coarse)
        wrists = layout.rotations(hands.vector, "wrist_pose")[:, 0]
        fingers = layout.rotations(hands.vector, "hand_pose")
        pose = coarse.full_pose()
        body_pose = coarse.body_pose.clone()
        for side, absolute in (("right", wrists[:count]), ("left", mirror_rotation(wrists[count:]))):
            parent = absolute_rotation(pose, chain_to_root(f"{side}_wrist")[:-1])
            body_pose[:, BODY_JOINTS.index(f"{side}_wrist") - 1] = parent.mT @ absolute
        return replace(
            coarse,
            body_pose=body_pose,
            right_hand_pose=fingers[:count],
            left_hand_pose=mirror_rotation(fingers[count:]),
            jaw_pose=self.head_net.layout.rotations(face.vector, "jaw_pose")[:, 0],
            expression=self.head_net.layout.part(face.vector, "expression")[:, : coarse.expression.shape[1]],
        )


ATTENTION = (
    (KEYPOINT_SETS["right_hand21"], HAND_MARGIN),
    (KEYPOINT_SETS["left_hand21"], HAND_MARGIN),
    (HEAD_KEYPOINTS, HEAD_MARGIN),
)
"""Right hand, left hand, head: the keypoints that a part's square is built around, and by how much it is larger."""


def attend(keypoints_px: Float[Tensor, "B 144 2"], names: tuple[str, ...], margin: float) -> Squares:
    """Squares about the projected keypoints of a part, photo pixels."""
    return squares_around(bounds_of(keypoints_px[:, list(indices_of(names))]), margin)


LAYOUTS = body_layout(), hand_layout(), head_layout()
"""What the numbers of the three networks mean: body 341, hand 109, head 165."""


def _shared_out(squares: Squares, shares: Sequence[int]) -> list[Squares]:
    """The squares of each photo, by how many there are in each."""
    ends = list(accumulate(shares, initial=0))
    return [squares[start:end] for start, end in pairwise(ends)]
