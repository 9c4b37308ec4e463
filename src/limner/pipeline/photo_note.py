"""The note of a photo: what to know of its people before trusting them. The note beside it in tables and records."""

import torch
from jaxtyping import Float
from torch import Tensor

from limner.geometry.box import share_inside
from limner.io.image import Photo
from limner.networks.movenet import MOST_PEAKS
from limner.pipeline.people import People
from limner.pipeline.unseen import LIMB_NAMES

NOBODY = (
    "nobody found: if somebody is there, say where with --box x0 y0 x1 y1; a hand or a face alone: --part hand or face"
)
NOBODY_SAID = "nobody, as the boxes or keypoints say"
CROWDED = 48
CROWD = (
    f"a crowd: the detector looks at the {MOST_PEAKS} surest places, so others may be missing; cut the photo in "
    "pieces, or say where people are with --boxes"
)
LEAST_INSIDE = 0.5


def photo_note(people: People, photo: Photo, boxes: Float[Tensor, "P 4"] | None) -> str:
    """What somebody should know of a photo's people before they trust them; empty if all is well.

    `boxes`: where the user said that people are.
    """
    remarks = ["the first picture of an animation"] if photo.animated else []
    if not len(people):
        remarks.append(NOBODY if boxes is None else NOBODY_SAID)
    if boxes is None and len(people) >= CROWDED:
        remarks.append(CROWD)
    remarks += _outside(boxes, photo) if boxes is not None else []
    remarks += _eased(people)
    untrusted = {
        "hand": int((~torch.cat([people.left_hand_trusted, people.right_hand_trusted])).sum()),
        "face": int((~people.face_trusted).sum()),
    }
    alone = [counted(count, name) for name, count in untrusted.items() if count]
    remarks += [f"{' and '.join(alone)} from the body alone"] if alone else []
    return "; ".join(remarks)


def _outside(boxes: Tensor, photo: Photo) -> list[str]:
    inside = share_inside(boxes, boxes.new_tensor([[0.0, 0.0, photo.width, photo.height]]))[:, 0]
    return [
        f"{1 - float(inside[k]):.0%} of box {k} lie outside the photo of {photo.width} x {photo.height} px"
        for k in (inside < LEAST_INSIDE).nonzero()[:, 0].tolist()
    ]


def _eased(people: People) -> list[str]:
    if people.eased is None:
        return []
    kinds = {"arm": [name.endswith("arm") for name in LIMB_NAMES], "leg": [name.endswith("leg") for name in LIMB_NAMES]}
    counts = {name: int(people.eased[:, chosen].sum()) for name, chosen in kinds.items()}
    limbs = [counted(count, name) for name, count in counts.items() if count]
    return [f"{' and '.join(limbs)} unseen, put at ease"] if limbs else []


def counted(count: int, name: str) -> str:
    """A number of things, in words."""
    return f"{count} {name}{'s' * (count != 1)}"
