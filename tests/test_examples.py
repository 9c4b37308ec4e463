"""Every example and the README's lines run, and print and write what they promise."""

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PHOTO = ROOT / "src/limner/assets/photos/eileen_collins.jpg"
PROMISES = {
    "01_photo_to_mesh.py": ["1 people in eileen_collins.jpg", "m from the camera, nose at pixel", "results in"],
    "02_body_model.py": ["right hand: 21 points", "lifts the crown by", "written:"],
    "03_own_boxes.py": ["left hand: looked at", "right hand: looked at", "refused: box 0 = (0, 0, 0, 0) is 0 x 0 px"],
}
FILES = {
    "01_photo_to_mesh.py": ["example_01/overlay_see_through.png", "example_01/results/person_0/mesh.glb"],
    "02_body_model.py": ["example_02/waving.glb"],
    "03_own_boxes.py": [],
}


def test_every_example_has_its_check():
    assert {path.name for path in EXAMPLES.glob("*.py")} == PROMISES.keys() == FILES.keys()


@pytest.mark.parametrize("name", PROMISES)
def test_example(name: str, tmp_path: Path, untrained_weights: Path, monkeypatch, capsys):
    words = [] if name.startswith("02") else ["--weights", str(untrained_weights)]
    monkeypatch.chdir(tmp_path)  # where `out` lies
    monkeypatch.setattr(sys, "argv", [name, *words])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    text = capsys.readouterr().out
    assert [promise for promise in PROMISES[name] if promise not in text] == []
    assert [file for file in FILES[name] if not (tmp_path / "out" / file).exists()] == []


def test_the_lines_of_the_readme(untrained_weights: Path):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert "Estimator.load()" in block and '"photo.jpg"' in block
    block = block.replace("load()", f"load({str(untrained_weights)!r})").replace('"photo.jpg"', repr(str(PHOTO)))
    names: dict[str, Any] = {}
    exec(block, names)
    people = names["people"]
    assert (
        len(people) == len(names["first"].alone) == 1 and names["numbers"].keys() and names["xyz"].shape == (1, 133, 3)
    )
    # the shapes in the comments
    for line in block.splitlines():
        if match := re.match(r"(people\.[\w.]+) +# P ([V\d ]+)", line):
            shape = tuple(people.vertices.shape[1] if n == "V" else int(n) for n in match[2].split())
            assert tuple(eval(match[1], names).shape) == (1, *shape), line
