"""A picture means the same in every format and mode, or it is refused; what changed it is said."""

import contextlib
import io
import re
import struct
import zlib

import numpy as np
import pytest

from binarynet.data.pictures import read_picture
from binarynet.errors import InputError

Image = pytest.importorskip("PIL.Image", reason="no Pillow: pip install pillow")

RNG = np.random.default_rng(7)
GREY = RNG.integers(0, 256, (28, 20)).astype(np.uint8)
GREY[0, :2] = 0, 255
COLOUR = RNG.integers(0, 256, (28, 20, 3)).astype(np.uint8)


def encoded(picture, fmt, **options):
    file = io.BytesIO()
    picture.save(file, fmt, **options)
    return file.getvalue()


def read(tmp_path, data, channels=1, shape=(28, 20), **options):
    path = tmp_path / "a picture"
    path.write_bytes(data)
    pixels, notes = read_picture(path, *shape, channels, **options)
    assert pixels.shape == (1, channels, *shape)
    assert pixels.dtype == np.uint8
    return pixels[0] if channels == 3 else pixels[0, 0], notes


def grey_with_alpha(ink):
    return Image.fromarray(np.dstack([np.full_like(GREY, ink), GREY]), "LA")


def palette():
    picture = Image.fromarray(GREY // 2, "P")
    picture.putpalette([level for index in range(256) for level in [min(255, 2 * index)] * 3])
    return picture


SIXTEEN = GREY.astype(np.uint16) * 257
# What is written → the grey it must mean. Two thirds of these were misread once.
SAME = {
    "PNG": (encoded(Image.fromarray(GREY), "PNG"), GREY),
    "BMP": (encoded(Image.fromarray(GREY), "BMP"), GREY),
    "TIFF": (encoded(Image.fromarray(GREY), "TIFF"), GREY),
    "PGM": (encoded(Image.fromarray(GREY), "PPM"), GREY),
    "GIF": (encoded(Image.fromarray(GREY), "GIF"), GREY),
    "WebP": (encoded(Image.fromarray(GREY), "WEBP", lossless=True), GREY),
    "PNG, grey as RGB": (encoded(Image.fromarray(GREY).convert("RGB"), "PNG"), GREY),
    "PNG of a bit": (encoded(Image.fromarray(GREY > 99), "PNG"), (GREY > 99) * np.uint8(255)),
    "PNG, palette": (encoded(palette(), "PNG"), GREY // 2 * 2),
    "PNG of 16 bits": (encoded(Image.fromarray(SIXTEEN), "PNG"), GREY),
    "TIFF of 16 bits": (encoded(Image.fromarray(SIXTEEN), "TIFF"), GREY),
    "TIFF of 16 bits, big-endian": (encoded(Image.fromarray(SIXTEEN.astype(">u2")), "TIFF"), GREY),
    "PGM of 16 bits": (encoded(Image.fromarray(SIXTEEN.astype(np.int32)), "PPM"), GREY),
    "PGM up to 1000": (b"P5 20 28 1000\n" + (SIXTEEN // 66).astype(">u2").tobytes(), np.rint(SIXTEEN // 66 * 0.255)),
    "TIFF of reals": (encoded(Image.fromarray(GREY / np.float32(255)), "TIFF"), GREY),
    "PFM of reals": (encoded(Image.fromarray(GREY / np.float32(255)), "PPM"), GREY),
    "LA, opaque": (encoded(Image.fromarray(np.dstack([GREY, np.full_like(GREY, 255)]), "LA"), "PNG"), GREY),
    "white ink on transparency": (encoded(grey_with_alpha(255), "PNG"), GREY),
    "white ink on transparency, RGBA": (encoded(grey_with_alpha(255).convert("RGBA"), "TIFF"), GREY),
    "black ink on transparency": (encoded(grey_with_alpha(0), "PNG"), 255 - GREY),
    "black ink on transparency, WebP": (
        encoded(grey_with_alpha(0).convert("RGBA"), "WEBP", lossless=True, exact=True),
        255 - GREY,
    ),
    "palette with a transparent entry": (
        encoded(Image.fromarray((GREY > 99).astype(np.uint8) * 255), "PNG", transparency=0),
        (GREY > 99) * np.uint8(255),
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_a_picture_means_the_same_in_every_format_and_mode(name, tmp_path):
    data, expected = SAME[name]
    found, _ = read(tmp_path, data)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", [name for name in SAME if "16" in name or "real" in name or "transp" in name])
def test_what_was_done_to_a_picture_is_said(name, tmp_path):
    assert read(tmp_path, SAME[name][0])[1]


STORED = {  # upright → as a camera stores it that says so by the orientation
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: np.rot90(a),
    7: lambda a: a[::-1, ::-1].T,
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("fmt", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", STORED)
def test_a_picture_is_turned_as_its_camera_says(orientation, fmt, tmp_path):
    smooth = np.add.outer(np.arange(28) * 6, np.arange(20) * 4).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100} if fmt == "JPEG" else {"lossless": True} if fmt == "WEBP" else {}
    picture = Image.fromarray(np.ascontiguousarray(STORED[orientation](smooth)))
    found, notes = read(tmp_path, encoded(picture, fmt, exif=exif, **options))
    np.testing.assert_allclose(found.astype(int), smooth, atol=4 if fmt == "JPEG" else 0)
    assert fmt == "TIFF" or bool(notes) == (orientation != 1)


def test_colour_is_kept_where_the_model_has_it_and_said_where_not(tmp_path):
    found, notes = read(tmp_path, encoded(Image.fromarray(COLOUR), "PNG"), channels=3)
    np.testing.assert_array_equal(found, COLOUR.transpose(2, 0, 1))
    assert notes == []
    assert read(tmp_path, encoded(Image.fromarray(COLOUR), "PNG"))[1] == ["colour made grey"]
    found, notes = read(tmp_path, encoded(Image.fromarray(GREY), "PNG"), channels=3)
    np.testing.assert_array_equal(found, np.stack([GREY] * 3))
    assert notes == ["grey taken for red, green and blue"]


@pytest.mark.parametrize("fmt", ["TIFF", "JPEG"])
def test_four_inks_become_three_colours(fmt, tmp_path):
    plain = Image.new("RGB", (20, 28), (200, 40, 90))
    data = encoded(plain.convert("CMYK"), fmt)
    found, notes = read(tmp_path, data, channels=3)
    np.testing.assert_allclose(found[:, 9, 9].astype(int), (200, 40, 90), atol=3)
    assert "CMYK" in notes[0]


def test_the_size_is_the_models_and_that_is_said(tmp_path):
    photo = encoded(Image.fromarray(COLOUR).resize((64, 48)), "PNG")
    notes = read(tmp_path, photo, shape=(28, 28))[1]
    assert notes == ["colour made grey", "64 × 48 pixels stretched to 28 × 28"]
    assert read(tmp_path, photo, shape=(24, 32))[1][1] == "64 × 48 pixels resized to 32 × 24"


def test_the_background_may_be_said(tmp_path):
    data = encoded(grey_with_alpha(255), "PNG")
    assert (read(tmp_path, data, background="white")[0] == 255).all()
    np.testing.assert_array_equal(read(tmp_path, data, background="black")[0], GREY)


def frames(fmt):
    other = Image.fromarray(255 - GREY)
    return encoded(Image.fromarray(GREY), fmt, save_all=True, append_images=[other])


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n%%EndComments\n(%pipe%id) (r) file\nshowpage\n"
REFUSED = {
    "animated GIF": (frames("GIF"), "has 2 frames"),
    "animated WebP": (frames("WEBP"), "has 2 frames"),
    "animated PNG": (frames("PNG"), "has 2 frames"),
    "TIFF of two pages": (frames("TIFF"), "has 2 frames"),
    "EPS": (EPS, "PNG, JPEG, GIF, BMP, TIFF, WEBP, PPM"),
    "text": (b"no model and no picture", "PNG, JPEG"),
    "nothing": (b"", "holds 0 bytes"),
    "whole numbers of 32 bits": (encoded(Image.fromarray(GREY.astype(np.int32)), "TIFF"), "which of them is white"),
    "reals up to 255": (encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF"), r"from 0 to 255; only .* \[0, 1\]"),
    "NaN": (encoded(Image.fromarray(np.full((28, 20), np.nan, np.float32)), "TIFF"), "not a finite number"),
    "all transparent": (encoded(Image.new("RGBA", (20, 28)), "PNG"), "all of it is transparent"),
    "Lab": (encoded(Image.new("LAB", (20, 28)), "TIFF"), "mode LAB"),
    "a thousand million pixels": (b"P5 40000 40000 255\n" + bytes(9), "pixels"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_say_what_it_shows_is_refused_in_words(name, tmp_path):
    data, why = REFUSED[name]
    with pytest.raises(InputError, match=why) as caught:
        read(tmp_path, data)
    assert "a picture" in str(caught.value)


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_half_a_picture_is_an_error_and_never_another_kind(fmt, tmp_path):
    whole = encoded(Image.fromarray(COLOUR), fmt)
    for end in range(1, len(whole) - 16, max(1, len(whole) // 60)):
        with pytest.raises(InputError):
            read(tmp_path, whole[:end])


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_a_damaged_picture_is_read_or_refused_in_words(fmt, tmp_path):
    whole = encoded(Image.fromarray(COLOUR), fmt)
    rng = np.random.default_rng(3)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 400), 3):
            damaged[place] = rng.integers(0, 256)
        with contextlib.suppress(InputError):
            read(tmp_path, bytes(damaged))


def test_a_cameras_preview_is_not_a_second_frame(tmp_path):
    smooth = Image.fromarray(np.add.outer(np.arange(28) * 6, np.arange(20) * 4).astype(np.uint8))
    data = encoded(smooth, "MPO", save_all=True, append_images=[smooth.resize((10, 14))], quality=100)
    np.testing.assert_allclose(read(tmp_path, data)[0].astype(int), np.asarray(smooth), atol=4)


def test_a_file_that_is_not_there_is_the_systems_error_and_a_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "none.png", 28, 28, 1)
    with pytest.raises(InputError, match=re.escape(f"{tmp_path}/*")):
        read_picture(tmp_path, 28, 28, 1)
    with pytest.raises(InputError, match="takes 2 channels"):
        read_picture(tmp_path / "none.png", 28, 28, 2)


def test_the_bytes_of_a_bomb_are_not_unpacked(tmp_path):
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    png = encoded(Image.fromarray(GREY), "PNG")
    chunk = b"IHDR" + header
    bomb = png[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]
    with pytest.raises(InputError, match="pixels"):
        read(tmp_path, bomb)
