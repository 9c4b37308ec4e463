"""limner: one photo in, an expressive 3D person out (body, hands and face as one SMPL-X mesh).

    from limner import Estimator

    people = Estimator.load()("photo.jpg")

What is named here is loaded when it is first used: `import limner` alone loads neither torch nor numpy.
"""

import importlib
from typing import TYPE_CHECKING

from limner.threads import prepare

if TYPE_CHECKING:
    from limner.body.model import BodyModel
    from limner.body.params import BodyParams
    from limner.errors import LimnerError
    from limner.estimator import Estimator
    from limner.expose.estimator import OfficialEstimator
    from limner.io.image import Photo, read_photo
    from limner.pipeline.people import People, Person
    from limner.pipeline.results import save_results

__version__ = "0.1.0"

__all__ = [
    "BodyModel",
    "BodyParams",
    "Estimator",
    "LimnerError",
    "OfficialEstimator",
    "People",
    "Person",
    "Photo",
    "__version__",
    "read_photo",
    "save_results",
]

_HOMES = {
    "BodyModel": "limner.body.model",
    "BodyParams": "limner.body.params",
    "Estimator": "limner.estimator",
    "LimnerError": "limner.errors",
    "OfficialEstimator": "limner.expose.estimator",
    "People": "limner.pipeline.people",
    "Person": "limner.pipeline.people",
    "Photo": "limner.io.image",
    "read_photo": "limner.io.image",
    "save_results": "limner.pipeline.results",
}


def __getattr__(name: str) -> object:
    """Public names, from the modules where they live."""
    if name not in _HOMES:
        raise AttributeError(f"module 'limner' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


prepare()
