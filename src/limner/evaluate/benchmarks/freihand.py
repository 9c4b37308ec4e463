"""FreiHAND's protocol: 3960 right hands; Procrustes-aligned joints and vertices, F-scores, areas under curves."""

from functools import partial
from pathlib import Path

from torch import Tensor

from limner.body.keypoints import hand21
from limner.data.sources.freihand import HandPhoto, read_freihand
from limner.evaluate.benchmarks.point_metrics import AreaUnderPck, FScore, PointError
from limner.evaluate.benchmarks.record import Benchmark, Case
from limner.evaluate.person_points import NotComparable, PersonPoints
from limner.evaluate.topology import SmplxFiles

SOURCE = (
    "FreiHAND: Zimmermann et al., ICCV 2019. Procrustes with scale per hand; F-scores of the aligned vertices at 5 and "
    "15 mm; AUC of correct points from 0 to 50 mm, 100 thresholds."
)
JOINTS = hand21("right")
MANO_VERTICES = 778


def freihand_benchmark(folder: Path, files: SmplxFiles) -> Benchmark:
    """FreiHAND's evaluation split. Raises DataSetError for missing or half data."""

    def joints(prediction: PersonPoints) -> Tensor:
        return prediction.named(JOINTS)

    def surface(prediction: PersonPoints) -> Tensor:
        return mano_vertices(prediction, files)

    metrics = (
        PointError("PA-MPJPE, mm", joints, "similarity"),
        PointError("PA-V2V, mm", surface, "similarity"),
        FScore("F@5 mm", surface, 5.0),
        FScore("F@15 mm", surface, 15.0),
        AreaUnderPck("AUC joints", joints),
        AreaUnderPck("AUC vertices", surface),
        PointError("MPJPE from the wrist, mm", joints, "root", lambda prediction: prediction.named(JOINTS[:1])),
    )
    cases = tuple(map(_case, read_freihand(folder)))
    notes = ("limner: the hand network alone, on the whole photo", "intervals: over photos")
    return Benchmark("FreiHAND evaluation", cases, metrics, SOURCE, notes)


def mano_vertices(prediction: PersonPoints, files: SmplxFiles) -> Tensor:
    """A right hand with MANO's vertices: such a mesh itself, or cut out of SMPL-X's. Raises NotComparable."""
    mesh = prediction.mesh()
    if len(mesh) == MANO_VERTICES:
        return mesh
    if files.vertex_count != len(mesh):
        raise NotComparable(f"the mesh has {len(mesh)} vertices: not MANO's {MANO_VERTICES}, nor SMPL-X's")
    return mesh[files.part("right_hand")]


def _case(hand: HandPhoto) -> Case:
    target = partial(PersonPoints, vertices=hand.vertices, joints=hand.joints, joint_names=JOINTS)
    return Case(hand.name, hand.name, "right_hand", hand.photo, target)
