"""Numbers from a pickle of somebody else, without running what is pickled in it.

While a pickle is read, every class or function that it names is a `Shell`: a plain record of what it was given. The
names are looked up in a table of exact pairs, nothing is imported. Only when all is read do the shells become arrays,
each after a check that the bytes which it needs are there: neither numpy nor scipy sees unchecked what a pickle says.
"""

import io
import math
import pickle
import pickletools
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np

from limner.reading.told import RefusedError

MOST_DEPTH = 100
MOST_VALUES = 50_000_000
MOST_DENSE = 8_000_000
"""Numbers that a sparse matrix may have when it is written out."""
_MARK = pickletools.markobject
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
_GETS = ("GET", "BINGET", "LONG_BINGET")
_REFUSED = ("EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER")
_TUPLES = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")

Finish = Callable[[Any], Any]


class Shell:
    """What stands for a pickled object until all is read: keeps what it was given, runs nothing."""

    given: tuple[Any, ...]
    state: Any

    def __new__(cls, *given: Any, **_: Any) -> "Shell":
        self = super().__new__(cls)
        self.given, self.state = given, None
        return self

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def append(self, item: Any) -> None: ...

    def extend(self, items: Any) -> None: ...

    def made(self, finish: Finish) -> Any:
        """What takes the shell's place; `finish` does the same for what lies within it."""
        self.given, self.state = finish(self.given), finish(self.state)
        return self


class Ignored(Shell):
    """Stands for what is not wanted, and forgets what it holds."""

    def __setstate__(self, state: Any) -> None: ...

    def made(self, finish: Finish) -> Any:
        self.given = ()
        return self


class Held(Shell):
    """Stands for one of chumpy's arrays, which keep their numbers as `x`; the rest is forgotten."""

    def made(self, finish: Finish) -> Any:
        return finish(self.state.get("x")) if isinstance(self.state, dict) else None


class Kind(Shell):
    """numpy.dtype"""

    def made(self, finish: Finish) -> Any:
        self.state = finish(self.state)
        return self  # stays a record: nothing but arrays asks for it

    def dtype(self) -> np.dtype[Any]:
        """The real one, after looking at every part of what the pickle says."""
        code = self.given[0] if self.given else ""
        if not isinstance(code, str) or not re.fullmatch(r"[<>=|]?[?a-zA-Z][0-9]{0,7}", code):
            raise RefusedError(f"it holds an array of the odd kind {code!r:.50}")
        plain = np.dtype(code)
        if self.state is None:
            return plain
        _, order, within, names, parts, size = self.state[:6]
        if within is not None:
            kind, shape = within
            inner = _shape(shape)
            if math.prod(inner) * kind.dtype().itemsize > 2**20:
                raise RefusedError("it holds an array of a huge kind")
            return np.dtype((kind.dtype(), inner))
        if names:
            fields = {str(name): parts[name] for name in names}
            spec = {
                "names": list(fields),
                "formats": [kind.dtype() for kind, *_ in fields.values()],
                "offsets": [int(where) for _, where, *_ in fields.values()],
                "itemsize": int(size),
            }
            if any(inner.hasobject for inner in spec["formats"]):  # type: ignore[attr-defined]
                raise RefusedError("it holds records with objects in them")
            return np.dtype(spec)  # type: ignore[call-overload]
        if plain.kind in "mM" and len(self.state) > 8:
            unit, count = self.state[8][1][:2]
            plain = np.dtype(f"{plain.char}8[{int(count)}{unit if isinstance(unit, str) else unit.decode()}]")
        return plain.newbyteorder(order) if order in ("<", ">", "=") else plain


class Values(Shell):
    """numpy's `_reconstruct`, which an array's state follows."""

    def made(self, finish: Finish) -> Any:
        if self.state is None:
            raise RefusedError("it holds an array without numbers")
        shape, kind, by_column, raw = self.state[-4:]
        return _array(raw, kind, shape, "F" if by_column else "C", finish)


class FromBuffer(Shell):
    """numpy's `_frombuffer`, as protocol 5 writes arrays."""

    def made(self, finish: Finish) -> Any:
        raw, kind, shape, order = self.given
        return _array(raw, kind, shape, order, finish)


class Scalar(Shell):
    """numpy's `scalar`"""

    def made(self, finish: Finish) -> Any:
        kind, raw = self.given
        return _array(raw, kind, (), "C", finish)[()]


class Encoded(Shell):
    """`_codecs.encode`, by which protocol 2 keeps bytes in a text."""

    def made(self, finish: Finish) -> Any:
        text, encoding = self.given
        if encoding not in ("latin1", "latin-1", "iso-8859-1"):
            raise RefusedError(f"it asks for the encoding {encoding!r:.50}")
        return text.encode("latin1")


class Nothing(Shell):
    """`bytes`, by which protocols 0 to 2 keep no bytes at all."""

    def made(self, finish: Finish) -> bytes:
        if self.given:
            raise RefusedError("it makes bytes of something")
        return b""


class Rebuilt(Shell):
    """`copyreg._reconstructor`, by which protocols 0 and 1 keep objects of plain classes."""

    def made(self, finish: Finish) -> Any:
        kind = self.given[0]
        if not (isinstance(kind, type) and issubclass(kind, Shell)):
            raise RefusedError("it rebuilds what is no object of numbers")
        held = kind()
        held.state = self.state
        return held.made(finish)


class Matrix(Shell):
    """A sparse matrix of scipy's, which becomes an ordinary one."""

    form = ""

    def made(self, finish: Finish) -> np.ndarray:
        if not isinstance(self.state, dict):
            raise RefusedError("it holds a sparse matrix without numbers")
        state = {name: finish(self.state[name]) for name in self.state if isinstance(name, str)}
        shape = _shape(state["_shape"])
        if len(shape) != 2 or math.prod(shape) > MOST_DENSE:
            raise RefusedError(f"it holds a sparse matrix of {shape}, the limit is {MOST_DENSE} numbers")
        data = np.asarray(state["data"])
        if self.form == "coo":
            row, column = state["coords"] if "coords" in state else (state["row"], state["col"])
        else:  # entries of one column (csc) or row (csr) after the other, and where each begins
            begins, inner = np.asarray(state["indptr"]), np.asarray(state["indices"])
            counts = np.diff(begins)
            if begins[0] != 0 or bool((counts < 0).any()) or begins[-1] > len(data):
                raise RefusedError("the columns of its sparse matrix begin where no entries are")
            inner, data, outer = inner[: begins[-1]], data[: begins[-1]], np.repeat(np.arange(len(counts)), counts)
            row, column = (inner, outer) if self.form == "csc" else (outer, inner)
        places = np.stack([np.asarray(row), np.asarray(column)])
        if places.size and not ((places >= 0) & (places < np.reshape(shape, (2, 1)))).all():
            raise RefusedError("its sparse matrix has indices outside of it")
        dense = np.zeros(shape, data.dtype)
        np.add.at(dense, tuple(places), data)
        return dense


class CscMatrix(Matrix):
    """scipy.sparse.csc_matrix"""

    form = "csc"


class CsrMatrix(Matrix):
    """scipy.sparse.csr_matrix"""

    form = "csr"


class CooMatrix(Matrix):
    """scipy.sparse.coo_matrix"""

    form = "coo"


NUMPY: Mapping[tuple[str, str], Any] = {
    ("numpy", "ndarray"): Shell,
    ("numpy", "dtype"): Kind,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): Values for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): Scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): FromBuffer for core in ("core", "_core")},
    ("_codecs", "encode"): Encoded,
    ("__builtin__", "bytes"): Nothing,
    ("builtins", "bytes"): Nothing,
}
"""What arrays of numpy 1 and 2 are pickled with."""
_SPARSE = {"csc": CscMatrix, "csr": CsrMatrix, "coo": CooMatrix}
SCIPY: Mapping[tuple[str, str], Any] = {
    (module, f"{form}_matrix"): shell
    for form, shell in _SPARSE.items()
    for module in ("scipy.sparse", f"scipy.sparse.{form}", f"scipy.sparse._{form}")
}
"""Sparse matrices of all of scipy's releases."""
PLAIN: Mapping[tuple[str, str], Any] = {
    **{(module, "_reconstructor"): Rebuilt for module in ("copy_reg", "copyreg")},
    **{(module, "object"): Shell for module in ("__builtin__", "builtins")},
    ("collections", "OrderedDict"): OrderedDict,
}
CHUMPY: Mapping[tuple[str, str], Any] = {
    (module, name): Held
    for module, name in (
        *product(("chumpy", "chumpy.ch"), ("Ch", "add", "subtract", "multiply", "divide", "MatVecMult", "Concatenate")),
        *product(("chumpy.reordering",), ("Reorder", "Select", "transpose", "reshape", "Concatenate", "concatenate")),
        ("chumpy.linalg", "dot"), ("chumpy.ch_ops", "add"),
    )
}  # fmt: skip
"""Arrays of chumpy, in which SMPL's authors keep shape directions."""


class NumbersOnly(pickle.Unpickler):
    """Takes arrays of numpy and scipy.sparse, numbers, texts and containers from a pickle of Python 2 or 3.

    `load` raises for whatever else it names, for damage, and for more memory than its bytes account for.
    """

    ADMITTED: Mapping[tuple[str, str], Any] = NUMPY | SCIPY | PLAIN | CHUMPY  # type: ignore[operator]

    def __init__(self, content: bytes, encoding: str = "latin1"):
        check_pickle(content)
        super().__init__(io.BytesIO(content), encoding=encoding)
        self._size = len(content)

    def find_class(self, module: str, name: str) -> Any:
        """The shell for an admitted name; nothing is imported."""
        if (module, name) not in self.ADMITTED:
            raise RefusedError(f"it asks for {module}.{name}, which no file of numbers needs")
        return self.ADMITTED[module, name]

    def load(self) -> Any:
        """What the pickle holds, with arrays in the place of shells."""
        return finished(super().load(), 3 * self._size + 2**26)


def check_pickle(content: bytes) -> None:
    """Raise RefusedError for a pickle that would crash or fill the reader before anything is named.

    Python's reader trusts the numbers of its memo (an index of 2^31 is 32 GB), and hashes nested tuples on the C stack.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    argument: Any
    for opcode, argument, _ in pickletools.genops(content):
        name, pops = opcode.name, len(opcode.stack_before)
        if name in _REFUSED:
            raise RefusedError(f"it uses {name}, which no file of numbers needs")
        if name in _PUTS:
            if name != "MEMOIZE" and argument > len(memo) + 100_000:
                raise RefusedError("it numbers what it holds in gaps")
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1] if stack else 0
            continue
        taken: list[Any] = []
        if _MARK in opcode.stack_before or (name == "POP" and stack and stack[-1] is _MARK):
            while stack and stack[-1] is not _MARK:
                taken.append(stack.pop())
            if not stack:
                raise RefusedError("it is no whole pickle")
            stack.pop()
            pops = opcode.stack_before.index(_MARK) if _MARK in opcode.stack_before else 0
        if pops > len(stack):
            raise RefusedError("it is no whole pickle")
        if pops:
            taken += stack[-pops:]
            del stack[-pops:]
        depth = 0
        if name in _GETS:
            depth = memo.get(argument, 0)
        elif name in _TUPLES:
            depth = 1 + max((value for value in taken if value is not _MARK), default=0)
        elif name == "DUP":
            stack += taken
            depth = taken[0]
        elif opcode.stack_before and name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"):
            depth = taken[-pops] if pops else 0
        if depth is not _MARK and depth > MOST_DEPTH:
            raise RefusedError("it is nested too deeply")
        if name == "DUP":
            stack.append(depth)
        else:
            stack += [_MARK if after is _MARK else depth for after in opcode.stack_after]


def finished(content: Any, most_bytes: int) -> Any:
    """The same with everything in the place of its shell, in new lists and dicts.

    most_bytes: of all arrays together. What is named several times is made once. Raises RefusedError for contents that
    contain themselves, are nested too deeply, or have more values than memory allows when they are written out.
    """
    return _Finisher(most_bytes).finish(content)


class _Finisher:
    def __init__(self, most_bytes: int):
        self.left = most_bytes
        self.depth = 0
        self._done: dict[int, tuple[Any, Any, int]] = {}  # the source is kept: its number must stay its own
        self._open: set[int] = set()
        self._count = 0

    def finish(self, value: Any) -> Any:
        if not isinstance(value, list | tuple | dict | set | frozenset | Shell):
            self._count += 1
            return value
        number = id(value)
        if number in self._done:
            _, made, count = self._done[number]
            self._add(count)
            return made
        if number in self._open:
            raise RefusedError("it contains itself")
        if len(self._open) >= MOST_DEPTH:
            raise RefusedError("it is nested too deeply")
        self._open.add(number)
        before = self._count
        self._add(1)
        made = self._made(value)
        self._open.discard(number)
        self._done[number] = (value, made, self._count - before)
        return made

    def _add(self, count: int) -> None:
        self._count += count
        if self._count > MOST_VALUES:
            raise RefusedError(f"it has more than {MOST_VALUES} values")

    def _made(self, value: Any) -> Any:
        match value:
            case Shell():
                made = value.made(self.finish)
                if not isinstance(value, Held):
                    self._spend(int(getattr(made, "nbytes", 0)))
                return made
            case dict():
                return {self.finish(key): self.finish(inner) for key, inner in dict.items(value)}
            case list():
                return [self.finish(inner) for inner in value]
            case tuple():
                return tuple(self.finish(inner) for inner in value)
            case _:
                return {self.finish(inner) for inner in value}

    def _spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise RefusedError("its arrays take more memory than its bytes account for")


def _shape(given: Any) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in given)
    if len(sizes) > 32 or any(size < 0 for size in sizes):
        raise RefusedError(f"it holds an array that says that it is {sizes!r:.100}")
    return sizes


def _array(raw: Any, kind: Any, shape: Any, order: str, finish: Finish) -> np.ndarray:
    """An array of one's own from its bytes (or its objects), which must be as many as it says."""
    if not isinstance(kind, Kind):
        raise RefusedError("it holds an array without a kind")
    if order not in ("C", "F"):
        raise RefusedError("it holds an array of an odd order")
    dtype, sizes = finish(kind).dtype(), _shape(shape)
    count = math.prod(sizes)
    if dtype.kind == "O":
        objects = raw if isinstance(raw, list) else [raw]
        if len(objects) != count:
            raise RefusedError(f"an array says that it is {sizes}, but has {len(objects)} objects")
        array = np.empty(count, object)
        for place, value in enumerate(objects):
            array[place] = finish(value)
    else:
        raw = finish(raw) if isinstance(raw, Encoded | Nothing) else raw
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        if not isinstance(raw, bytes | bytearray) or len(raw) != count * dtype.itemsize or not dtype.itemsize:
            raise RefusedError(f"an array says that it is {sizes} of {dtype}, but its bytes are not as many")
        array = np.frombuffer(bytearray(raw), dtype) if raw else np.empty(0, dtype)
    if dtype.subdtype is not None:
        return array.reshape(*sizes, *dtype.subdtype[1], order="C")
    return array.reshape(sizes, order=order)  # type: ignore[call-overload]
