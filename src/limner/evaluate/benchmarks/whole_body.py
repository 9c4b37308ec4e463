"""The errors that ExPose and its successors report of whole bodies: V2V of the parts, MPJPE of 14 joints.

Source: ExPose (Choutas et al., ECCV 2020, section 4) and the protocol that its successors share, of Hand4Whole's
data/EHF/EHF.py (facts: expose 15, peers E). Everything is a mean over points, then over people, in mm.
"""

from torch import Tensor

from limner.body.keypoints import LSP12
from limner.evaluate.benchmarks.point_metrics import MeanError, Metric, PointError, Points
from limner.evaluate.person_points import PersonPoints
from limner.evaluate.topology import SmplxFiles

OWN_BODY = "body = all vertices but MANO's hands and FLAME's head (ExPose's own list of body vertices is not published)"


def part_of(files: SmplxFiles, vertex_count: int, name: str) -> Points:
    """Picks the vertices of a part of SMPL-X's mesh."""

    def points(prediction: PersonPoints) -> Tensor:
        mesh = prediction.mesh(vertex_count)
        return mesh if name == "all" else mesh[files.part(name)]

    return points


def joint_of(files: SmplxFiles, name: str) -> Points:
    """Picks one joint of the skeleton."""
    return lambda prediction: files.joints(prediction, (name,))


def v2v_metrics(files: SmplxFiles, vertex_count: int) -> tuple[Metric, ...]:
    """PA-V2V: Procrustes on the part's own vertices. V2V: the pelvis, each wrist, or the neck at the origin."""

    def aligned(title: str, part: str) -> PointError:
        return PointError(f"PA-V2V {title}, mm", part_of(files, vertex_count, part), "similarity")

    def rooted(title: str, part: str, joint: str) -> PointError:
        return PointError(f"V2V {title}, mm", part_of(files, vertex_count, part), "root", joint_of(files, joint))

    pa_hands = (aligned("left hand", "left_hand"), aligned("right hand", "right_hand"))
    hands = (rooted("left hand", "left_hand", "left_wrist"), rooted("right hand", "right_hand", "right_wrist"))
    return (
        aligned("all", "all"),
        aligned("body", "body"),
        *pa_hands,
        MeanError("PA-V2V hands, mm", pa_hands),
        aligned("face", "head"),
        rooted("all", "all", "pelvis"),
        *hands,
        MeanError("V2V hands, mm", hands),
        rooted("face", "head", "neck"),
    )


def joint14_metrics(files: SmplxFiles) -> tuple[Metric, ...]:
    """LSP's 14 joints, regressed from the vertices; MPJPE with the middle of the hips (LSP's 2 and 3) at the origin."""

    def mid_hip(prediction: PersonPoints) -> Tensor:
        return files.fourteen(prediction)[2:4].mean(0, keepdim=True)

    return (
        PointError("MPJPE-14, mm", files.fourteen, "root", mid_hip),
        PointError("PA-MPJPE-14, mm", files.fourteen, "similarity"),
    )


def named_joint_metrics(files: SmplxFiles) -> tuple[Metric, ...]:
    """The 12 limb joints of the skeletons, matched by name: fair to bodies with other vertices than SMPL-X's.

    Not the published MPJPE-14, whose points are regressed from SMPL-X's vertices. MPJPE: middle of the hips.
    """

    def limbs(prediction: PersonPoints) -> Tensor:
        return files.joints(prediction, LSP12)

    def mid_hip(prediction: PersonPoints) -> Tensor:
        return files.joints(prediction, ("left_hip", "right_hip")).mean(0, keepdim=True)

    return (
        PointError("MPJPE of 12 named joints, mm", limbs, "root", mid_hip),
        PointError("PA-MPJPE of 12 named joints, mm", limbs, "similarity"),
    )
