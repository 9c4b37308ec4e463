"""How do fits become the record that limner writes, draws and exports?"""

import torch

from limner.body.keypoints import FACE68, hand21, indices_of
from limner.body.model import BodyModel
from limner.fit.records import Fits, FitTargets
from limner.geometry.box import Squares, bounds_of, squares_around
from limner.pipeline.people import People

PART_MARGIN = 1.6


def people_of_fits(model: BodyModel, targets: FitTargets, fits: Fits) -> People:
    """Fitted people as a `People`: confidence is that of the keypoints, squares lie about the fitted parts."""
    mesh = model(fits.params)
    keypoints = model.keypoints144(mesh, fits.params)
    keypoints_px = fits.camera.project(keypoints)
    everybody = torch.zeros(len(fits), dtype=torch.bool)

    def around(names: tuple[str, ...], margin: float) -> Squares:
        return squares_around(bounds_of(keypoints_px[:, list(indices_of(names))]), margin)

    def trusted(names: tuple[str, ...]) -> torch.Tensor:
        return (targets.confidence[:, list(indices_of(names))] > 0).float().mean(1) > 0.5 if len(fits) else everybody

    left, right = hand21("left"), hand21("right")
    return People(
        params=fits.params,
        vertices=mesh.vertices,
        faces=model.faces,
        joints=mesh.joints,
        keypoints=keypoints,
        keypoints_px=keypoints_px,
        confidence=targets.confidence,
        camera=fits.camera,
        boxes=targets.boxes,
        scores=torch.ones(len(fits)),
        body_square=squares_around(bounds_of(keypoints_px), 1.2),
        left_hand_square=around(left, PART_MARGIN),
        right_hand_square=around(right, PART_MARGIN),
        face_square=around(FACE68, PART_MARGIN),
        left_hand_trusted=trusted(left),
        right_hand_trusted=trusted(right),
        face_trusted=trusted(FACE68),
    )
