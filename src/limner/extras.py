"""Packages that only some commands need: extras of the install, imported where they are used."""

from collections.abc import Iterator
from contextlib import contextmanager

from limner.errors import LimnerError


@contextmanager
def extra(name: str, purpose: str) -> Iterator[None]:
    """Around the imports that `purpose` (the start of a sentence) needs of the extra `name`.

    Raises LimnerError with the line that installs them where one is missing.
    """
    try:
        yield
    except ImportError as error:
        raise LimnerError(
            f"{purpose} needs a package that is not there ({error}). Install it with: pip install 'limner[{name}]'"
        ) from error
