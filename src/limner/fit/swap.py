"""Which left and right points may have been exchanged, and how do targets look without the exchange?"""

from limner.body.keypoints import KEYPOINT_NAMES, hand21
from limner.body.skeleton import mirrored_name
from limner.fit.records import FitTargets

_ARM = ("collar", "shoulder", "elbow", "wrist")
_LEG = ("hip", "knee", "ankle", "foot", "big_toe", "small_toe", "heel")


def _both(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{side}_{name}" for side in ("left", "right") for name in names)


ARMS = (*_both(_ARM), *hand21("left"), *hand21("right"))
LEGS = _both(_LEG)
SWAPS = (ARMS + LEGS, LEGS, ARMS)
"""What detectors exchange: all limbs of somebody seen from behind, or only the legs or the arms. Never the face."""


def swapped_targets(targets: FitTargets, names: tuple[str, ...]) -> FitTargets:
    """The targets with these left and right points exchanged."""
    where = {name: i for i, name in enumerate(KEYPOINT_NAMES)}
    order = [where[mirrored_name(name)] if name in names else i for i, name in enumerate(KEYPOINT_NAMES)]
    return FitTargets(targets.keypoints_px[:, order], targets.confidence[:, order], targets.camera, targets.boxes)
