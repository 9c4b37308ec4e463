"""What each whole-body error counts, on a small body in SMPL-X's format."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from limner.body.keypoints import LSP12
from limner.body.skeleton import JOINT_NAMES
from limner.evaluate.benchmarks.whole_body import joint14_metrics, named_joint_metrics, v2v_metrics
from limner.evaluate.person_points import NotComparable, PersonPoints
from limner.evaluate.topology import find_smplx_files
from tests.evaluate.tiny_smplx import HEAD, LEFT, RIGHT, VERTICES, posed, smplx_and_files


def test_every_metric_passes_its_check_and_counts_its_own_vertices(tmp_path: Path):
    model, files = smplx_and_files(tmp_path)
    true = posed(model, 1)[0]
    metrics = {metric.names[0]: metric for metric in (*v2v_metrics(files, VERTICES), *joint14_metrics(files))}
    assert list(metrics) == [
        *(f"PA-V2V {part}, mm" for part in ("all", "body", "left hand", "right hand", "hands", "face")),
        *(f"V2V {part}, mm" for part in ("all", "left hand", "right hand", "hands", "face")),
        "MPJPE-14, mm",
        "PA-MPJPE-14, mm",
    ]
    for metric in metrics.values():
        metric.check(true)

    def touched(vertices: list[int]) -> set[str]:
        """Which PA errors see these vertices."""
        noise = torch.zeros(VERTICES, 3)
        noise[vertices] = torch.randn(len(vertices), 3, generator=torch.Generator().manual_seed(0)) * 0.05
        prediction = replace(true, vertices=true.mesh() + noise)
        return {
            name
            for name, metric in metrics.items()
            if "PA-V2V" in name and metric(prediction, true).values[name] > 1e-3
        }

    both = {"PA-V2V all, mm", "PA-V2V hands, mm"}
    assert touched(LEFT.tolist()) == both | {"PA-V2V left hand, mm"}
    assert touched(RIGHT.tolist()) == both | {"PA-V2V right hand, mm"}
    assert touched(HEAD.tolist()) == {"PA-V2V all, mm", "PA-V2V face, mm"}
    assert touched([399]) == {"PA-V2V all, mm", "PA-V2V body, mm"}


def test_hands_are_scored_from_their_own_wrist(tmp_path: Path):
    model, files = smplx_and_files(tmp_path)
    true = posed(model, 1)[0]
    metric = next(m for m in v2v_metrics(files, VERTICES) if m.names == ("V2V left hand, mm",))
    prediction = replace(true, vertices=true.mesh().clone())
    prediction.mesh()[LEFT] += torch.tensor([0.02, 0.0, 0.0])
    wrist = files.joint_regressor[JOINT_NAMES.index("left_wrist"), LEFT].sum() * 0.02
    assert metric(prediction, true).values["V2V left hand, mm"] == pytest.approx(
        1000 * abs(0.02 - float(wrist)), abs=1e-2
    )


def test_named_joints_need_no_mesh(tmp_path: Path):
    _, files = smplx_and_files(tmp_path)
    joints = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    true = PersonPoints(joints=joints, joint_names=LSP12)
    bent = joints.clone()
    bent[LSP12.index("left_knee")] += torch.tensor([0.12, 0, 0])
    prediction = PersonPoints(joints=bent.flip(0), joint_names=LSP12[::-1])
    mpjpe, _ = named_joint_metrics(files)
    assert mpjpe(prediction, true).values["MPJPE of 12 named joints, mm"] == pytest.approx(120 / 12, abs=1e-3)
    for metric in named_joint_metrics(files):
        metric.check(true)


def test_without_files_the_reason_names_them():
    files = find_smplx_files([])
    assert "SMPLX_NEUTRAL.npz" in files.missing and len(files.missing) == 4
    true = PersonPoints(vertices=torch.randn(9, 3))
    reasons = set()
    for metric in (*v2v_metrics(files, 9), *joint14_metrics(files), *named_joint_metrics(files)):
        try:
            metric(true, true)
        except NotComparable as reason:
            reasons.add(str(reason))
    assert any("SMPLX_to_J14.pkl" in reason for reason in reasons)
    assert any("MANO_SMPLX_vertex_ids.pkl" in reason for reason in reasons)
    assert any("SMPLX_NEUTRAL.npz" in reason for reason in reasons)
