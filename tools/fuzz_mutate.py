"""What does a broken or hostile file look like? Valid ones, changed at random, but such that a reader believes them.

Bit flips alone end at a checksum. So archives are packed again around one changed entry, headers lie, JSON keeps its
form with other values in it, pickles get further opcodes, databases other values.
"""

import io
import json
import pickle
import random
import re
import sqlite3
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

PAGE = 512
VALUES: tuple[Any, ...] = (
    None, True, "", "text", "\u202e\x1b[31m", -1, 0, 1, 10**30, -(10**18), 2**63, 1e308, 1e-320, float("nan"),
    float("inf"), [], {}, [[]], [None], {"a": 1}, "x" * 5000, [0] * 1000,
)  # fmt: skip
"""What takes the place of a value of JSON."""
HOSTILE = ('"\\ud800"', "1" + "0" * 400, "1" + "0" * 5000, "[" * 3000 + "]" * 3000, '{"a":' * 3000 + "1" + "}" * 3000)
HOSTILE += ("[" * 200_000, "-", "1e999", "NaN", "-Infinity", "{}", "[]", '{"a":1,"a":2}', "")
"""Texts of JSON that Python cannot write."""
HUGE = (2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 300_000_000, 65_535, 10**12)


def mutated(content: bytes, kind: str, chance: random.Random, trap: Path) -> bytes:
    """One changed file. `trap`: a path that a pickle which runs would make."""
    own = KINDS[kind]
    changes = [chance.choice(own)] if own and chance.random() < 0.75 else [chance.choice(PLAIN)]
    if chance.random() < 0.2:
        changes.append(chance.choice(PLAIN))
    for change in changes:
        try:
            content = change(content, chance, trap)
        except (ValueError, KeyError, IndexError, struct.error, zipfile.BadZipFile, sqlite3.Error, RecursionError):
            content = chance.choice(PLAIN)(content, chance, trap)  # too broken already for the finer change
    return content


Change = Callable[[bytes, random.Random, Path], bytes]


def flipped(content: bytes, chance: random.Random, _: Path) -> bytes:
    """One to twenty bits."""
    data = bytearray(content)
    for _n in range(chance.choice((1, 1, 2, 5, 20))):
        if data:
            data[_place(data, chance)] ^= 1 << chance.randrange(8)
    return bytes(data)


def _place(content: bytes | bytearray, chance: random.Random) -> int:
    """Somewhere; often near the beginning, where formats say what they are."""
    return chance.randrange(min(len(content), 300) if chance.random() < 0.4 else len(content))


def cut(content: bytes, chance: random.Random, _: Path) -> bytes:
    """Less than all of it."""
    return content[: chance.choice((0, 1, 10, len(content) - 1, chance.randrange(len(content) + 1)))]


def zeroed(content: bytes, chance: random.Random, _: Path) -> bytes:
    """A page of zeros, as a disk leaves it."""
    at = _place(content, chance) // PAGE * PAGE if content else 0
    size = PAGE * chance.choice((1, 1, 8, 64))
    return content[:at] + bytes(len(content[at : at + size])) + content[at + size :]


def spliced(content: bytes, chance: random.Random, _: Path) -> bytes:
    """A piece left out, twice, or moved."""
    a, b = sorted(chance.randrange(len(content) + 1) for _n in range(2))
    b = min(b, a + 5000)
    piece = content[a:b]
    at = chance.randrange(len(content) + 1)
    return chance.choice(
        (content[:a] + content[b:], content[:b] + piece + content[b:], content[:at] + piece + content[at:])
    )


def noisy(content: bytes, chance: random.Random, _: Path) -> bytes:
    """Some bytes of noise, or a whole file of it."""
    noise = chance.randbytes(chance.choice((1, 4, 16, 1000)))
    at = chance.randrange(len(content) + 1)
    return chance.choice((noise, content[:at] + noise + content[at + len(noise) :], content + noise))


def number_changed(content: bytes, chance: random.Random, _: Path) -> bytes:
    """A huge or negative number in binary somewhere."""
    if not content:
        return content
    at, value = _place(content, chance), chance.choice(HUGE)
    raw = struct.pack(chance.choice("<>") + "Q", value)[: chance.choice((2, 4, 8))]
    return content[:at] + raw + content[at + len(raw) :]


PLAIN: list[Change] = [flipped, cut, zeroed, spliced, noisy, number_changed]


def json_changed(content: bytes, chance: random.Random, trap: Path) -> bytes:
    """Another value, another type or none at one place, or text that Python would not write."""
    whole = json.loads(content)
    places: list[tuple[Any, Any]] = []
    waiting = [whole]
    while waiting:
        one = waiting.pop()
        inner = list(one.items()) if isinstance(one, dict) else list(enumerate(one)) if isinstance(one, list) else []
        for key, value in inner[:50]:
            places.append((one, key))
            waiting.append(value)
    if not places:
        return chance.choice(HOSTILE).encode()
    # what lies near the root decides more
    where, key = chance.choice(places[: chance.choice((5, 30, len(places)))])
    kind = chance.random()
    mark = "@@here@@"
    if kind < 0.15:
        del where[key]
    elif kind < 0.6:
        where[key] = chance.choice(VALUES)
    elif kind < 0.7 and isinstance(where, list):
        where.append(chance.choice((*VALUES, where[key])))
    elif kind < 0.8 and isinstance(where, dict):
        where[chance.choice(("more", "", "\u0000", "../x"))] = where[key]
    else:
        where[key] = mark
        return json.dumps(whole).replace(f'"{mark}"', chance.choice(HOSTILE)).encode()
    return json.dumps(whole).encode()


def key_said_twice(content: bytes, chance: random.Random, _: Path) -> bytes:
    """An object that says a name twice."""
    found = list(re.finditer(rb'\{\s*("[^"\\]{1,40}"\s*:)', content))
    one = chance.choice(found)
    return content[: one.start(1)] + one.group(1) + b"1," + content[one.start(1) :]


def repacked(inner: Callable[[str, bytes, random.Random, Path], bytes], packing: int | None = None) -> Change:
    """An archive with one changed entry, whole again around it."""

    def change(content: bytes, chance: random.Random, trap: Path) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(out, "w") as after:
            names = before.namelist()
            chosen, form = chance.choice(names), chance.random()
            for name in names:
                data = before.read(name)
                kind = before.getinfo(name).compress_type if packing is None else packing
                if name == chosen:
                    if form < 0.08:
                        continue
                    if form < 0.12:
                        after.writestr(name, data)  # the same name twice
                    elif form < 0.16:
                        data, kind = bytes(300_000_000), zipfile.ZIP_DEFLATED
                    else:
                        data = inner(name, data, chance, trap)
                after.writestr(name, data, kind)
        return out.getvalue()

    return change


def entry_lies(content: bytes, chance: random.Random, _: Path) -> bytes:
    """A directory of an archive that says other sizes, ways of packing or places."""
    data = bytearray(content)
    found = [m.start() for m in re.finditer(b"PK\x01\x02", content)]
    at = chance.choice(found)
    field, size = chance.choice(((10, 2), (8, 2), (20, 4), (24, 4), (42, 4), (28, 2), (30, 2)))
    value = chance.choice((0, 1, 8, 12, 14, 99, *HUGE))
    data[at + field : at + field + size] = (value & (256**size - 1)).to_bytes(size, "little")
    return bytes(data)


def npy_changed(content: bytes, chance: random.Random, trap: Path) -> bytes:
    """An array whose header lies, or that holds objects."""
    if content[:6] != b"\x93NUMPY":
        return chance.choice(PLAIN)(content, chance, trap)
    size = int.from_bytes(content[8:10], "little")
    header, data = content[10 : 10 + size].decode("latin1"), content[10 + size :]
    form = chance.randrange(6)
    if form == 0:
        shape = chance.choice(
            ("(1000000000000,)", "(-1,)", "()", "(0,)", "(3, 4294967296, 4294967296)", "(1," * 40, "(2, 2)")
        )
        header = re.sub(r"'shape': \([^)]*\)", f"'shape': {shape}", header)
    elif form == 1:
        kinds = (
            "|O",
            "<f2",
            "<f8",
            "|S0",
            "|V0",
            "<U1",
            "|V9",
            "<M8[ns]",
            "<c16",
            "|b1",
            "<i8",
            ">f4",
            "?",
            "<U99999999",
        )
        header = re.sub(r"'descr': '[^']*'", f"'descr': '{chance.choice(kinds)}'", header)
    elif form == 2:
        header, data = (
            "{'descr': '|O', 'fortran_order': False, 'shape': (), }\n",
            pickle_changed(pickle.dumps({"a": 1}, 2), chance, trap),
        )
    elif form == 3:
        header = chance.choice(
            ("{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,), }", "(" * 9000, "__import__('os')")
        )
    elif form == 4:
        values = chance.choice(
            (b"\xff\xff\xff\x7f", b"\x00\x00\xc0\x7f", b"\x00\x00\x80\xff", b"\xff" * 8, b"\x00" * 8)
        )
        at = chance.randrange(len(data) + 1) // 8 * 8
        data = data[:at] + values + data[at + len(values) :]
    else:
        return chance.choice(PLAIN)(content, chance, trap)
    raw = header.encode("latin1")[:60_000]
    return content[:8] + len(raw).to_bytes(2, "little") + raw + data


def harm(trap: Path, chance: random.Random) -> bytes:
    """A pickle that makes `trap`, one way or another, when somebody runs it."""
    path = str(trap).encode()
    calls = (
        b"cos\nmkdir\n(S'" + path + b"'\ntR.",
        b"cposix\nmkdir\n(S'" + path + b"'\ntR.",
        b"cbuiltins\nopen\n(S'" + path + b"'\nS'w'\ntR.",
        b'cbuiltins\neval\n(S\'__import__("os").mkdir("' + path + b"\")'\ntR.",
        b"csubprocess\nPopen\n((lp0\nS'mkdir'\naS'" + path + b"'\natR.",
        b"cnumpy.f2py.__main__\ndtype\n(tR.",
        b"cnumpy.testing._private.utils\nrunstring\n(S'import os; os.mkdir(\"" + path + b"\")'\n(dtR.",
        b"ctorch.serialization\nload\n(S'" + path + b"'\ntR.",
        b"cnumpy\nload\n(S'" + path + b"'\ntR.",
        b"cnumpy\nndarray\n((J\xff\xff\xff\x7fJ\xff\xff\x00\x00ttR.",
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'O8'\nI00\nI01\ntRcos\nmkdir\n(S'" + path + b"'\ntRtR.",
        b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.",
        b"ccopyreg\n_reconstructor\n(cos\n_wrap_close\ncbuiltins\nobject\nNtR.",
    )
    return chance.choice(calls)


def pickle_changed(content: bytes, chance: random.Random, trap: Path) -> bytes:
    """A pickle with more in it than there was, or with other numbers."""
    form = chance.randrange(8)
    if form == 0:
        return harm(trap, chance)
    if form == 1:  # in the place of a value of a dict
        at = chance.randrange(len(content) + 1)
        return content[:at] + harm(trap, chance)[:-1] + content[at:]
    if form == 2:
        bombs = (
            b"]r\xff\xff\xff\x7f.",
            b"\x80\x04\x8e" + b"\xff" * 7 + b"\x00.",
            b"N" + b"\x85" * 100_000 + b"}\x940h\x00.",
            b"](" + b"]q\x00(" * 50 + b"h\x00h\x00h\x00e" * 50 + b"e.",
            b"\x80\x02]q\x00" + b"]q\x01(h\x00h\x00h\x00h\x00e" * 30 + b".",
            b"\x80\x02}(N\x85N" + b"\x85" * 50_000 + b"Nu.",
            b"]q\x00h\x00a.",
            b"\x80\x02\x8b\xff\xff\xff\x7f" + b"1" * 99 + b".",
        )
        return chance.choice(bombs)
    if form == 3:
        lists = b"".join(b"]q" + bytes([k + 1]) + b"(" + b"h" * 0 + (b"h" + bytes([k])) * 10 + b"e" for k in range(12))
        return b"\x80\x02]q\x00K\x01a" + lists + b"."
    if form == 4:
        small = [m.start() for m in re.finditer(rb"K.", content, re.S)]
        if small:
            at = chance.choice(small)
            return content[:at] + b"\x8a\x08" + struct.pack("<q", chance.choice(HUGE[:8])) + content[at + 2 :]
    if form == 5:
        names = re.findall(rb"c(\w[\w.]*)\n(\w+)\n", content)
        if len(names) > 1:
            (a, b), (c, d) = chance.sample(names, 2)
            return content.replace(b"c" + a + b"\n" + b + b"\n", b"c" + c + b"\n" + d + b"\n")
    if form == 6:
        codes = b"().02NRabdelost}]q\x81\x85\x86\x87\x93\x94\x95b"
        at = chance.randrange(len(content) + 1)
        return content[:at] + bytes([chance.choice(codes)]) + content[at + chance.randrange(2) :]
    return chance.choice(PLAIN)(content, chance, trap)


def torch_entry_changed(name: str, data: bytes, chance: random.Random, trap: Path) -> bytes:
    """An entry of torch's zip."""
    if name.endswith(".pkl"):
        return pickle_changed(data, chance, trap)
    return chance.choice((b"", data[:-4], data + b"1234", b"big", b"little", data))


def scripted(content: bytes, chance: random.Random, trap: Path) -> bytes:
    """The same archive as a TorchScript program."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(out, "w") as after:
        root = before.namelist()[0].split("/")[0]
        for name in before.namelist():
            after.writestr(name, before.read(name))
        code = f"def __setstate__(self, x):\n  torch.save([], {str(trap)!r})\n"
        after.writestr(f"{root}/code/__torch__.py", code)
        after.writestr(f"{root}/constants.pkl", pickle.dumps((), 2))
    return out.getvalue()


def tensors_changed(content: bytes, chance: random.Random, trap: Path) -> bytes:
    """A safetensors file with another header of the right length."""
    size = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + size], content[8 + size :]
    if chance.random() < 0.3:
        shape = chance.choice(
            (b'"shape":[1000000000000]', b'"shape":[-1]', b'"shape":[0]', b'"shape":[1,1,1]', b'"shape":[]')
        )
        header = re.sub(rb'"shape":\[[^\]]*\]', shape, header, count=chance.choice((0, 1)))
    elif chance.random() < 0.3:
        header = header.replace(
            b'"F32"', chance.choice((b'"F16"', b'"BF16"', b'"I64"', b'"F8_E5M2"', b'"BOOL"', b'"X"'))
        )
    elif chance.random() < 0.5:
        header = _notes_changed(header, chance, trap)
    else:
        header = json_changed(header, chance, trap)
    return len(header).to_bytes(8, "little") + header + data


def _notes_changed(header: bytes, chance: random.Random, trap: Path) -> bytes:
    """JSON within the notes of a header."""
    whole = json.loads(header)
    notes = whole.get("__metadata__", {})
    for name in notes:
        notes[name] = json_changed(notes[name].encode(), chance, trap).decode()
    return json.dumps(whole).encode()


def png_lies(content: bytes, chance: random.Random, _: Path) -> bytes:
    """A header of other sides, depths or colours, with its checksum."""
    values = list(struct.unpack(">IIBBBBB", content[16:29]))
    at = chance.randrange(7)
    values[at] = chance.choice((0, 1, 3, 16, 255) if at > 1 else (0, 1, 65_535, 300_000_000, 2**31 - 1, 20_000))
    chunk = b"IHDR" + struct.pack(">IIBBBBB", *values)
    return content[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]


def jpeg_lies(content: bytes, chance: random.Random, _: Path) -> bytes:
    """A frame of other sides, or scans again and again."""
    data = bytearray(content)
    frame = content.find(b"\xff\xc0") if b"\xff\xc0" in content else content.find(b"\xff\xc2")
    if chance.random() < 0.7 and frame > 0:
        data[frame + 5 : frame + 9] = struct.pack(">HH", *(chance.choice((0, 1, 65_535, 30_000, 8)) for _n in range(2)))
        return bytes(data)
    scan = content.find(b"\xff\xda")
    return content[:scan] + content[scan:-2] * chance.choice((2, 50)) + content[-2:]


def ending_changed(content: bytes, chance: random.Random, _: Path) -> bytes:
    """Something else under a photo's name."""
    others = (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n{} loop\n",
        b"GIF89a",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"BM" + struct.pack("<IIIIiiHHIIiiII", 70, 0, 54, 40, 2**30, 2**30, 1, 24, 0, 0, 0, 0, 0, 0),
        b"P6 99999 99999 255\n",
        b"II*\x00\x08\x00\x00\x00\x01\x00" + b"\x00\x01\x04\x00\x01\x00\x00\x00\xff\xff\xff\x7f" * 3,
    )
    return chance.choice(others)


def rows_changed(content: bytes, chance: random.Random, _: Path) -> bytes:
    """A database that is whole, with values in it that nobody wrote."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "set.sqlite"
        file.write_bytes(content)
        db = sqlite3.connect(file, isolation_level=None)
        try:
            tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            table = chance.choice(tables)
            columns = [row[1] for row in db.execute(f"PRAGMA table_info ({table})")]
            values = (
                None,
                "x",
                "[",
                '{"a": NaN}',
                -1,
                2**62,
                1.5,
                b"\x00" * 50,
                b"\xff",
                "\x00",
                "9" * 400,
                "[" * 5000,
            )
            column, value = chance.choice(columns), chance.choice(values)
            if chance.random() < 0.15:
                db.execute(chance.choice((f"DROP TABLE {table}", f"DELETE FROM {table}")))
            else:
                db.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", (value,))
            db.execute("PRAGMA wal_checkpoint (TRUNCATE)")
        finally:
            db.close()
        return file.read_bytes()


def big_page_zeroed(content: bytes, chance: random.Random, _: Path) -> bytes:
    """A whole page of a database."""
    at = chance.randrange(max(1, len(content) // 4096)) * 4096
    return content[:at] + bytes(min(4096, len(content) - at)) + content[at + 4096 :]


def word_changed(content: bytes, chance: random.Random, _: Path) -> bytes:
    """Another word or number in a text."""
    found = list(re.finditer(rb"[\w.+-]+", content))
    one = chance.choice(found)
    words = (
        b"nan",
        b"inf",
        b"-1",
        b"1e400",
        b"9" * 5000,
        b"text",
        b"",
        b"\xff\xfe",
        b"\x00",
        b'"',
        b"0",
        b"1" + b"0" * 12,
    )
    return content[: one.start()] + chance.choice(words) + content[one.end() :]


def _npy_of(name: str, data: bytes, chance: random.Random, trap: Path) -> bytes:
    return npy_changed(data, chance, trap)


KINDS: dict[str, list[Change]] = {
    "json": [json_changed, json_changed, json_changed, key_said_twice],
    "npz": [repacked(_npy_of), repacked(_npy_of), entry_lies],
    "npy": [npy_changed],
    "pickle": [pickle_changed],
    "torch": [
        repacked(torch_entry_changed),
        repacked(torch_entry_changed),
        repacked(torch_entry_changed, 8),
        entry_lies,
        scripted,
    ],
    "tensors": [tensors_changed],
    "png": [png_lies, ending_changed],
    "jpeg": [jpeg_lies, jpeg_lies, ending_changed],
    "sqlite": [rows_changed, rows_changed, big_page_zeroed],
    "text": [word_changed],
    "tar": [],
    "bytes": [],
}
"""How each kind of file is changed, besides PLAIN."""
