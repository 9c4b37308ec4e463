"""The wheel holds what users need and nothing else, and its page shows pictures and links wherever it is read."""

import email
import zipfile
from pathlib import Path

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder

import limner

ROOT = Path(__file__).parents[1]
HOME = "https://github.com/limner-body/limner"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built from the working tree, without network."""
    folder = tmp_path_factory.mktemp("wheel")
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    assert Path(path).stat().st_size < 32e6
    return zipfile.ZipFile(path)


def test_the_wheel_holds_code_assets_and_licences(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    here = {
        f"limner/{path.relative_to(ROOT / 'src' / 'limner').as_posix()}"
        for path in (ROOT / "src" / "limner").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    assert here - names == set()
    assert {f"limner/{name}" for name in ("py.typed", "assets/body.npz", "assets/graphs/blaze_pose.onnx")} <= names
    rest = {name for name in names - here if not name.split("/")[0].endswith(".dist-info")}
    assert {name for name in rest if not name.endswith("/.gitkeep")} == set()
    assert {Path(name).name for name in names if "/licenses/" in name} == {"LICENSE", "NOTICE"}


def test_its_page_has_whole_addresses(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    told = email.message_from_bytes(wheel.read(name))
    page = told.get_payload()
    assert isinstance(page, str) and "# limner" in page
    assert "](docs/" not in page and "](src/" not in page and f"]({HOME}/blob/main/docs/" in page
    assert "](https://raw.githubusercontent.com/limner-body/limner/main/docs/images/" in page
    assert told["Version"] == limner.__version__
    assert told["Requires-Python"] == "<3.15,>=3.11"


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == limner.__version__ and citation["repository-code"] == HOME


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github").rglob("*.yml")) + [ROOT / ".pre-commit-config.yaml"], ids=lambda path: path.name
)
def test_workflow_files_are_yaml(path: Path) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.parent.name == "workflows":
        assert content["jobs"] and all("runs-on" in job for job in content["jobs"].values())
