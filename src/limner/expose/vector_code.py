"""Python text that becomes machine code: LLVM assembly in the making, compiled by `llvmlite` inside the process.

Loops are made for this very CPU when they are first needed; no compiler has to be installed. `Code` writes the
assembly, `compiled` makes a `Kernel` of it, which runs several jobs at once on the threads of torch's own OpenMP.
"""

import ctypes
import itertools
import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

THREADS = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")
"""What is borrowed from torch's OpenMP."""
INTRINSICS = """
declare <{0} x float> @llvm.fmuladd.v{0}f32(<{0} x float>, <{0} x float>, <{0} x float>)
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
declare i64 @llvm.smax.i64(i64, i64)
"""


PLANS = 1024
"""So many kinds of layers and maps are remembered with what their threads do."""


class Jobs:
    """Calls of a kernel, all to be made at the same time; from run to run only the addresses change.

    jobs: the arguments of each call. The first `addresses` of them are bytes beyond what `Kernel.run` is given.
    """

    def __init__(self, jobs: Sequence[tuple[int, ...]], addresses: int):
        self.words = array("q", itertools.chain([len(jobs)], *jobs))
        self.addresses = addresses
        self.slots = [1 + len(jobs[0]) * job + k for job in range(len(jobs)) for k in range(addresses)]


@dataclass(frozen=True)
class Kernel:
    """A compiled function, to be called with addresses and integers; nothing is checked."""

    start: Callable[[int], None]
    lanes: int
    """Float32 numbers in a vector of this CPU."""
    engine: object
    """Keeps the code in memory."""

    def run(self, jobs: Jobs, addresses: Sequence[int]) -> None:
        """Call it once for each of the jobs; `addresses`: the first arguments of all of them."""
        words = jobs.words[:]
        for slot, address in zip(jobs.slots, itertools.cycle(addresses[: jobs.addresses]), strict=False):
            words[slot] += address
        self.start(words.buffer_info()[0])


Program = Callable[[int], str]
"""LLVM assembly for vectors of so many lanes."""


def compiled(program: Program, name: str, arguments: str) -> Kernel | None:
    """The function `name(arguments)` of a program.

    None where `llvmlite` is missing or cannot make code for this machine.
    """
    try:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    except (ImportError, OSError, RuntimeError):
        return None
    lanes = vector_lanes(dict(llvm.get_host_cpu_features()))
    found = _threads()
    for symbol, address in found.items():
        llvm.add_symbol(symbol, address)
    module = llvm.parse_assembly(whole_program(program, name, arguments, lanes, bool(found)))
    module.verify()
    try:
        engine = _engine(llvm, module)
    except RuntimeError:
        return None
    start = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(engine.get_function_address("run"))
    return Kernel(start, lanes, engine)


def vector_lanes(features: dict[str, bool]) -> int:
    """How many float32 this CPU handles at once: AVX-512, AVX, else NEON and SSE."""
    return 16 if features.get("avx512f") else 8 if features.get("avx") else 4


def _threads() -> dict[str, int]:
    """Addresses of THREADS in the OpenMP that torch has loaded; none where it has another."""
    try:
        library = ctypes.CDLL(torch._C.__file__)
        return {name: ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0 for name in THREADS}
    except (AttributeError, OSError, TypeError):
        return {}


def _engine(llvm: Any, module: Any) -> Any:
    """A module as machine code for this very CPU."""
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2, jit=True
    )
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine


def whole_program(program: Program, name: str, arguments: str, lanes: int, threads: bool) -> str:
    """A program and its entry: run(jobs), where `jobs` is their count, then the arguments of each."""
    parts = arguments.split(", ")
    each = Code(lanes)
    count, me, all_of_us = each.new("load i64, ptr %jobs"), each.thread("thread_num"), each.thread("num_threads")
    with each.loop(me, count, all_of_us) as job:
        words = each.new(f"getelementptr i64, ptr %jobs, i64 {each.add(each.mul(job, len(parts)), 1)}")
        given = []
        for k, part in enumerate(parts):
            kind = part.split()[0]
            place = each.new(f"getelementptr i64, ptr {words}, i64 {k}")
            given.append(f"{kind} {each.new(f'load {kind}, ptr {place}')}")
        each.say(f"call void @{name}({', '.join(given)})")
    run = Code(lanes)
    count = run.new("load i64, ptr %jobs")
    with run.where(run.new(f"icmp eq i64 {count}, 1")):
        run.say("call void @each(ptr %jobs)")
    with run.where(run.new(f"icmp ne i64 {count}, 1")):
        run.say(f"call void @GOMP_parallel(ptr @each, ptr %jobs, i32 {run.new(f'trunc i64 {count} to i32')}, i32 0)")
    return "\n".join(
        [
            INTRINSICS.format(lanes),
            OPENMP if threads else ALONE,
            program(lanes),
            each.function("each", "ptr %jobs"),
            run.function("run", "ptr %jobs", linkage=""),
            # without this LLVM cuts vectors of 16 in two
            'attributes #0 = { nounwind "min-legal-vector-width"="512" "prefer-vector-width"="512" }',
        ]
    )


OPENMP = """
declare i32 @omp_get_thread_num()
declare i32 @omp_get_num_threads()
declare void @GOMP_parallel(ptr, ptr, i32, i32)
"""
ALONE = """
define internal i32 @omp_get_thread_num() { ret i32 0 }
define internal i32 @omp_get_num_threads() { ret i32 1 }
define internal void @GOMP_parallel(ptr %work, ptr %jobs, i32 %count, i32 %flags) {
  call void %work(ptr %jobs)
  ret void
}
"""


class Code:
    """LLVM assembly in the making: every method appends an instruction and returns the name of its result."""

    def __init__(self, lanes: int):
        self.lanes, self.vector = lanes, f"<{lanes} x float>"
        self.lines: list[str] = []
        self.block = "entry"
        self.numbers = itertools.count()
        self.label("entry")

    def say(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def new(self, text: str) -> str:
        name = f"%v{next(self.numbers)}"
        self.say(f"{name} = {text}")
        return name

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")
        self.block = name

    def add(self, a: str, b: str | int) -> str:
        return self.new(f"add i64 {a}, {b}")

    def mul(self, a: str, b: str | int) -> str:
        return self.new(f"mul i64 {a}, {b}")

    def smaller(self, a: str, b: str) -> str:
        return self.new(f"select i1 {self.new(f'icmp slt i64 {a}, {b}')}, i64 {a}, i64 {b}")

    def divided(self, a: str, b: str) -> tuple[str, str]:
        """Quotient and remainder."""
        return self.new(f"udiv i64 {a}, {b}"), self.new(f"urem i64 {a}, {b}")

    def at(self, address: str, index: str) -> str:
        return self.new(f"getelementptr float, ptr {address}, i64 {index}")

    def load(self, address: str, index: str) -> str:
        return self.new(f"load {self.vector}, ptr {self.at(address, index)}, align 4")

    def store(self, value: str, address: str, index: str) -> None:
        self.say(f"store {self.vector} {value}, ptr {self.at(address, index)}, align 4")

    def thread(self, what: str) -> str:
        """`thread_num` or `num_threads` of OpenMP."""
        return self.new(f"sext i32 {self.new(f'call i32 @omp_get_{what}()')} to i64")

    def fetch(self, address: str, index: str) -> None:
        """Ask for the byte that lies so far from an address, for later."""
        place = self.new(f"getelementptr i8, ptr {address}, i64 {index}")
        self.say(f"call void @llvm.prefetch.p0(ptr {place}, i32 0, i32 2, i32 1)")

    def floor(self, relu: str) -> str:
        """A vector of the least that may come out: zeros if `relu` is not 0, else minus infinity."""
        lowest = self.new(f"select i1 {self.new(f'icmp ne i64 {relu}, 0')}, float 0.0, float 0xFFF0000000000000")
        return self.everywhere(lowest)

    def larger(self, a: str, b: str) -> str:
        """The larger number, lane by lane."""
        return self.new(
            f"select <{self.lanes} x i1> {self.new(f'fcmp ogt {self.vector} {a}, {b}')}, "
            f"{self.vector} {a}, {self.vector} {b}"
        )

    def splat(self, value: float) -> str:
        word = struct.unpack("<Q", struct.pack("<d", float(np.float32(value))))[0]
        return f"<{', '.join([f'float 0x{word:016X}'] * self.lanes)}>"

    def plus(self, a: str, b: str) -> str:
        return self.new(f"fadd {self.vector} {a}, {b}")

    def minus(self, a: str, b: str) -> str:
        return self.new(f"fsub {self.vector} {a}, {b}")

    def everywhere(self, number: str) -> str:
        """A vector of one number."""
        first = self.new(f"insertelement {self.vector} poison, float {number}, i64 0")
        return self.new(
            f"shufflevector {self.vector} {first}, {self.vector} poison, <{self.lanes} x i32> zeroinitializer"
        )

    def plus_product(self, a: str, b: str, c: str) -> str:
        """a + b c, rounded once where the CPU can."""
        kind = self.vector
        return self.new(f"call {kind} @llvm.fmuladd.v{self.lanes}f32({kind} {b}, {kind} {c}, {kind} {a})")

    def scaled(self, factor: float, a: str) -> str:
        return a if factor == 1 else self.new(f"fmul {self.vector} {a}, {self.splat(factor)}")

    def plus_scaled(self, a: str, factor: float, b: str) -> str:
        """a + factor b."""
        if abs(factor) == 1:
            return self.plus(a, b) if factor == 1 else self.minus(a, b)
        return self.plus_product(a, b, self.splat(factor))

    def weighted(self, weights: Float[np.ndarray, "k"], values: Sequence[str]) -> str:
        """sum weights * values."""
        terms = [(float(w), v) for w, v in zip(weights, values, strict=True) if w]
        terms.sort(key=lambda term: term[0] != 1)  # one that needs no product goes first
        total = self.scaled(*terms[0])
        for factor, value in terms[1:]:
            total = self.plus_scaled(total, factor, value)
        return total

    def all_of(self, *conditions: str) -> str:
        """Whether all comparisons hold."""
        total = self.new(f"icmp {conditions[0]}")
        for condition in conditions[1:]:
            total = self.new(f"and i1 {total}, {self.new(f'icmp {condition}')}")
        return total

    @contextmanager
    def loop(
        self, first: str | int, last: str | int, step: str | int = 1, sums: list[str] | None = None
    ) -> Iterator[str]:
        """Repeat what is written inside; gives the counter. `sums`: vectors that each round replaces."""
        number = next(self.numbers)
        counter, before, sums = f"%i{number}", self.block, [] if sums is None else sums
        start, names = list(sums), [f"%s{number}_{k}" for k in range(len(sums))]
        self.say(f"br label %head{number}")
        self.label(f"head{number}")
        place = len(self.lines)
        more = self.new(f"icmp slt i64 {counter}, {last}")
        self.say(f"br i1 {more}, label %body{number}, label %after{number}")
        self.label(f"body{number}")
        sums[:] = names
        yield counter
        following = self.add(counter, step)
        entries = [(counter, "i64", first, following), *zip(names, [self.vector] * len(sums), start, sums, strict=True)]
        self.lines[place:place] = [
            f"  {name} = phi {kind} [ {old}, %{before} ], [ {new}, %{self.block} ]" for name, kind, old, new in entries
        ]
        sums[:] = names
        self.say(f"br label %head{number}")
        self.label(f"after{number}")

    @contextmanager
    def where(self, condition: str) -> Iterator[None]:
        """Do what is written inside if `condition` holds."""
        number = next(self.numbers)
        self.say(f"br i1 {condition}, label %then{number}, label %done{number}")
        self.label(f"then{number}")
        yield
        self.say(f"br label %done{number}")
        self.label(f"done{number}")

    def function(self, name: str, arguments: str, linkage: str = "internal ") -> str:
        return "\n".join([f"define {linkage}void @{name}({arguments}) #0 {{", *self.lines, "  ret void", "}", ""])


def lines_of(code: Code, start: str, step: str, count: int) -> list[str]:
    """Addresses, each `step` numbers after the one before."""
    lines = [start]
    while len(lines) < count:
        lines.append(code.at(lines[-1], step))
    return lines


def shares(count: int, workers: int) -> list[tuple[int, int]]:
    """0..count cut into at most so many runs of about the same length."""
    workers = max(1, min(workers, count))
    ends = [count * k // workers for k in range(workers + 1)]
    return list(itertools.pairwise(ends))


def channels_last(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    """The same map with the channels of a pixel side by side in memory, as kernels read maps."""
    return x.contiguous(memory_format=torch.channels_last)
