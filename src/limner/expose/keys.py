"""The tensor names of an official ExPose checkpoint, and what each means to limner."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

PREFIX = "smplx."


class Fate(Enum):
    """What limner does with a tensor of an official checkpoint."""

    USED = "used"
    DERIVED = "derived"  # limner computes it itself
    UNUSED = "unused"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class KeyRule:
    """All names (without `smplx.`) that match `pattern` in full meet one fate, for one reason."""

    pattern: str
    fate: Fate
    why: str


_LAYERS = r"module\.(layer_\d+\.0|output_layer)\.(weight|bias)|mean_param"

RULES: tuple[KeyRule, ...] = (
    KeyRule(r".*backbone\..*num_batches_tracked", Fate.UNUSED, "counts training batches; only training reads it"),
    KeyRule(r"backbone\.stage4\..*", Fate.UNUSED, "built and saved by the original, never run: 46 M dead weights"),
    KeyRule(r"backbone\..*", Fate.USED, "body backbone (limner.networks.hrnet)"),
    KeyRule(r"hand_predictor\.backbone\..*", Fate.USED, "hand backbone (limner.networks.resnet)"),
    KeyRule(r"head_predictor\.backbone\..*", Fate.USED, "head backbone (limner.networks.resnet)"),
    KeyRule(rf"regressor\.({_LAYERS})", Fate.USED, "body regressor and where it starts"),
    KeyRule(rf"hand_predictor\.regressor\.({_LAYERS})", Fate.USED, "hand regressor; its mean gives the camera's start"),
    KeyRule(rf"head_predictor\.regressor\.({_LAYERS})", Fate.USED, "head regressor; its mean gives neck and camera"),
    KeyRule(
        r"body_model\.(v_template|shapedirs|expr_dirs|J_regressor|posedirs|lbs_weights|faces_tensor|lmk_faces_idx|"
        r"lmk_bary_coords|dynamic_lmk_faces_idx|dynamic_lmk_bary_coords|(left|right)_hand_mean|"
        r"vertex_joint_selector\.extra_joints_idxs)",
        Fate.USED,
        "body model; it wins over the user's file, as in the original",
    ),
    KeyRule(r"body_model\.dynamic_lmk_b_coords", Fate.USED, "older name of dynamic_lmk_bary_coords"),
    KeyRule(r"body_model\.parents", Fate.DERIVED, "limner.body.skeleton.PARENTS (checked)"),
    KeyRule(
        r"(body_model\.)?(neck|left_wrist|right_wrist)_kin_chain",
        Fate.DERIVED,
        "limner.body.skeleton.chain_to_root (checked)",
    ),
    KeyRule(r"(left|right)_hand_idxs", Fate.DERIVED, "limner.body.keypoints (checked)"),
    KeyRule(r"head_idxs", Fate.DERIVED, "limner.body.keypoints.HEAD_KEYPOINTS; the original's loader skips it too"),
    KeyRule(
        r"((hand|head)_predictor\.)?(global_orient|body_pose|left_hand_pose|right_hand_pose|jaw_pose|shape|expression|"
        r"camera|wrist_pose|hand_pose|neck_pose)_idxs",
        Fate.DERIVED,
        "slices of limner.networks.regressor.ParamLayout (checked)",
    ),
    KeyRule(r"(hand|head)_cropper\.grid", Fate.DERIVED, "sampling positions (limner.expose.crops)"),
    KeyRule(
        r"((hand|head)_predictor\.)?(camera|abs_pose|shape|expression|wrist_pose|hand_pose|neck_pose|global_orient)_mean",
        Fate.DERIVED,
        "slices of the regressors' mean_param (checked), or upright and identity rotations",
    ),
    KeyRule(
        r"((hand|head)_predictor\.)?\w+_decoder\.mean",
        Fate.UNUSED,
        "copies of slices of mean_param; decoding does not need them",
    ),
    KeyRule(r"(keyp|body|hand|head)_loss\.\w+_idxs", Fate.UNUSED, "joint lists of training losses"),
    KeyRule(r"body_idxs", Fate.UNUSED, "joint list of a training loss"),
    KeyRule(
        r"body_model\.(left|right)_hand_components", Fate.UNUSED, "6 hand PCA directions; poses are rotations here"
    ),
    KeyRule(r"body_model\.pose_mean", Fate.UNUSED, "zero where rotation matrices are fed, which is always"),
    KeyRule(
        r"body_model\.(source_idxs|target_idxs|extra_joint_regressor)",
        Fate.UNUSED,
        "leftover of training: joints regressed from vertices; the released code does not do it",
    ),
    KeyRule(
        r"hand_predictor\.(hand_offset|hand_model\..*|pca_decoder\.(pca_basis|inv_pca_basis|mean))",
        Fate.UNUSED,
        "leftover of training: a MANO model; the released code does not build it",
    ),
    KeyRule(
        r"head_predictor\.(head_offset|head_vertices_ids|head_model\..*)",
        Fate.UNUSED,
        "leftover of training: a FLAME model; the released code does not build it",
    ),
    KeyRule(r"face_idxs|smplx_loss\.\w+_idxs", Fate.UNUSED, "leftover of older code; the original's loader drops it"),
)
"""First match counts."""

_NONE = KeyRule(".*", Fate.UNKNOWN, "not part of any official checkpoint that limner knows")


def rule_for(name: str) -> KeyRule:
    """The rule that a tensor name falls under; fate UNKNOWN where there is none."""
    if not name.startswith(PREFIX):
        return _NONE
    short = name.removeprefix(PREFIX)
    return next((rule for rule in RULES if re.fullmatch(rule.pattern, short)), _NONE)


def names_by_fate(names: Iterable[str]) -> dict[Fate, tuple[str, ...]]:
    """Names sorted by what becomes of them, order kept."""
    found: dict[Fate, list[str]] = {fate: [] for fate in Fate}
    for name in names:
        found[rule_for(name).fate].append(name)
    return {fate: tuple(listed) for fate, listed in found.items()}
