"""The rasteriser again, one triangle after the other with edge functions in double precision: slow, easy to trust."""

import numpy as np


def rasterize_plain(vertices_px, faces, height, width, near=0.01, perspective=True, cull_back=False):
    """One image: vertices "V 3", faces "F 3" -> face "H W", barycentric "H W 3", depth "H W"."""
    face = np.full((height, width), -1)
    weights = np.zeros((height, width, 3))
    depth = np.full((height, width), np.inf)
    for index, corners in enumerate(np.asarray(vertices_px, np.float64)[np.asarray(faces)]):
        xy, z = corners[:, :2], corners[:, 2]
        area = cross(xy[1] - xy[0], xy[2] - xy[0])
        if area == 0 or (perspective and z.min() <= near) or (cull_back and area > 0):
            continue
        x0, y0 = np.clip(np.floor(xy.min(0)), 0, (width, height)).astype(int)
        x1, y1 = np.clip(np.ceil(xy.max(0)), 0, (width, height)).astype(int)
        points = np.stack(np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5), -1)
        if points.size == 0:
            continue
        inside, shares = True, []
        for corner in range(3):
            a, b = xy[(corner + 1) % 3], xy[(corner + 2) % 3]  # the side opposite to the corner
            side = cross(b - a, points - a) * np.sign(area)
            dx, dy = (b - a) * np.sign(area)  # runs clockwise on the screen (y down), whatever the triangle did
            owns_its_points = dy < 0 or (dy == 0 and dx > 0)  # a left or a top side
            inside = inside & ((side > 0) | ((side == 0) & owns_its_points))
            shares.append(side / abs(area))
        share = np.stack(shares, -1)
        if perspective:
            z_point = 1 / (share / z).sum(-1)
            share = share / z * z_point[..., None]
        else:
            z_point = (share * z).sum(-1)
        z_point = z_point.astype(np.float32)  # so that equal depths tie as they do in single precision
        box = np.s_[y0:y1, x0:x1]
        nearer = inside & (z_point < depth[box])
        face[box][nearer], depth[box][nearer], weights[box][nearer] = index, z_point[nearer], share[nearer]
    return face, weights, depth


def cross(a, b):
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
