"""The `limner` command: quick help, clear errors, exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest

from limner.batch import PeopleRecipe, PeopleWriter
from limner.cli import COMMANDS, main
from limner.errors import PhotoError
from limner.scale.photos import How

HEAVY = ("torch", "numpy", "PIL", "cv2", "scipy", "matplotlib", "trimesh")
HELP = f"""
import sys
sys.argv = ["limner", "--help"]
from limner.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("loaded:", [name for name in {HEAVY!r} if name in sys.modules])
"""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from limner.cli import main; main()", *words]
    return subprocess.run(command, capture_output=True, text=True)


def test_help_loads_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    assert all(command in done.stdout for command in COMMANDS)
    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_a_user_error_is_one_message_and_exit_code_2(tmp_path: Path):
    done = run("estimate", str(tmp_path / "nowhere.jpg"), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert done.stdout == "" and "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"limner: {tmp_path / 'nowhere.jpg'} does not exist.")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["estimat"], ["estimate", "x.jpg", "--batch", "many"], ["model", "--out"], []])
def test_a_wrong_command_line_ends_with_exit_code_2(words: list[str], capsys, monkeypatch):
    assert ended_with(words, monkeypatch) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_commands_hand_over_what_was_typed(monkeypatch):
    seen: list[object] = []

    def estimate(*given: object, **more: object) -> int:
        seen.append((*given, more))
        return 1

    monkeypatch.setattr("limner.batch.estimate_photos", estimate)
    monkeypatch.setattr("limner.expose_photos.expose_photos", estimate)
    box = ["--box", "1", "2", "3", "4"]
    words = ["estimate", "a.jpg", "b", "--out", "o", *box, "--weights", "w", "--focal-px", "900", "--no-refine"]
    assert ended_with(words, monkeypatch) == 1  # the code of the function is the code of the command
    photos, out = (Path("a.jpg"), Path("b")), Path("o")
    where = (1.0, 2.0, 3.0, 4.0), None, None, 900.0
    assert seen == [(photos, PeopleRecipe("w", None, False), PeopleWriter(out), *where, False, How(), {})]
    words = ["expose", "a.jpg", "--weights", "m.ckpt", "--boxes", "b.json", "--format", "expose", "limner"]
    words += ["--batch", "4", "--mode", "clean", "--runtime", "onnx", "--resume", "--recursive"]
    assert ended_with(words, monkeypatch) == 1
    options = "m.ckpt", None, "clean", "onnx", ("expose", "limner")
    where = (), None, Path("b.json"), None
    assert seen[1] == ((Path("a.jpg"),), Path("out"), *options, *where, True, How(4, True, workers=1), {})


def test_weights_are_converted(monkeypatch, tmp_path: Path, capsys):
    seen: list[object] = []

    def convert(*given: object) -> Path:
        seen.append(given)
        (tmp_path / "out.safetensors").write_bytes(bytes(2_000_000))
        return tmp_path / "out.safetensors"

    monkeypatch.setattr("limner.expose.load.convert_checkpoint", convert)
    assert ended_with(["weights", "convert", "model.ckpt", "out.safetensors", "--onnx"], monkeypatch) == 0
    assert seen == [(Path("model.ckpt"), Path("out.safetensors"), None, True)]
    assert "out.safetensors (2 MB): use it with limner expose --weights " in capsys.readouterr().out


def test_errors_of_the_library_end_with_their_message(monkeypatch, capsys):
    def refuse(*_: object, **__: object) -> int:
        raise PhotoError("a photo\x1b[31m\x9b \udcff cannot be read. Take another one.")

    monkeypatch.setattr("limner.batch.estimate_photos", refuse)
    assert ended_with(["estimate", "a.jpg"], monkeypatch) == 2
    assert capsys.readouterr().err == "limner: a photo\\x1b[31m\\x9b \\udcff cannot be read. Take another one.\n"


def test_an_interrupt_is_no_traceback(monkeypatch):
    def interrupt(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("limner.batch.estimate_photos", interrupt)
    assert ended_with(["estimate", "a.jpg"], monkeypatch) == 130


def ended_with(words: list[str], monkeypatch: pytest.MonkeyPatch) -> object:
    """The exit code of a command line."""
    monkeypatch.setattr(sys, "argv", ["limner", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def test_evaluate_goes_to_photos_or_to_benchmarks(monkeypatch, capsys):
    seen: list[object] = []
    monkeypatch.setattr("limner.evaluate.benchmark_run.evaluate_benchmark", lambda *given: seen.append(given) or 0)
    monkeypatch.setattr("limner.evaluate.run.evaluate_photos", lambda *given: seen.append(given))
    assert ended_with(["evaluate", "ehf", "E", "--predictions", "p", "--body-model", "S.npz"], monkeypatch) == 0
    assert ended_with(["evaluate", "photos", "d", "--limit", "3"], monkeypatch) == 0
    assert seen == [
        ("ehf", Path("E"), Path("out/evaluation"), "limner", None, Path("p"), Path("S.npz")),
        (Path("d"), Path("out/evaluation"), "limner", 3),
    ]
    assert ended_with(["evaluate", "photos", "d", "--predictions", "p"], monkeypatch) == 2
    assert "--predictions and --body-model are for benchmarks" in capsys.readouterr().err


def test_the_person_finder_is_trained_and_hands_are_the_hand(monkeypatch, capsys):
    seen: list[object] = []
    for name in ("run_person", "run_training", "run_photos"):
        monkeypatch.setattr(f"limner.train.run.{name}", lambda *given, **more: seen.append((*given, *more.values())))
    words = ["train", "person", "--evidence", "e", "--out", "o", "--weights", "w", "--steps", "9", "--init", "tuned"]
    assert ended_with(words, monkeypatch) == 0
    assert ended_with(["train", "hands", "--evidence", "e"], monkeypatch) == 0
    assert ended_with(["harvest", "--part", "person", "--out", "o", "--shards", "2"], monkeypatch) == 0
    assert seen == [
        (Path("e"), "w", Path("o"), 9, "limner", 0, True),
        ("hand", Path("e"), Path("runs/limner"), None, "limner", 0, None),
        (Path("o"), 2, 7, None, None),
    ]
    assert ended_with(["harvest", "--part", "person", "--out", "o", "--crops"], monkeypatch) == 2
    assert "leave them out" in capsys.readouterr().err
