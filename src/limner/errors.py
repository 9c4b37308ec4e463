"""What can go wrong that the user can mend: every such error names the cure."""


class LimnerError(Exception):
    """Base of all errors whose message is written for the user (what, got, expected, cure)."""


class PhotoError(LimnerError):
    """A photo cannot be read or used."""


class BoxError(LimnerError):
    """A person box is empty, inverted or outside the photo."""


class BodyModelError(LimnerError):
    """A body-model file is missing, of the wrong kind or damaged."""


class WeightsError(LimnerError):
    """A weights file is missing, truncated or does not fit the network."""


class KeypointFileError(LimnerError):
    """A keypoint file cannot be read."""


class OutputError(LimnerError):
    """A result cannot be written."""


class DataSetError(LimnerError):
    """A public data set is missing, half there, or not in its published layout."""
