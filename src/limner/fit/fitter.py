"""How are people fitted to 2D keypoints, from the start to the verdict? The whole method, top to bottom."""

from collections.abc import Callable
from dataclasses import dataclass

from limner.body.model import BodyModel
from limner.body.params import BodyParams
from limner.fit.records import FitTargets, Fits


@dataclass(frozen=True)
class FitOptions:
    """Numbers of a fit.

    batch: so many people at once.
    """

    batch: int = 64


class Fitter:
    """Fits SMPL-X people to 2D keypoints, many at once: no networks, no photo.

    fitter = Fitter(BodyModel.load())
    fits = fitter(targets)                  # from the mean pose, several views tried
    fits = fitter(targets, start=params)    # from an estimate
    """

    def __init__(self, model: BodyModel, options: FitOptions | None = None):
        self.model = model
        self.options = options or FitOptions()

    def __call__(
        self,
        targets: FitTargets,
        start: BodyParams | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Fits:
        """Fit B people. `start`: their estimates in camera axes (`transl` included); else the mean pose.

        progress: called with (people done, people in all) after each batch.
        """
        raise NotImplementedError


__all__ = ["FitOptions", "FitTargets", "Fits", "Fitter"]
