"""Any photo comes in upright, 8-bit and RGB, or the error names the cure."""

import io
import math
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageOps

from limner.errors import OutputError, PhotoError
from limner.io.image import focal_from_exif, read_photo, write_image
from limner.io.image_limits import MAX_PIXELS


@pytest.fixture
def rgb():
    """A picture whose every turn looks different: 24 high, 40 wide, smooth enough for JPEG."""
    y, x = np.mgrid[0:24, 0:40]
    return np.stack([x * 6, y * 10, 255 - x * 3 - y * 3], -1).clip(0, 255).astype(np.uint8)


def pixels_of(path):
    return read_photo(path).pixels.numpy().transpose(1, 2, 0)


def exif_with(orientation=None, **camera):
    exif = Image.Exif()
    if orientation:
        exif[ExifTags.Base.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.Exif).update({getattr(ExifTags.Base, k): v for k, v in camera.items()})
    return exif


# --- what can be read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "webp"])
def test_lossless_formats(tmp_path, rgb, ending):
    path = tmp_path / f"a.{ending}"
    Image.fromarray(rgb).save(path, lossless=True)
    photo = read_photo(str(path))
    assert (pixels_of(path) == rgb).all()
    assert (photo.width, photo.height, photo.path, photo.focal_px) == (40, 24, path, None)
    assert photo.pixels.is_contiguous()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
def test_exif_orientation_as_pillow_does_it(tmp_path, rgb, orientation, ending):
    path = tmp_path / f"a.{ending}"
    options = {"quality": 95, "subsampling": 0} if ending == "jpg" else {"lossless": True}
    Image.fromarray(rgb).save(path, exif=exif_with(orientation), **options)
    expected = turned(rgb, orientation)
    got = pixels_of(path)
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).max() <= (6 if ending == "jpg" else 0)


def turned(rgb, orientation):
    """Pillow's own turning, as the twin of ours."""
    image = Image.fromarray(rgb)
    image.getexif()[ExifTags.Base.Orientation] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    deep = np.array([[0, 257, 32768, 65535]], np.uint16)
    for ending in ("png", "tif"):
        Image.fromarray(deep).save(tmp_path / f"a.{ending}")
        assert pixels_of(tmp_path / f"a.{ending}").tolist() == [[[0] * 3, [1] * 3, [128] * 3, [255] * 3]]


def test_sixteen_bit_rgb_png(tmp_path):
    """Written by hand: Pillow cannot."""
    row = b"\0" + struct.pack(">6H", 0, 0x8000, 0xFFFF, 0x0100, 0x1234, 0xFF00)

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    data = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(row)), chunk(b"IEND", b"")]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(data))
    assert np.abs(pixels_of(tmp_path / "a.png").astype(int) - [[[0, 128, 255], [1, 18, 255]]]).max() <= 1


def test_float_image(tmp_path):
    Image.fromarray(np.array([[0, 0.5, 1]], np.float32)).save(tmp_path / "a.tif")
    assert pixels_of(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 128, 255]
    Image.fromarray(np.array([[0, 300.0]], np.float32)).save(tmp_path / "b.tif")
    with pytest.raises(PhotoError, match="8-bit"):
        read_photo(tmp_path / "b.tif")


def test_grey_black_white_palette_and_animation(tmp_path, rgb):
    image = Image.fromarray(rgb)
    for mode in ("L", "1", "P"):
        image.convert(mode).save(tmp_path / "a.png")
        assert (pixels_of(tmp_path / "a.png") == np.asarray(image.convert(mode).convert("RGB"))).all()
    red, blue = Image.new("RGB", (5, 4), "red"), Image.new("RGB", (5, 4), "blue")
    for ending in ("gif", "webp", "png", "tif"):
        red.save(tmp_path / f"b.{ending}", save_all=True, append_images=[blue], lossless=True)
        assert (pixels_of(tmp_path / f"b.{ending}") == [255, 0, 0]).all()


def test_alpha_lies_on_white(tmp_path):
    rgba = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    for ending in ("png", "webp", "tif"):
        Image.fromarray(rgba).save(tmp_path / f"a.{ending}", lossless=True, exact=True)
        assert pixels_of(tmp_path / f"a.{ending}").tolist() == [[[255, 0, 0], [255] * 3, [127] * 3]]
    grey = np.array([[[0, 255], [0, 0]]], np.uint8)
    Image.fromarray(grey).save(tmp_path / "b.png")
    assert pixels_of(tmp_path / "b.png").tolist() == [[[0] * 3, [255] * 3]]
    Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P").save(tmp_path / "c.png", transparency=1)
    assert pixels_of(tmp_path / "c.png").tolist() == [[[0] * 3, [255] * 3]]


def test_cmyk_jpeg(tmp_path):
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    red.save(tmp_path / "a.jpg", quality=95)
    assert np.abs(pixels_of(tmp_path / "a.jpg").astype(int) - [255, 0, 0]).max() <= 8


def test_one_pixel(tmp_path):
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "a.png")
    assert read_photo(tmp_path / "a.png").pixels.tolist() == [[[1]], [[2]], [[3]]]


def test_a_hundred_megapixels_are_read_silently(tmp_path, recwarn):
    before = Image.MAX_IMAGE_PIXELS
    Image.new("L", (12000, 9000), 200).save(tmp_path / "a.jpg", quality=50)
    photo = read_photo(tmp_path / "a.jpg")
    assert photo.pixels.shape == (3, 9000, 12000)
    assert photo.pixels[:, 4000, 5000].tolist() == [200] * 3
    assert not recwarn.list and before == Image.MAX_IMAGE_PIXELS


# --- what cannot be read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "bmp", "webp"])
def test_cut_off_file(tmp_path, ending):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(noise).save(data, format={"jpg": "JPEG", "tif": "TIFF"}.get(ending, ending))
    path = tmp_path / f"a.{ending}"
    for part in (0.9, 0.5, 0.1):
        path.write_bytes(data.getvalue()[: int(part * len(data.getvalue()))])
        with pytest.raises(PhotoError, match="again|Convert"):
            read_photo(path)


def test_not_an_image(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_text("I am a text.")
    with pytest.raises(PhotoError, match=r"a\.jpg is no image.*12 bytes.*Convert it to JPEG or PNG"):
        read_photo(path)
    path.write_bytes(b"")
    with pytest.raises(PhotoError, match=r"empty \(0 bytes\).*again"):
        read_photo(path)
    with pytest.raises(PhotoError, match="is a folder.*Name a photo"):
        read_photo(tmp_path)
    with pytest.raises(PhotoError, match="does not exist.*spelling"):
        read_photo(tmp_path / "b.jpg")


def png_header(width, height):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return body + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


@pytest.mark.parametrize("width", [20_000, 200_000])
def test_too_many_pixels(tmp_path, recwarn, width):
    (tmp_path / "a.png").write_bytes(png_header(width, MAX_PIXELS // 20_000 + 1))
    with pytest.raises(PhotoError, match="at most 200 million.*Scale it down"):
        read_photo(tmp_path / "a.png")
    assert not recwarn.list


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_matter(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff rubbish")
    assert read_photo(tmp_path / "a.jpg").pixels.shape == (3, 24, 40)


# --- focal length ------------------------------------------------------------------------------------------------


def test_focal_length_from_film_equivalent(tmp_path):
    exif = exif_with(6, FocalLengthIn35mmFilm=26, FocalLength=5.7)
    Image.new("RGB", (400, 300)).save(tmp_path / "a.jpg", exif=exif)
    photo = read_photo(tmp_path / "a.jpg")
    assert (photo.width, photo.height) == (300, 400)
    assert photo.focal_px == pytest.approx(26 / math.hypot(36, 24) * 500)


@pytest.mark.parametrize("unit, per_mm", [(2, 100 / 25.4), (3, 10.0), (4, 100.0)])
def test_focal_length_from_the_sensor(unit, per_mm):
    exif = exif_with(FocalLength=5.0, FocalPlaneXResolution=100.0, FocalPlaneResolutionUnit=unit)
    assert focal_from_exif(exif, 40, 30) == pytest.approx(5 * per_mm)
    taken = {"ExifImageWidth": 80, "ExifImageHeight": 60}  # the photo was halved afterwards
    exif.get_ifd(ExifTags.IFD.Exif).update({getattr(ExifTags.Base, k): v for k, v in taken.items()})
    assert focal_from_exif(exif, 40, 30) == pytest.approx(5 * per_mm / 2)


def test_no_focal_length_without_good_evidence():
    assert focal_from_exif(Image.Exif(), 40, 30) is None
    assert focal_from_exif(exif_with(FocalLength=5.0), 40, 30) is None
    for broken in (0, 9000, float("nan"), "wide"):
        assert focal_from_exif(exif_with(FocalLengthIn35mmFilm=broken), 40, 30) is None
    cut = exif_with(FocalLengthIn35mmFilm=26, ExifImageWidth=80, ExifImageHeight=60)
    assert focal_from_exif(cut, 30, 40) is not None
    assert focal_from_exif(cut, 40, 20) is None


# --- writing -----------------------------------------------------------------------------------------------------


def test_write_and_read_back(tmp_path, rgb):
    pixels = torch.from_numpy(rgb.transpose(2, 0, 1).copy())
    write_image(tmp_path / "sub" / "a.PNG", pixels)
    assert (read_photo(tmp_path / "sub" / "a.PNG").pixels == pixels).all()
    write_image(tmp_path / "a.jpg", pixels)
    assert (read_photo(tmp_path / "a.jpg").pixels.int() - pixels.int()).abs().max() <= 6


def test_write_errors(tmp_path):
    pixels = torch.zeros(3, 2, 2, dtype=torch.uint8)
    with pytest.raises(OutputError, match="ending '.xyz', expected one of .png"):
        write_image(tmp_path / "a.xyz", pixels)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="choose another folder"):
        write_image(tmp_path / "file" / "a.png", pixels)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.mp4", b"\0\0\0\x18ftypisom" + bytes(99), r"It is a film, .*ffmpeg -i a\.mp4"),
        ("b c.jpg", b"\x1aE\xdf\xa3" + bytes(99), r"It is a film, .*ffmpeg -i 'b c\.jpg'"),
        ("a.CR2", b"II*\0\x10\0\0\0CR\x02\0" + bytes(99), "a camera's raw file"),
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), r"pip install 'limner\[heic\]'|damaged HEIC"),
    ],
)
def test_what_is_no_photo_is_called_by_its_name(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PhotoError, match=message):
        read_photo(tmp_path / name)


def test_the_first_picture_of_an_animation(tmp_path):
    first, second = (Image.new("RGB", (9, 9), colour) for colour in ("red", "blue"))
    for ending in ("gif", "png", "webp"):
        first.save(tmp_path / f"a.{ending}", save_all=True, append_images=[second], duration=100)
        photo = read_photo(tmp_path / f"a.{ending}")
        assert photo.animated and photo.pixels[0].float().mean() > 240
    first.save(tmp_path / "still.gif")
    assert not read_photo(tmp_path / "still.gif").animated
