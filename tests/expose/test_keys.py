"""Every name of the official layout has a rule, and the rules sort them right."""

import importlib.util
from collections import Counter
from pathlib import Path

import pytest

from limner.expose.keys import RULES, Fate, names_by_fate, rule_for


@pytest.fixture(scope="module")
def official_names(shared) -> list[str]:
    return [
        line.split("\t")[0] for line in (shared / "parity" / "state_dict_keys.txt").read_text().splitlines() if line
    ]


def test_all_1898_names_are_accounted_for(official_names):
    fates = names_by_fate(official_names)
    assert len(official_names) == 1898 and not fates[Fate.UNKNOWN]
    assert sum(len(names) for names in fates.values()) == 1898


def test_every_rule_but_those_for_the_download_s_leftovers_is_met(official_names):
    met = Counter(rule_for(name).pattern for name in official_names)
    leftover = ("leftover", "older name")
    assert not [rule.pattern for rule in RULES if not met[rule.pattern] and not rule.why.startswith(leftover)]


@pytest.mark.parametrize(
    ("name", "fate"),
    [
        ("smplx.backbone.stage4.0.branches.0.0.conv1.weight", Fate.UNUSED),
        ("smplx.backbone.stage3.0.branches.0.0.conv1.weight", Fate.USED),
        ("smplx.hand_predictor.backbone.bn1.num_batches_tracked", Fate.UNUSED),
        ("smplx.regressor.module.layer_000.0.weight", Fate.USED),
        ("smplx.body_model.shapedirs", Fate.USED),
        ("smplx.left_hand_idxs", Fate.DERIVED),
        ("smplx.hand_predictor.hand_model.posedirs", Fate.UNUSED),
        ("smplx.head_predictor.head_model.lmk_bary_coords", Fate.UNUSED),
        ("smplx.hand_predictor.pca_decoder.inv_pca_basis", Fate.UNUSED),
        ("smplx.regressor.module.layer_002.0.extra", Fate.UNKNOWN),
        ("backbone.conv1.weight", Fate.UNKNOWN),
        ("smplx.surprise", Fate.UNKNOWN),
    ],
)
def test_names_meet_their_fate(name, fate):
    assert rule_for(name).fate is fate


def test_the_page_of_the_docs_is_up_to_date(shared):
    root = Path(__file__).parents[2]
    spec = importlib.util.spec_from_file_location("list_official_keys", root / "tools" / "list_official_keys.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    names = tool.read_names(shared / "parity" / "state_dict_keys.txt")
    assert tool.PAGE.read_text() == tool.page(names)
