"""What does a torch checkpoint of somebody else hold, when nothing that is pickled in it may run?"""

import pickle
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch


class _Shell:
    """Stands for pickled objects of classes that are not loaded: takes anything, keeps and runs nothing."""

    def __init__(self, *args: object, **kwargs: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...

    def __setitem__(self, key: object, value: object) -> None: ...

    def append(self, item: object) -> None: ...

    def extend(self, items: object) -> None: ...


class _NumbersOnly(pickle.Unpickler):
    """Unpickles tensors and numpy arrays; every other class or function becomes a `_Shell`.

    Tensor storages are not pickled: torch resolves them by itself, before this class is asked.
    """

    _ALLOWED = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
        ("torch._utils", "_rebuild_tensor"): torch._utils._rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
        ("torch", "Size"): torch.Size,
        ("torch", "device"): torch.device,
    }
    _NUMPY = {"_reconstruct", "ndarray", "dtype", "scalar", "_frombuffer"}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._ALLOWED:
            return self._ALLOWED[module, name]
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        if module.split(".")[0] == "numpy" and name in self._NUMPY:
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        return _Shell


_NUMBERS_ONLY = SimpleNamespace(
    __name__="numbers only", Unpickler=_NumbersOnly, load=lambda file, **options: _NumbersOnly(file, **options).load()
)


def read_torch_numbers(file: Path) -> Any:
    """The content of a checkpoint of torch, before or after 1.6, on the CPU; a zip is mapped, not read.

    Only tensors, arrays, numbers, texts, lists and dicts are taken; objects of other kinds become empty shells. A
    damaged file can raise nearly anything.
    """
    if tarfile.is_tarfile(file):
        raise ValueError("it is a tar archive")
    # stricter than weights_only, which would also refuse the whole file for the names of its trainer's classes
    return torch.load(
        file, map_location="cpu", mmap=zipfile.is_zipfile(file), pickle_module=_NUMBERS_ONLY, weights_only=False
    )
