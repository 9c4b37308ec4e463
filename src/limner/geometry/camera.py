"""How do points get into the image: pinhole camera of the photo and weak-perspective camera of a crop."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from limner.errors import PhotoError
from limner.geometry.box import Squares
from limner.geometry.rotation import rotation_about_z
from limner.records import Rows


@dataclass(frozen=True)
class Camera(Rows):
    """Pinhole cameras: focal_px "B" focal length, center_px "B 2" principal point, photo pixels.

    Camera axes are OpenCV's: x right, y down, z into the scene, metres.
    """

    focal_px: Float[Tensor, "B"]
    center_px: Float[Tensor, "B 2"]

    @property
    def K(self) -> Float[Tensor, "B 3 3"]:
        """Intrinsic matrices: pixel = K xyz / z."""
        matrix = torch.zeros(len(self), 3, 3, dtype=self.focal_px.dtype, device=self.focal_px.device)
        matrix[:, 0, 0] = matrix[:, 1, 1] = self.focal_px
        matrix[:, :2, 2] = self.center_px
        matrix[:, 2, 2] = 1
        return matrix

    def project(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N 2"]:
        """Camera-frame points (metres, z > 0) to photo pixels."""
        depth = points[..., 2:].clamp_min(1e-4)
        return points[..., :2] / depth * self.focal_px[:, None, None] + self.center_px[:, None]


def check_focal(focal_px: float | None) -> None:
    """Raise PhotoError for a focal length that is not a positive finite number; None is one that is not known."""
    if focal_px is not None and not 0 < focal_px < float("inf"):
        raise PhotoError(
            f"focal length of {focal_px:g} px, expected a positive number. Leave it out if you do not know."
        )


def photo_camera(
    width: int, height: int, focal_px: float | None, count: int, device: torch.device | None = None
) -> Camera:
    """The photo's camera, once per person; without a known focal length, the photo's diagonal.

    The diagonal is a 43 mm lens in small-film terms, between phones (26) and portraits (85); CLIFF (Li et al., ECCV
    2022) uses the same guess.
    """
    focal = (width**2 + height**2) ** 0.5 if focal_px is None else focal_px
    numbers = torch.tensor([[float(focal), width / 2, height / 2]], device=device).repeat(count, 1)
    return Camera(numbers[:, 0], numbers[:, 1:])


@dataclass(frozen=True)
class WeakCamera(Rows):
    """Weak perspective of square crops: unit = scale * (xy + translation), in [-1, 1] of the crop.

    scale "B" (per metre), translation "B 2" metres, added BEFORE scaling (ExPose's convention).
    """

    scale: Float[Tensor, "B"]
    translation: Float[Tensor, "B 2"]

    def project(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N 2"]:
        """Points in camera axes relative to the body's root (metres) to [-1, 1] crop coordinates."""
        return self.scale[:, None, None] * (points[..., :2] + self.translation[:, None])


def translation_from_weak(weak: WeakCamera, squares: Squares, camera: Camera) -> Float[Tensor, "B 3"]:
    """Where the body's origin stands in the photo's camera so that it looks as the weak camera of the crop saw it.

    Depth makes one metre at the origin as large as under the weak camera; exact in the origin's depth plane.
    """
    depth = camera.focal_px / (weak.scale * squares.size_px / 2).clamp_min(1e-6)
    origin_px = squares.photo_from_unit((weak.scale[:, None] * weak.translation)[:, None])[:, 0]
    xy = (origin_px - camera.center_px) * (depth / camera.focal_px)[:, None]
    return torch.cat([xy, depth[:, None]], -1)


def weak_from_translation(transl: Float[Tensor, "B 3"], squares: Squares, camera: Camera) -> WeakCamera:
    """Inverse of `translation_from_weak`."""
    scale = camera.focal_px / transl[:, 2] * 2 / squares.size_px
    origin = squares.unit_from_photo(camera.project(transl[:, None]))[:, 0]
    return WeakCamera(scale, origin / scale[:, None])


def translation_from_points(
    points: Float[Tensor, "B N 3"], points_px: Float[Tensor, "B N 2"], camera: Camera, fallback: Float[Tensor, "B 3"]
) -> Float[Tensor, "B 3"]:
    """Where to move points (camera axes, metres) so that a camera sees them at these pixels, as well as possible.

    Linear least squares of f (x + tx) = (u - cx) (z + tz) and the same in y: three unknowns, no iteration. `fallback`
    stands in where that would put them behind the camera.
    """
    focal = camera.focal_px[:, None, None].double()
    offset = points_px.double() - camera.center_px[:, None].double()
    rows = offset.new_zeros(*offset.shape, 3)
    rows[..., 0, 0] = rows[..., 1, 1] = focal[..., 0]
    rows[..., 2] = -offset
    wanted = offset * points[..., 2:] - focal * points[..., :2]
    system = rows.flatten(1, 2)
    solved = torch.linalg.lstsq(system, wanted.flatten(1)[..., None]).solution[..., 0].to(points.dtype)
    in_front = (points[..., 2] + solved[:, 2:]).amin(1) > 0
    return torch.where(in_front[:, None], solved, fallback)


def camera_from_crop(squares: Squares, camera: Camera) -> Float[Tensor, "B 3 3"]:
    """Rotation from crop axes to the photo's camera axes.

    Crop axes look along the ray through the square's centre and are turned with the square: a person at the edge of
    the photo looks in its crop as it would in the middle of a photo, and networks that see only the crop speak of that
    (Li et al., CLIFF, ECCV 2022).
    """
    ray = (squares.center_px - camera.center_px) / camera.focal_px[:, None]
    z = torch.nn.functional.normalize(torch.cat([ray, torch.ones_like(ray[:, :1])], -1), dim=-1)
    # smallest rotation that takes (0, 0, 1) to z (Rodrigues with axis (-z1, z0, 0))
    cross = torch.zeros(len(z), 3, 3, dtype=z.dtype, device=z.device)
    cross[:, 0, 2], cross[:, 1, 2] = z[:, 0], z[:, 1]
    cross[:, 2, 0], cross[:, 2, 1] = -z[:, 0], -z[:, 1]
    eye = torch.eye(3, dtype=z.dtype, device=z.device)
    look = eye + cross + cross @ cross / (1 + z[:, 2])[:, None, None]
    return look @ rotation_about_z(squares.angle_rad)
