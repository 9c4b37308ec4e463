"""The `limner` command: quick help, clear errors, exit codes."""

import functools
import subprocess
import sys
from pathlib import Path

import pytest

from limner.batch import PeopleRecipe, PeopleWriter
from limner.cli import COMMANDS, main
from limner.errors import PhotoError
from limner.scale.photos import How
from limner.train.orders import Rendering, Training

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
    assert all(command.split()[0] in done.stdout for command in COMMANDS)
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
    words += ["--engine", "ray", "--workers", "3"]
    assert ended_with(words, monkeypatch) == 1  # the code of the function is the code of the command
    photos, out = (Path("a.jpg"), Path("b")), Path("o")
    where = (1.0, 2.0, 3.0, 4.0), None, None, 900.0
    assert seen == [
        (photos, PeopleRecipe("w", None, False), PeopleWriter(out), *where, False, How(1, False, "ray", 3), {})
    ]
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


def test_training_commands_hand_over_what_was_typed(monkeypatch, capsys):
    seen: list[object] = []
    for name in ("run_detector", "run_regressors", "run_photos", "run_crops", "run_again", "run_joint", "run_backbone"):
        monkeypatch.setattr(f"limner.train.run.{name}", lambda *given: seen.append(given))
    lines = {
        "train detector --photos e --out o --weights w --steps 9 --tune-backbone": (
            Path("e"), "w", True, Training(Path("o"), 9)),
        "train regressor hand --evidence e --preset smoke": ("hand", Path("e"), None, None, Training(preset="smoke")),
        "train joint --evidence e --steps 3": (Path("e"), "limner", Training(steps=3)),
        "train backbone face resnet18 --evidence e --init tuned --seed 3": (
            "face", "resnet18", "tuned", Path("e"), Training(seed=3)),
        "render photos --out o --shards 2": (Rendering(Path("o"), 2),),
        "render crops --out o --part face --pictures": (Rendering(Path("o")), "face", True, None),
        "render again kept --out o --depth d": (Path("kept"), Path("o"), "all", Path("d")),
    }  # fmt: skip
    for line, given in lines.items():
        assert ended_with(line.split(), monkeypatch) == 0
        assert seen.pop() == given
    assert ended_with(["train", "regressor", "face", "--evidence", "e", "--real-2d", "r"], monkeypatch) == 2
    assert "--real-2d is for the body, got face" in capsys.readouterr().err


@pytest.mark.parametrize("line", [
    "train regressor all --evidence e --init tuned",
    "train joint --evidence e --init tuned",
    "train depth --evidence e --weights w",
    "train backbone body compact --evidence e --real-2d r",
    "render photos --out o --crops",
])  # fmt: skip
def test_no_option_is_swallowed(line: str, monkeypatch, capsys):
    assert ended_with(line.split(), monkeypatch) == 2
    told = capsys.readouterr().err
    assert "Unrecognized options" in told and line[line.rindex("--") :].split()[0] in told


@pytest.mark.parametrize("old, new", [
    ("harvest --out e --shards 3 --poses p.npz", "render crops --out e --shards 3 --poses p.npz"),
    ("harvest --crops --out=e --part hands", "render crops --out e --part hand --pictures"),
    ("harvest --out e --again kept --depth d --seed 3", "render again kept --out e --depth d"),
    ("harvest --part person --out o --seed 3 --hdri h", "render photos --out o --seed 3 --hdri h"),
    ("train body --evidence e --real_2d r --init tuned", "train regressor body --evidence e --real-2d r"),
    ("train hands --evidence e --weights w", "train regressor hand --evidence e"),
    ("train body --backbone=compact --evidence e", "train backbone body compact --evidence e"),
    ("train whole --evidence e --weights w --poses p", "train joint --evidence e --weights w"),
    ("train person --evidence e --init tuned --steps 9", "train detector --photos e --tune-backbone --steps 9"),
    ("train all -h", "train regressor all --help"),
])  # fmt: skip
def test_old_command_lines_name_the_new_ones(old: str, new: str, monkeypatch, capsys):
    assert ended_with(old.split(), monkeypatch) == 2
    assert capsys.readouterr().err == f"limner: `limner {old}` has a new name. Type: limner {new}\n"
    seen: list[str] = []
    for name, command in list(COMMANDS.items()):
        heard = functools.wraps(command)(lambda *given, name=name, **more: seen.append(name) or 0)
        monkeypatch.setitem(COMMANDS, name, heard)
    assert ended_with(new.split(), monkeypatch) == 0  # it is understood
    assert seen == ([] if new.endswith("--help") else [" ".join(new.split()[:2])])
