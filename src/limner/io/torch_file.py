"""Torch checkpoints of somebody else: what they hold, when nothing that is pickled in them may run.

torch's own loader runs TorchScript archives (whatever their name), and trusts sizes and offsets. So both of its formats
are taken apart here: the zip of torch 1.6 and later, and the row of pickles before it.
"""

import io
import math
import pickle
import pickletools
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, UntypedStorage

from limner.reading.pickle_file import NUMPY, PLAIN, Finish, Ignored, Shell, check_pickle, finished
from limner.reading.told import RefusedError, check_regular
from limner.reading.zip_file import open_zip

MOST_BYTES = 2**35
"""32 GB; tensors are mapped or take as much memory as the file is long."""
MOST_PICKLE_BYTES = 2**28
FREE_NUMBERS = 2**16
"""A tensor that repeats numbers of its storage may have so many; else as many as the storage."""
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""What files of torch before 1.6 begin with."""
_KINDS = {
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool, "ComplexDouble": torch.complex128, "ComplexFloat": torch.complex64, "Untyped": torch.uint8,
}  # fmt: skip


@dataclass(frozen=True)
class _Storage:
    """A run of numbers of one kind, of which tensors are views; `numbers` gives its bytes when they are asked for."""

    dtype: torch.dtype
    count: int
    numbers: Callable[[], UntypedStorage]


class _Shell(Ignored):
    """Stands for pickled objects of classes that are not loaded: takes anything, keeps and runs nothing."""


class _Parameter(Shell):
    """torch's `_rebuild_parameter`"""

    def made(self, finish: Finish) -> Any:
        return finish(self.given[0])


class _Size(Shell):
    """torch.Size"""

    def made(self, finish: Finish) -> tuple[Any, ...]:
        return tuple(finish(self.given[0]))


class _Rebuilt(Shell):
    """torch's `_rebuild_tensor` and `_rebuild_tensor_v2`: a view of a storage, within its bounds."""

    def made(self, finish: Finish) -> Tensor:
        storage, offset, size, stride = self.given[:4]
        size, stride = (_whole(finish(numbers)) for numbers in (size, stride))
        if not isinstance(storage, _Storage) or len(size) != len(stride) or len(size) > 64:
            raise RefusedError("it holds a tensor of an odd form")
        (offset,) = _whole([offset])
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if math.prod(size) and last >= storage.count:
            raise RefusedError(f"it holds a tensor {size} of more numbers than it has")
        if math.prod(size) > max(storage.count, FREE_NUMBERS):
            raise RefusedError(f"it holds a tensor {size} that repeats {storage.count} numbers")
        empty = torch.empty(0, dtype=storage.dtype)
        if not math.prod(size):
            return empty.reshape(size)
        return empty.set_(storage.numbers(), offset, size, stride)


def _whole(numbers: Any) -> tuple[int, ...]:
    """Sizes, strides or offsets."""
    found = tuple(int(number) for number in numbers)
    if any(not 0 <= number < 2**48 for number in found):
        raise RefusedError(f"it holds a tensor of an odd form ({found!r:.100})")
    return found


class _NumbersOnly(pickle.Unpickler):
    """Unpickles tensors and numpy arrays; every other class or function becomes a `_Shell`. Nothing is imported."""

    ADMITTED: dict[tuple[str, str], Any] = {
        **NUMPY,
        ("collections", "OrderedDict"): PLAIN["collections", "OrderedDict"],
        ("torch._utils", "_rebuild_tensor_v2"): _Rebuilt,
        ("torch._utils", "_rebuild_tensor"): _Rebuilt,
        ("torch._utils", "_rebuild_parameter"): _Parameter,
        ("torch", "Size"): _Size,
        **{("torch", f"{kind}Storage"): dtype for kind, dtype in _KINDS.items()},
        **{("torch.storage", f"{kind}Storage"): dtype for kind, dtype in _KINDS.items()},
    }

    def __init__(self, content: bytes, stored: Callable[[str, torch.dtype, int], _Storage], size: int):
        """`size` bytes of the file: its tensors may have eight times as many (some are named several times)."""
        check_pickle(content)
        super().__init__(io.BytesIO(content), encoding="utf-8")
        self._most_bytes, self._stored = 8 * size + 2**26, stored

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name, whatever it is."""
        return self.ADMITTED.get((module, name), _Shell)

    def persistent_load(self, pid: Any) -> Any:
        """A storage that a tensor is a view of."""
        kind, dtype, key, _, count = pid[:5]
        dtype = torch.uint8 if dtype is _Shell else dtype
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not isinstance(key, str | int):
            raise RefusedError("it holds tensors of an odd form")
        if len(pid) > 5 and pid[5] is not None:  # a view of another storage: key, start, length
            whole, (_, start, count) = self._stored(str(key), dtype, _whole([count])[0]), pid[5]
            (start, count), size = _whole((start, count)), dtype.itemsize
            if start + count > whole.count:
                raise RefusedError("it holds a part of a storage beyond its end")
            return _Storage(dtype, count, lambda: whole.numbers()[start * size : (start + count) * size])
        return self._stored(str(key), dtype, _whole([count])[0])

    def load(self) -> Any:
        """What the pickle holds, with tensors and arrays in it."""
        return self.finished(super().load())

    def finished(self, content: Any) -> Any:
        """The content with tensors in the place of shells."""
        return finished(content, self._most_bytes)


def read_torch_numbers(file: Path, mapped: bool = True) -> Any:
    """The content of a checkpoint of torch, before or after 1.6, on the CPU.

    Only tensors, arrays, numbers, texts, lists and dicts are taken; objects of other kinds become empty shells.
    mapped: tensors of a zip stay in the file until they are used, and its checksums are not looked at; otherwise all is
    read and checked. Raises RefusedError for TorchScript programs and for tensors beyond their storage; a damaged file
    can raise nearly anything (`limner.reading.told.told_as`).
    """
    check_regular(file, MOST_BYTES)
    if zipfile.is_zipfile(file):
        return _read_zip(file, mapped)
    if tarfile.is_tarfile(file):
        raise RefusedError("it is a tar archive")
    return _read_row(file)


def _read_zip(file: Path, mapped: bool) -> Any:
    with open_zip(file, MOST_BYTES) as archive, open(file, "rb") as content:
        entries = {entry.filename: entry for entry in archive.infolist()}
        inner = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
        parts = {name.split("/", 1)[-1] for name in entries}
        if "constants.pkl" in parts or any(part.startswith("code/") for part in parts):
            raise RefusedError("it is a TorchScript program, not a file of numbers")
        if len(inner) != 1:
            raise RefusedError("it is a zip archive, but not one that torch.save wrote")
        root = inner[0].removesuffix("data.pkl")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise RefusedError("it is packed: torch.save packs nothing")
        if f"{root}byteorder" in entries and archive.read(f"{root}byteorder").strip() != b"little":
            raise RefusedError("it was saved on a machine of another byte order")
        if entries[inner[0]].file_size > MOST_PICKLE_BYTES:
            raise RefusedError(f"its pickle has {entries[inner[0]].file_size} bytes, the limit is {MOST_PICKLE_BYTES}")
        size = file.stat().st_size
        whole = UntypedStorage.from_file(str(file), False, size) if mapped else None
        known: dict[str, UntypedStorage] = {}

        def numbers(name: str, width: int) -> UntypedStorage:
            if name not in known:
                entry = entries[name]
                start = _start(content, entry)
                if whole is None or start % width:  # not where a processor wants numbers to lie
                    known[name] = torch.frombuffer(bytearray(archive.read(name)), dtype=torch.uint8).untyped_storage()
                else:
                    if start + entry.file_size > size:
                        raise RefusedError("it is cut off")
                    known[name] = whole[start : start + entry.file_size]
            return known[name]

        def stored(key: str, dtype: torch.dtype, count: int) -> _Storage:
            name = f"{root}data/{key}"
            if name not in entries or count * dtype.itemsize > entries[name].file_size:
                raise RefusedError("it lacks numbers of a tensor")
            return _Storage(dtype, count, lambda: numbers(name, dtype.itemsize))

        return _NumbersOnly(archive.read(inner[0]), stored, size).load()


def _start(content: BinaryIO, entry: zipfile.ZipInfo) -> int:
    """Where the bytes of an entry begin: behind its own header, which is not the archive's."""
    content.seek(entry.header_offset)
    header = content.read(30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise RefusedError("an entry has no header")
    return entry.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")


def _read_row(file: Path) -> Any:
    """A file of torch before 1.6: magic number, version, notes on the machine, content, names of storages; then each
    storage's length and its numbers."""
    with open(file, "rb") as content:
        if _next_value(content) != MAGIC or _next_value(content) != PROTOCOL:
            raise RefusedError("it is no file of torch.save")
        notes = _next_value(content)
        if not isinstance(notes, dict) or notes.get("little_endian") is not True:
            raise RefusedError("it was saved on a machine of another byte order")
        inner = _next_pickle(content)
        end = content.tell()
        kinds: dict[str, tuple[torch.dtype, int]] = {}
        known: dict[str, UntypedStorage] = {}

        def stored(key: str, dtype: torch.dtype, count: int) -> _Storage:
            if kinds.setdefault(key, (dtype, count)) != (dtype, count):
                raise RefusedError("it says two things of a storage")
            return _Storage(dtype, count, lambda: known[key])

        def read_storages() -> None:
            content.seek(end)
            for key in _next_value(content):
                count = int.from_bytes(content.read(8), "little")
                dtype, expected = kinds[str(key)]
                if count != expected or count * dtype.itemsize > file.stat().st_size:
                    raise RefusedError("it lacks numbers of a tensor")
                raw = bytearray(content.read(count * dtype.itemsize))
                if len(raw) != count * dtype.itemsize:
                    raise RefusedError("it is cut off")
                known[str(key)] = torch.frombuffer(raw, dtype=torch.uint8).untyped_storage() if raw else _nothing()

        return _Row(inner, stored, file.stat().st_size, read_storages).load()


def _nothing() -> UntypedStorage:
    return UntypedStorage(0)


class _Row(_NumbersOnly):
    """As above; the storages follow behind the pickle that names them."""

    def __init__(self, content: bytes, stored: Callable[..., _Storage], size: int, read: Callable[[], None]):
        super().__init__(content, stored, size)
        self._read_storages = read

    def load(self) -> Any:
        """What the pickle holds."""
        content = pickle.Unpickler.load(self)
        self._read_storages()
        return self.finished(content)


def _next_pickle(content: BinaryIO) -> bytes:
    """The bytes of one pickle, the next begins behind them."""
    start = content.tell()
    for _ in pickletools.genops(content):
        if content.tell() - start > MOST_PICKLE_BYTES:
            raise RefusedError(f"its pickle has more than {MOST_PICKLE_BYTES} bytes")
    size = content.tell() - start
    content.seek(start)
    return content.read(size)


def _next_value(content: BinaryIO) -> Any:
    def nothing(*_: Any) -> _Storage:
        raise RefusedError("it has tensors in an odd place")

    return _NumbersOnly(_next_pickle(content), nothing, 0).load()
