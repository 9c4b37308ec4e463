"""Files that would keep a decoder busy, fill the memory or start a program are refused, with the limit named."""

import io
import os
import socket
import stat
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.errors import PhotoError
from limner.io import image_limits
from limner.io.image import read_photo, read_photo_stream
from limner.io.image_limits import (
    FORMATS,
    MAX_BOXES,
    MAX_CHUNKS,
    MAX_EXIF_SEGMENTS,
    MAX_LAYERS,
    MAX_PIXELS,
    MAX_PIXELS_OF,
    MAX_SCANS,
    MAX_SEGMENTS,
    MAX_SIDE,
    open_image,
    open_photo_file,
)


def encoded(kind: str, size: tuple[int, int] = (24, 16), mode: str = "RGB", **options) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, 77 if mode == "L" else (200, 100, 50)).save(file, kind, **options)
    return file.getvalue()


def read(content: bytes):
    return read_photo_stream(io.BytesIO(content), Path("a.jpg"))


def refused(content: bytes, told: str) -> None:
    """Refused by name with the limit, in no time."""
    start = time.process_time()
    with pytest.raises(PhotoError, match=rf"(?s)a\.jpg .*{told}"):
        read(content)
    assert time.process_time() - start < 3  # a tenth of it on a quiet core


# --- what is no photo --------------------------------------------------------------------------------------------


def test_postscript_named_as_a_photo_is_not_run(tmp_path, monkeypatch):
    """Ghostscript is the program that Pillow starts for it: one of our own, first in the PATH, tells."""
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "evil.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n%%EOF\n")
    with pytest.raises(PhotoError, match=r"evil\.jpg is no image that can be read.*JPEG, PNG"):
        read_photo(tmp_path / "evil.jpg")
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("kind", ["PPM", "TGA", "PCX", "ICO", "SGI", "PDF", "DDS", "IM"])
def test_formats_that_nobody_photographs_in(kind):
    assert kind not in FORMATS
    refused(encoded(kind, (32, 32)), "is no image")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "JPEG2000"])
def test_formats_that_are_meant(kind):
    photo = read(encoded(kind))
    assert photo.pixels.shape == (3, 16, 24) and not photo.pixels[:, 8, 12].equal(photo.pixels[:, 8, 12] * 0)


def test_pipes_sockets_and_devices_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.jpg"))
        (tmp_path / "link.jpg").symlink_to(tmp_path / "pipe.jpg")
        for name, what in (("pipe.jpg", "a pipe"), ("socket.jpg", "a socket"), ("link.jpg", "a pipe")):
            with pytest.raises(PhotoError, match=rf"{name} is {what}, expected an image file.*to a file first"):
                read_photo(tmp_path / name)
    with pytest.raises(PhotoError, match="/dev/zero is a device"):
        read_photo("/dev/zero")
    with pytest.raises(PhotoError, match="does not exist"):
        read_photo("a\0b.jpg")


def test_a_pipe_that_takes_a_photos_place_does_not_block(tmp_path, monkeypatch):
    """Between the look at the path and the opening."""
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded("JPEG"))
    look = os.stat

    def look_and_swap(where, **options):
        found = look(where, **options)
        if where == path and stat.S_ISREG(found.st_mode):
            path.unlink()
            os.mkfifo(path)
        return found

    monkeypatch.setattr(image_limits.os, "stat", look_and_swap)
    with pytest.raises(PhotoError, match="is a pipe"), open_photo_file(path):
        pass


# --- sizes -------------------------------------------------------------------------------------------------------


def png(width: int, height: int, before: bytes = b"", data: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def bitmap(width: int, height: int, data: bytes, compression: int = 1) -> bytes:
    start = 54 + 1024
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, compression, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head + bytes(1024) + data


def jp2(width: int, height: int) -> bytes:
    """A JPEG 2000 file that says it is larger."""
    content = encoded("JPEG2000", (24, 16))
    return content.replace(struct.pack(">II", 16, 24), struct.pack(">II", height, width)).replace(
        struct.pack(">II", 24, 16), struct.pack(">II", width, height)
    )


def test_sides_and_pixels():
    refused(png(1, 300_000_000), f"at most {MAX_SIDE} pixels a side|far too many pixels")
    refused(png(1, MAX_SIDE + 1), f"1 x {MAX_SIDE + 1} pixels, expected at most {MAX_SIDE} pixels a side")
    refused(png(17_000, 17_000), f"17000 x 17000 pixels, expected at most {MAX_PIXELS // 10**6} million")
    refused(bitmap(20_000, 20_000, b"", compression=0), "at most 200 million|far too many")
    most = MAX_PIXELS_OF["JPEG2000"]
    refused(jp2(5000, most // 5000 + 1), f"at most {most // 10**6} million in all in a JPEG2000 file")


def test_bytes(monkeypatch):
    content = encoded("PNG")
    monkeypatch.setattr(image_limits, "MAX_BYTES", len(content) - 1)
    refused(content, rf"has {len(content)} bytes, expected at most {len(content) - 1}")
    monkeypatch.setattr(image_limits, "MAX_BYTES", len(content))
    assert read(content).width == 24


# --- many parts --------------------------------------------------------------------------------------------------


def many_scans(size: tuple[int, int], count: int) -> bytes:
    content = encoded("JPEG", size, "L", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * count + content[-2:]


def test_a_progressive_jpeg_of_many_scans():
    content = many_scans((4000, 3000), 2000)
    assert len(content) < 3_000_000
    refused(content, f"scans, expected at most {MAX_SCANS} for its size")
    large = many_scans((6000, 6000), 70)
    refused(large, "at least 59 scans, expected at most 58 for its size")
    assert read(many_scans((24, 16), 60)).width == 24


def test_scans_are_counted_as_the_decoder_does():
    """Not those of a preview in the notes, nor bytes of the picture that look like one; and behind rubbish, too."""
    content = many_scans((24, 16), 40)
    preview = b"\xff\xe1" + struct.pack(">H", 2 + 600) + b"Exif\0\0" + many_scans((8, 8), 60)[:594].ljust(594, b"\0")
    noted = content[:2] + preview * 4 + content[2:]
    assert read(noted).pixels.equal(read(content).pixels)
    hidden = many_scans((24, 16), MAX_SCANS + 1).replace(b"\xff\xda", b"rubbish\xff\xd3\xff\xff\xda")
    refused(hidden, "scans, expected at most")
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG", quality=100, restart_marker_blocks=1)
    assert read(file.getvalue()).width == 300


def test_segments_and_exif_of_a_jpeg():
    content = encoded("JPEG")
    refused(content[:2] + b"\xff\xfe\0\2" * (MAX_SEGMENTS + 1) + content[2:], f"at most {MAX_SEGMENTS}")
    refused(content[:2] + b"\xff" * 2_000_000 + content[2:], "bytes between its segments")
    refused(content[:2] + b"\xff" * 2_000_000, "bytes between its segments")
    assert read(content[:2] + b"\xff" * 1000 + content[2:] + bytes(2_000_000)).width == 24  # a film behind the photo
    note = b"\xff\xe1" + struct.pack(">H", 10) + b"Exif\0\0II"
    refused(content[:2] + note * (MAX_EXIF_SEGMENTS + 1) + content[2:], f"at most {MAX_EXIF_SEGMENTS}")


def test_chunks_of_a_png():
    pixels = zlib.compress(bytes(16 * (24 * 3 + 1)))
    assert read(png(24, 16, chunk(b"prVt", b"") * 1000, pixels)).width == 24
    refused(png(24, 16, chunk(b"prVt", b"") * MAX_CHUNKS, pixels), f"at most {MAX_CHUNKS}")


def test_compressed_notes_of_a_png_do_not_fill_the_memory():
    text = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(20_000_000), 9))
    refused(png(24, 16, text, zlib.compress(bytes(16 * 73))), "damaged or cut off")
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(20_000_000), 9))
    refused(png(24, 16, profile, zlib.compress(bytes(16 * 73))), "damaged or cut off")


def test_bitmaps_in_runs():
    assert read(bitmap(24, 16, b"\x18\x05\0\0" * 16)).width == 24
    refused(bitmap(5000, 5000, b"\1\1"), "5000 x 5000 pixels in runs, expected at most")
    refused(bitmap(4000, 4000, b"\0\0" * 4_000_000), "bytes for 4000 x 4000 pixels in runs")


def test_boxes_of_a_jpeg_2000():
    content, free = encoded("JPEG2000", no_jp2=False), b"\0\0\0\x08free"
    header = content.index(b"jp2h") - 4
    assert content[4:8] == b"jP  " and read(content[:header] + free * 100 + content[header:]).width == 24
    refused(content[:header] + free * MAX_BOXES + content[header:], f"at most {MAX_BOXES}")
    length = struct.unpack(">I", content[header : header + 4])[0] + 8 * MAX_BOXES
    inside = content[:header] + struct.pack(">I", length) + b"jp2h" + free * MAX_BOXES + content[header + 8 :]
    refused(inside, f"at most {MAX_BOXES}")


def test_layers_and_precincts_of_a_jpeg_2000():
    content = encoded("JPEG2000", no_jp2=True, num_resolutions=3)
    coding = content.index(b"\xff\x52")
    layered = content[: coding + 6] + b"\xff\xff" + content[coding + 8 :]
    refused(layered, f"65535 quality layers, expected at most {MAX_LAYERS}")
    length = struct.unpack(">H", content[coding + 2 : coding + 4])[0]
    body = bytes([content[coding + 4] | 1]) + content[coding + 5 : coding + 2 + length]

    def with_precincts(sizes: bytes) -> bytes:
        segment = struct.pack(">H", length + len(sizes)) + body + sizes
        return content[: coding + 2] + segment + content[coding + 2 + length :]

    assert read(with_precincts(b"\x77\x88\x88")).width == 24
    refused(with_precincts(b"\x77\x11\x88"), "precincts of 2 pixels")
    in_a_file = encoded("JPEG2000", no_jp2=False)
    coding = in_a_file.index(b"\xff\x52")
    refused(in_a_file[: coding + 6] + b"\xff\xff" + in_a_file[coding + 8 :], "65535 quality layers")


def test_only_the_first_picture_of_an_animation_is_decoded():
    frames = [Image.new("L", (24, 16), k % 250) for k in range(400)]
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        file = io.BytesIO()
        frames[0].save(file, kind, save_all=True, append_images=frames[1 : 400 if kind == "GIF" else 5], lossless=True)
        assert read(file.getvalue()).pixels.max() == 0


def test_tags_of_a_tiff_that_share_their_bytes(recwarn):
    """2,000 tags of 1 MB each, all of them the same megabyte."""
    tags = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    tags += [(278, 4, 1, 8), (279, 4, 1, 64)] + [(40_000 + k, 7, 1_000_000, 8) for k in range(2000)]
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    start = time.process_time()
    assert read(head + bytes(4) + bytes(1_000_000)).width == 8
    assert time.process_time() - start < 3
    assert not recwarn.list


def test_an_expected_format_can_be_named():
    with (
        pytest.raises(PhotoError, match="shard is no image"),
        open_image(io.BytesIO(encoded("PNG")), "shard", ("JPEG",)),
    ):
        pass
