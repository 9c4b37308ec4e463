"""How do the keypoints of files become targets of a fit?"""

from collections.abc import Sequence

import torch

from limner.body.keypoints import KEYPOINT_NAMES, KEYPOINT_SETS, keypoint_indices
from limner.errors import KeypointFileError
from limner.fit.records import FitTargets
from limner.geometry.camera import Camera
from limner.io.keypoint_file import PersonKeypoints, person_box


def fit_targets(people: Sequence[PersonKeypoints], camera: Camera) -> FitTargets:
    """Keypoints of any known set as targets; `camera` has one row a person.

    People without box and without three seen points get the box 0 0 0 0. Raises KeypointFileError for a set whose
    points are not all among ExPose's 144.
    """
    count = len(people)
    points = torch.zeros(count, len(KEYPOINT_NAMES), 2)
    confidence = torch.zeros(count, len(KEYPOINT_NAMES))
    boxes = torch.zeros(count, 4)
    for row, person in enumerate(people):
        if person.name_set not in KEYPOINT_SETS:
            raise KeypointFileError(
                f"person {row} has keypoints of the set {person.name_set!r}, expected one of "
                f"{', '.join(KEYPOINT_SETS)}. Write the keypoints in one of them."
            )
        index = list(keypoint_indices(person.name_set))
        # a point named twice in a set (the wrists of COCO-WholeBody) is kept where it is surer
        order = person.confidence.argsort(stable=True)
        for k in order.tolist():
            points[row, index[k]], confidence[row, index[k]] = person.xy[k], person.confidence[k]
        box = person_box(person)
        if box is not None:
            boxes[row] = box
    return FitTargets(points, confidence.clamp(0, 1), camera, boxes)
