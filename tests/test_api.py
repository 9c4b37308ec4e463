"""What `import limner` offers, and what it does not load."""

import subprocess
import sys

import pytest

import limner

LAZY = """
import sys
import limner
assert limner.__version__ and set(limner.__all__) <= set(dir(limner))
print([name for name in ("torch", "numpy", "PIL", "limner.estimator") if name in sys.modules])
"""


def test_nothing_heavy_is_loaded_before_it_is_used():
    done = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]"]


def test_every_public_name_is_there_once():
    found = {name: getattr(limner, name) for name in limner.__all__}
    assert {"Estimator", "People", "Person", "BodyModel", "Photo", "read_photo", "__version__"} <= found.keys()
    from limner.estimator import Estimator
    from limner.pipeline.people import People

    assert found["Estimator"] is Estimator and found["People"] is People
    assert sorted(limner.__all__) == limner.__all__


def test_other_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'Estimater'"):
        limner.Estimater  # noqa: B018
    with pytest.raises(ImportError, match="Estimater"):
        from limner import Estimater  # noqa: F401
