"""The points of one person, predicted or true, without a word on how they were found."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from limner.body.keypoints import KEYPOINT_NAMES
from limner.body.model import BodyModel
from limner.body.params import BodyParams


class NotComparable(Exception):
    """A metric makes no sense for what was given; the message says why and what would help."""


@dataclass(frozen=True)
class PersonPoints:
    """One person, camera axes (x right, y down, z into the scene), metres; what is not known is None or empty.

    vertices   mesh, and its triangles `faces`
    joints     points with a name each: the body's joints ("left_wrist"), LSP's 14 regressed ones ("j14_neck"), ...
    landmarks  the 7 points of NoW and Stirling, in the order of `limner.data.sources.now.LANDMARKS`
    scan       a scan of the person (target only)
    points_px  joints in photo pixels, by which people of a crowd are matched
    """

    vertices: Float[Tensor, "V 3"] | None = None
    faces: Int64[Tensor, "F 3"] | None = None
    joints: Float[Tensor, "J 3"] | None = None
    joint_names: tuple[str, ...] = ()
    landmarks: Float[Tensor, "7 3"] | None = None
    scan: Float[Tensor, "S 3"] | None = None
    points_px: Float[Tensor, "K 2"] | None = None

    def moved(self, move: Callable[[Tensor], Tensor]) -> "PersonPoints":
        """All points in space put through a function."""
        changes: dict[str, Any] = {
            name: move(points)
            for name in ("vertices", "joints", "landmarks", "scan")
            if (points := getattr(self, name)) is not None
        }
        return replace(self, **changes)

    def is_finite(self) -> bool:
        """Whether all its points are numbers."""
        fields = (self.vertices, self.joints, self.landmarks, self.points_px)
        return all(bool(points.isfinite().all()) for points in fields if points is not None)

    def named(self, names: tuple[str, ...]) -> Float[Tensor, "K 3"]:
        """The joints of these names. Raises NotComparable when one is not there."""
        missing = [name for name in names if name not in self.joint_names]
        if self.joints is None or missing:
            raise NotComparable(f"no joint called {missing[0]}" if missing else "no joints")
        return self.joints[[self.joint_names.index(name) for name in names]]

    def mesh(self, vertex_count: int | None = None) -> Float[Tensor, "V 3"]:
        """The vertices. Raises NotComparable when there are none, or not `vertex_count` of them."""
        if self.vertices is None:
            raise NotComparable("no mesh, only joints")
        if vertex_count is not None and len(self.vertices) != vertex_count:
            raise NotComparable(
                f"the mesh has {len(self.vertices)} vertices, the truth {vertex_count}: its vertices are other points "
                "of the body; bring SMPL-X"
            )
        return self.vertices


def shifted(prediction: PersonPoints, millimetres: float) -> PersonPoints:
    """The same person, so far to the right."""
    return prediction.moved(lambda points: points + points.new_tensor([millimetres / 1000, 0.0, 0.0]))


def grown(prediction: PersonPoints, factor: float) -> PersonPoints:
    """The same person, all coordinates times a factor."""
    return prediction.moved(lambda points: points * factor)


def turned(prediction: PersonPoints, rotation: Float[Tensor, "3 3"]) -> PersonPoints:
    """The same person, turned about the origin."""
    return prediction.moved(lambda points: points @ rotation.mT.to(points))


def stack(points: Tensor) -> Float[Tensor, "1 N 3"]:
    """One set of points as a batch, in the precision in which scores are made."""
    return points[None].to(torch.float64)


@torch.no_grad()
def points_of_params(model: BodyModel, params: BodyParams) -> PersonPoints:
    """Mesh and 144 keypoints of one person's parameters."""
    mesh = model(params)
    return PersonPoints(
        vertices=mesh.vertices[0],
        faces=model.faces,
        joints=model.keypoints144(mesh, params)[0],
        joint_names=KEYPOINT_NAMES,
    )
