"""What a file asks for is known before it is given: sizes that lie, archives that swell, nests that crash."""

import io
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.errors import DataSetError, LimnerError
from limner.io.torch_file import read_torch_numbers
from limner.reading import zip_file
from limner.reading.json_file import parsed_json, read_json
from limner.reading.npz_file import names_in_npz, read_npy, read_npz
from limner.reading.pickle_file import NumbersOnly
from limner.reading.told import RefusedError, told_as, whole_file

ARRAY = (
    b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tS'b'\ntR(K\x01%bcnumpy\ndtype\n(S'%b'\nI00\nI01\ntR"
    b"(K\x03S'<'\nNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbI00\n%btb."
)
"""An array of numpy in a pickle: its shape, kind and bytes are still to be said."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ARRAY % (b"(\x8a\x06\x00\x00\x00\x00\x00\x01t", b"f8", b"S'12345678'\n"), "its bytes are not as many"),
        (ARRAY % (b"(K\x01t", b"O8", b"]"), "0 objects"),
        (ARRAY % (b"(J\xff\xff\xff\xfft", b"f8", b"S''\n"), r"\(-1,\)"),
        (ARRAY % (b"(K\x09t", b"S0", b"S''\n"), "not as many"),
        (ARRAY % (b"(K\x01t", b"__import__", b"S''\n"), "odd kind"),
        (b"cnumpy\nndarray\n((\x8a\x06\x00\x00\x00\x00\x00\x01ttR.", None),
        (b"]r\xff\xff\xff\x7f.", "in gaps"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b".", "expected 1099511627776 bytes"),
        (b"\x80\x02}(N" + b"\x85" * 100_000 + b"Nu.", "too deeply"),
        (b"(" * 10 + b"]q\x00" + b"h\x00a" + b".", "contains itself"),
        (
            b"\x80\x02]q\x00K\x01a" + b"".join(b"]q%c(" % (k + 1) + b"h%c" % k * 10 + b"e" for k in range(12)) + b".",
            "values",
        ),
        (b"c_codecs\nencode\n(S'x'\nS'zip'\ntR.", "encoding"),
        (b"cnumpy.f2py.__main__\ndtype\n(tR.", "numpy.f2py.__main__.dtype"),
        (b"cnumpy\nload\n(S'x'\ntR.", "numpy.load"),
        (
            b"cnumpy.core.numeric\n_frombuffer\n(S'x'\ncnumpy\ndtype\n(S'f8'\ntR(\x8a\x05\x00\x00\x00\x00\x01tS'C'\ntR.",
            "many",
        ),
        (b"\x82\x01.", "EXT1"),
    ],
)
def test_hostile_pickles_are_refused(content: bytes, message: str | None):
    tracemalloc.start()
    try:
        if message is None:  # a name that is called makes no array, whatever it is given
            assert not isinstance(NumbersOnly(content).load(), np.ndarray)
        else:
            with pytest.raises((ValueError, pickle.UnpicklingError), match=message):
                NumbersOnly(content).load()
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("protocol", range(6))
def test_numbers_of_every_kind_come_back(protocol: int):
    import scipy.sparse

    content = {
        "f": np.arange(6.0).reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "empty": np.zeros((0, 3)),
        "big": np.arange(3, dtype=">i4"),
        "half": np.ones(2, np.float16),
        "text": np.array(["a", "bc"]),
        "b": np.array([True]),
        "records": np.array([(1, 2.5)], [("a", "<i4"), ("b", "<f8", (2,))]),
        "scalar": np.float32(2.5),
        "when": np.array("2020", "M8[ns]"),
        "objects": np.array([{"x": np.ones(2)}, None], dtype=object),
        "zero_d": np.array(3),
        "bytes": np.array([b"ab"]),
    }
    read = NumbersOnly(pickle.dumps(content, protocol)).load()
    for name, value in content.items():
        if name != "objects":
            assert np.array_equal(read[name], value) and read[name].dtype == value.dtype, name
    assert read["objects"][0]["x"].tolist() == [1, 1] and read["objects"][1] is None
    shared = [np.ones(3)] * 2
    again = NumbersOnly(pickle.dumps(shared, protocol)).load()
    assert again[0] is again[1]
    for form in (scipy.sparse.csc_matrix, scipy.sparse.csr_matrix, scipy.sparse.coo_matrix):
        given = np.arange(12.0).reshape(3, 4)  # not square: rows and columns must not be mistaken for each other
        assert np.array_equal(NumbersOnly(pickle.dumps(form(given), protocol)).load(), given)


def test_sparse_matrices_stay_within_their_bounds():
    import scipy.sparse

    matrix = scipy.sparse.csc_matrix(np.eye(3))
    matrix.indices[1] = 1_000_000
    with pytest.raises(RefusedError, match="indices outside"):
        NumbersOnly(pickle.dumps(matrix)).load()
    matrix = scipy.sparse.csr_matrix(np.eye(3))
    matrix.indptr[1:3] = 1_000_000, 2
    with pytest.raises(RefusedError, match="begin where"):
        NumbersOnly(pickle.dumps(matrix)).load()
    with pytest.raises(RefusedError, match="limit"):
        NumbersOnly(pickle.dumps(scipy.sparse.csc_matrix((10**6, 10**6)))).load()


def npz(folder: Path, packing: int = zipfile.ZIP_DEFLATED, **entries: bytes) -> Path:
    file = folder / "a.npz"
    with zipfile.ZipFile(file, "w", packing) as archive:
        for name, content in entries.items():
            archive.writestr(f"{name}.npy", content)
    return file


def npy(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def test_archives_that_swell_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = npz(tmp_path, a=bytes(3_000_000))
    monkeypatch.setattr(zip_file, "FREE_BYTES", 1_000_000)
    with pytest.raises(RefusedError, match="unpack to 3000000"):
        read_npz(file)
    monkeypatch.undo()
    with pytest.raises(RefusedError, match="unpack to"):
        read_npz(file, most_bytes=2_000_000)
    assert names_in_npz(file) == {"a"}


def test_archives_of_odd_forms_are_refused(tmp_path: Path):
    with pytest.raises(RefusedError, match="packed in a way"):
        read_npz(npz(tmp_path, zipfile.ZIP_LZMA, a=bytes(100)))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("a.npy", b"1")
        archive.writestr("a.npy", b"2")
    with pytest.raises(RefusedError, match="one name"):
        read_npz(tmp_path / "b.npz")


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(-1,)", "(3,)", "(4294967296, 4294967296)"])
def test_arrays_whose_headers_lie_are_not_made(tmp_path: Path, shape: str):
    content = npy(f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}", bytes(16))
    (tmp_path / "a.npy").write_bytes(content)
    for read in (lambda: read_npz(npz(tmp_path, a=content)), lambda: read_npy(tmp_path / "a.npy")):
        with pytest.raises(ValueError, match="says that it is"):
            read()


@pytest.mark.parametrize(
    ("size", "stride", "offset", "message"),
    [
        ((10**12,), (0,), 0, "repeats"),
        ((5,), (1,), 0, "more numbers than it has"),
        ((4,), (1,), 1, "more numbers than it has"),
        ((2,), (-1,), 3, "odd form"),
        ((2,), (1, 1), 0, "odd form"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_stay_within_their_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size, stride, offset, message, zipped
):
    rebuilt = (torch.zeros(4).untyped_storage(), offset, size, stride)

    class Lie:
        def __reduce__(self):
            typed = torch.storage.TypedStorage(wrap_storage=rebuilt[0], dtype=torch.float32, _internal=True)
            return torch._utils._rebuild_tensor, (typed, *rebuilt[1:])

    torch.save({"a": Lie()}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(RefusedError, match=message):
        read_torch_numbers(tmp_path / "a.pt")


def test_packed_checkpoints_are_refused(tmp_path: Path):
    out, file = io.BytesIO(), tmp_path / "a.pt"
    torch.save({"a": torch.zeros(1000)}, out)
    with zipfile.ZipFile(out) as before, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            after.writestr(name, before.read(name))
    with pytest.raises(RefusedError, match="packed"):
        read_torch_numbers(file)


def test_a_flipped_bit_is_found_where_all_is_read(tmp_path: Path):
    file, numbers = tmp_path / "a.pt", torch.full((64,), 1.5)
    torch.save({"a": numbers}, file)
    content = bytearray(file.read_bytes())
    content[content.index(numbers.numpy().tobytes())] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        read_torch_numbers(file, mapped=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "too deeply"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "'c' twice"),
        ('["\\ud800"]', "surrogates"),
        ("1" * 5000, "digits"),
        ("", "Expecting value"),
        ('\ufeff{"a": "\\ud83d\\ude00"}', None),
    ],
)
def test_hostile_json_is_refused(tmp_path: Path, text: str, message: str | None):
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    if message is None:  # a whole character of two halves, behind a byte order mark
        assert read_json(tmp_path / "a.json") == {"a": "\U0001f600"}
        return
    with pytest.raises(ValueError, match=message):
        read_json(tmp_path / "a.json")
    with pytest.raises(ValueError, match=message):
        parsed_json(text)


def test_only_regular_files_of_a_known_size_are_read(tmp_path: Path):
    (tmp_path / "a").write_bytes(bytes(10))
    with pytest.raises(RefusedError, match="10 bytes, the limit is 9"):
        whole_file(tmp_path / "a", 9)
    with pytest.raises(IsADirectoryError):
        whole_file(tmp_path)
    if Path("/dev/zero").exists():  # endless; Windows has none
        with pytest.raises(RefusedError, match="a pipe or a device"):
            whole_file(Path("/dev/zero"))


def test_whatever_is_raised_becomes_limners_error():
    for error, said in (
        (KeyError("betas"), "'betas' is missing"),
        (RecursionError(), "nested too deeply"),
        (MemoryError(), "more memory"),
        (ZeroDivisionError("by zero\nand more"), r"\(ZeroDivisionError: by zero\)"),
        (FileNotFoundError(), "does not exist"),
    ):
        with pytest.raises(DataSetError, match=said) as caught, told_as(DataSetError, "a.npz", "Copy it again."):
            raise error
        assert "Copy it again." in str(caught.value)
    with pytest.raises(LimnerError, match="^own$"), told_as(DataSetError, "a.npz", "Copy it again."):
        raise LimnerError("own")
