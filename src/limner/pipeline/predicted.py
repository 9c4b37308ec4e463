"""Points of the part that a parameter vector describes. The predicted side of `truth`."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.body.keypoints import hand21
from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.body.skeleton import JOINT, JOINT_NAMES
from limner.body.skinning import pose_joints
from limner.networks.regressor import ParamLayout, decode_body
from limner.networks.weights import Part

BODY_POINTS = tuple(name for name in JOINT_NAMES if not name.endswith(("2", "3")) or name.startswith("spine"))
"""The body's joints and each finger's knuckle."""


class PredictedPoints(nn.Module):
    """Points of a part from its parameter vector, in crop axes; cheap enough for every training step.

    Returned relative to the origin of the part's weak camera: the model's origin for the body, the wrist for hands, the
    head joint for faces.
    """

    def __init__(self, part: Part, model: BodyModel, layout: ParamLayout):
        super().__init__()
        self.part, self.layout = part, layout
        self.model = model.restricted(model.landmark_vertices.flatten().unique())
        self.corners = torch.searchsorted(model.landmark_vertices.flatten().unique(), model.landmark_vertices)
        tips = model.vertex_ids[16:21]  # right thumb, index, middle, ring, pinky
        carriers = [JOINT[f"right_{finger}3"] for finger in ("thumb", "index", "middle", "ring", "pinky")]
        self.tip_carriers = carriers
        self.tip_offsets = model.v_template[tips] - model.joint_template[carriers]

    def forward(self, vector: Float[Tensor, "B P"]) -> Float[Tensor, "B J 3"]:
        match self.part:
            case "body":
                return self._body(vector)
            case "hand":
                return self._hand(vector)
            case "face":
                return self._face(vector)

    def root(self, points: Float[Tensor, "B J 3"]) -> Float[Tensor, "B 1 3"]:
        """The point that 3D truth is relative to."""
        if self.part == "body":
            pelvis = BODY_POINTS.index("pelvis")
            return points[:, pelvis : pelvis + 1]
        return torch.zeros_like(points[:, :1])

    def _body(self, vector: Tensor) -> Tensor:
        params, _ = decode_body(self.layout, vector)
        return self.model.joints(params)[:, [JOINT[name] for name in BODY_POINTS]]

    def _blank(self, vector: Tensor) -> BodyParams:
        """A body at rest that stands for the rest of the person: its root has no rotation at all."""
        rest = self.model.rest(len(vector)).to(vector.dtype)
        return rest.replace(
            global_orient=torch.eye(3, device=vector.device, dtype=vector.dtype).expand(len(vector), 3, 3),
            betas=self.layout.part(vector, "betas"),
        )

    def _hand(self, vector: Tensor) -> Tensor:
        wrist = self.layout.rotations(vector, "wrist_pose")[:, 0]
        params = self._blank(vector).with_joint_pose("right_wrist", wrist)
        params = params.replace(right_hand_pose=self.layout.rotations(vector, "hand_pose"))
        rotations, joints = pose_joints(params.full_pose(), self.model.rest_joints(params))
        tips = joints[:, self.tip_carriers] + (rotations[:, self.tip_carriers] @ self.tip_offsets[..., None])[..., 0]
        order = [JOINT["right_wrist"]]
        named = dict(
            zip((f"right_{f}" for f in ("thumb", "index", "middle", "ring", "pinky")), tips.unbind(1), strict=True)
        )
        points = [named[name] if name in named else joints[:, JOINT[name]] for name in hand21("right")]
        return torch.stack(points, 1) - joints[:, order]

    def _face(self, vector: Tensor) -> Tensor:
        head = self.layout.rotations(vector, "neck_pose")[:, 0]
        params = self._blank(vector).with_joint_pose("head", head)
        params = params.replace(
            jaw_pose=self.layout.rotations(vector, "jaw_pose")[:, 0],
            expression=self.layout.part(vector, "expression"),
        )
        mesh = self.model(params)
        landmarks = (mesh.vertices[:, self.corners] * self.model.landmark_barycentric[..., None]).sum(2)
        return landmarks - mesh.joints[:, JOINT["head"], None]
