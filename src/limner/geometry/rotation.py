"""Rotations: encoded, compared and mirrored."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize


def rotation_from_6d(code: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 3 3"]:
    """Gram-Schmidt decoding of the 6D code (Zhou et al., CVPR 2019, eq. 15), in ExPose's layout.

    The six numbers are a row-major 3x2 matrix, [r00 r01 r10 r11 r20 r21]; its columns become the first two
    columns of the rotation.
    """
    columns = code.unflatten(-1, (3, 2))
    x = normalize(columns[..., 0], dim=-1, eps=1e-12)
    y = columns[..., 1]
    y = normalize(y - (x * y).sum(-1, keepdim=True) * x, dim=-1, eps=1e-12)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)


def rotation_to_6d(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 6"]:
    """First two columns of the rotation, row-major (inverse of `rotation_from_6d`)."""
    return rotation[..., :2].flatten(-2)


def rotation_from_axis_angle(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Axis times angle (radians) to rotation matrix: Rodrigues' formula, with finite gradients at zero.

    R = I + sin(t)/t K + (1 - cos t)/t^2 K^2; own few operations, because refinement calls it dozens of times a photo.
    """
    # the square root has no slope at zero, the formula does: a tiny offset keeps its gradient finite
    turns = (vector.square().sum(-1) + 1e-24).sqrt()[..., None, None] / torch.pi
    cross = skew(vector)
    eye = torch.eye(3, dtype=vector.dtype, device=vector.device)
    return eye + torch.sinc(turns) * cross + 0.5 * torch.sinc(turns / 2).square() * (cross @ cross)


def skew(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The matrix whose product with x is the cross product of `vector` and x."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def rotation_to_axis_angle(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Rotation matrix to axis times angle, angle in [0, pi]; gradients are finite at no rotation."""
    vector, w = rotation_to_quaternion(rotation).split((3, 1), -1)
    vector = torch.where(w < 0, -vector, vector)
    sine = (vector.square().sum(-1, keepdim=True) + 1e-24).sqrt()  # of half the angle; it has no slope at zero
    return vector * (2 * torch.atan2(sine, w.abs()) / sine)


def rotation_to_quaternion(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Rotation matrix to a unit quaternion x y z w (Shepperd, J. Guidance and Control 1978).

    The matrix tells all products of two of the four numbers; those with the largest of them are read.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = (row.unbind(-1) for row in rotation.unbind(-2))
    products = torch.stack(  # four times each
        [
            torch.stack([1 + xx - yy - zz, xy + yx, xz + zx, zy - yz], -1),
            torch.stack([xy + yx, 1 - xx + yy - zz, yz + zy, xz - zx], -1),
            torch.stack([xz + zx, yz + zy, 1 - xx - yy + zz, yx - xy], -1),
            torch.stack([zy - yz, xz - zx, yx - xy, 1 + xx + yy + zz], -1),
        ],
        -2,
    )
    largest = products.diagonal(dim1=-2, dim2=-1).argmax(-1)
    return normalize(products.gather(-2, largest[..., None, None].expand(*largest.shape, 1, 4))[..., 0, :], dim=-1)


def nearest_rotation(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The rotation nearest to a matrix in the least-squares sense (special orthogonal Procrustes)."""
    u, s, vt = torch.linalg.svd(matrix)
    sign = torch.ones_like(s)
    sign[..., -1] = torch.linalg.det(u @ vt).sign()
    return (u * sign[..., None, :]) @ vt


def mirror_rotation(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The rotation seen in a mirror across the x = 0 plane: M R M with M = diag(-1, 1, 1)."""
    sign = rotation.new_tensor([[1.0, -1.0, -1.0], [-1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])
    return rotation * sign


def rotation_about_z(angle_rad: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation by an angle about +z: in camera axes (y down) a positive angle turns clockwise in the image."""
    cos, sin = angle_rad.cos(), angle_rad.sin()
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    rows = [cos, -sin, zero, sin, cos, zero, zero, zero, one]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def angle_between(a: Float[Tensor, "*batch 3 3"], b: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch"]:
    """Geodesic distance of two rotations in radians, [0, pi]; its gradient stays finite at zero.

    Uses |A - B|_F = 2 sqrt(2) sin(angle / 2), which keeps precision for small angles, unlike arccos of the trace.
    """
    chord = (a - b).square().sum((-2, -1)).clamp_min(1e-12).sqrt() / (2 * 2**0.5)
    return 2 * torch.asin(chord.clamp(max=1 - 1e-6))


def rotvec_and_slope(
    rotation: Float[Tensor, "*batch 3 3"],
) -> tuple[Float[Tensor, "*batch 3"], Float[Tensor, "*batch 3 3"]]:
    """log R, and d log(R exp(turn)) / d turn at turn = 0: the inverse right Jacobian of SO(3) (Chirikjian 2011).

    J^-1 = I + [v]/2 + (1 - (t/2) cot(t/2)) / t^2 [v]^2 with t = |v|; finite up to a half turn.
    """
    vector = rotation_to_axis_angle(rotation)
    angle = vector.norm(dim=-1)
    half = angle / 2
    small = angle < 1e-2
    safe = torch.where(small, torch.ones_like(half), half)
    factor = (1 - safe / torch.tan(safe)) / (4 * safe.square())
    factor = torch.where(small, 1 / 12 + angle.square() / 720, factor)[..., None, None]
    cross = skew(vector)
    eye = torch.eye(3, dtype=rotation.dtype, device=rotation.device)
    return vector, eye + cross / 2 + factor * (cross @ cross)
