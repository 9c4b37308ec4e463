"""Fingerprints change when what they name does; a ledger remembers whole lines of the same run only."""

from pathlib import Path

import torch

from limner.evaluate.resume import Done, Ledger, fingerprint, folder_fingerprint, stamp, weights_fingerprint


def test_fingerprints_follow_the_content(tmp_path: Path):
    assert fingerprint(1, "a") == fingerprint(1, "a") != fingerprint(1, "b")
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "body.safetensors").write_bytes(b"one")
    before = weights_fingerprint(str(tmp_path / "w"))
    assert weights_fingerprint(f"expose:{tmp_path / 'w'}") == before != weights_fingerprint("limner")
    (tmp_path / "w" / "body.safetensors").write_bytes(b"two")
    assert weights_fingerprint(str(tmp_path / "w")) != before
    data = folder_fingerprint(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(b"pixels")  # photos count case by case
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results.json").write_text("{}")
    assert folder_fingerprint(tmp_path, without=[tmp_path / "out"]) == data
    assert folder_fingerprint(tmp_path) != data
    assert stamp(None) is None and stamp(tmp_path / "no") == ("no", 0, 0)


def test_a_ledger_remembers_whole_lines_of_the_same_run(tmp_path: Path):
    ledger = Ledger(tmp_path / "l", "run")
    first = Done("a", "k", {"a": {"error, mm": 1 / 3}}, {"other": "why"}, ("b",), 2)
    scan = Done("c", "k", {"c": {"error, mm": 2.0}}, distances=True)
    ledger.add(first)
    ledger.add(scan, torch.arange(5.0))
    with open(tmp_path / "l" / "cases.jsonl", "a", encoding="utf-8") as lines:
        lines.write('{"name": "d", "ke')  # killed while it wrote
    again = Ledger(tmp_path / "l", "run")
    assert len(again) == 2 and again.find("a", "k") == first and again.find("d", "k") is None
    assert again.find("a", "other photo") is None
    assert again.distances(scan).tolist() == [0, 1, 2, 3, 4]
    again.add(Done("d", "k", {}))
    assert len(Ledger(tmp_path / "l", "run")) == 3
    next((tmp_path / "l").glob("*.safetensors")).write_bytes(b"cut")
    assert Ledger(tmp_path / "l", "run").find("c", "k") is None  # to be scored again
    other = Ledger(tmp_path / "l", "other weights")
    assert len(other) == 0 and not list((tmp_path / "l").glob("*.safetensors"))
    other.remove()
    assert not (tmp_path / "l").exists()
