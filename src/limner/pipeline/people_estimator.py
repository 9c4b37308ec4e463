"""What estimators share: the call with one photo, a list or an iterator of photos of any kind."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, overload

from jaxtyping import Float
from torch import Tensor

from limner.geometry.box import as_boxes, boxes_of_each
from limner.geometry.camera import check_focal
from limner.io.image import Photo
from limner.io.photo_input import PhotoLike, as_photo
from limner.pipeline.people import People

BATCH = 8
"""Photos of a list or an iterator that go through the networks together."""


class PeopleEstimator(ABC):
    """Photos in, people out."""

    @overload
    def __call__(
        self, photo: PhotoLike, boxes: Any = None, focal_px: float | None = None, batch: int = BATCH
    ) -> People: ...
    @overload
    def __call__(
        self, photo: list[Any] | tuple[Any, ...], boxes: Any = None, focal_px: float | None = None, batch: int = BATCH
    ) -> list[People]: ...
    @overload
    def __call__(
        self, photo: Iterator[Any], boxes: Any = None, focal_px: float | None = None, batch: int = BATCH
    ) -> Iterator[People]: ...
    def __call__(
        self, photo: Any, boxes: Any = None, focal_px: float | None = None, batch: int = BATCH
    ) -> People | list[People] | Iterator[People]:
        """Everybody in a photo; nobody gives an empty People.

        A list or tuple of photos gives a list of People, an iterator or generator an iterator of People, which reads
        `batch` photos at a time.

        photo: a path, bytes, an open binary file, a PIL image, a numpy array H W 3 or torch tensor 3 H W of uint8 RGB,
        or a `Photo`; other arrays are refused, see `limner.io.photo_input.as_photo`. boxes: x0 y0 x1 y1 of each person
        in photo pixels, if known, as lists, numpy or torch (four numbers are one person); for several photos a list
        with an entry a photo (for an iterator any iterable), boxes or None; otherwise the detector finds people.
        focal_px: the focal length, if known; otherwise from EXIF, otherwise the photo's diagonal. Raises PhotoError and
        BoxError.
        """
        check_focal(focal_px)
        if isinstance(photo, Iterator) and not hasattr(photo, "read"):  # open files are iterators, too
            return self._each(photo, boxes, focal_px, batch)
        if isinstance(photo, list | tuple):
            return list(self._each(photo, boxes_of_each(boxes, len(photo)), focal_px, batch))
        return next(self._each([photo], [boxes], focal_px, 1))

    def _each(
        self, photos: Iterable[Any], boxes: Iterable[Any] | None, focal_px: float | None, batch: int
    ) -> Iterator[People]:
        photos, own = iter(photos), None if boxes is None else iter(boxes)
        while some := [as_photo(photo) for photo in islice(photos, max(1, batch))]:
            given = [None] * len(some) if own is None else list(islice(own, len(some)))
            given = boxes_of_each(given, len(some))
            yield from self.together(some, [None if one is None else as_boxes(one) for one in given], focal_px)

    @abstractmethod
    def together(
        self, photos: Sequence[Photo], boxes: Sequence[Float[Tensor, "_ 4"] | None], focal_px: float | None = None
    ) -> list[People]:
        """The people of several photos that go through the networks as one batch, one People a photo."""
