"""The traps of image files."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from headrace.formats.image import decode, fit

GRADIENT = np.linspace(0, 255, 32 * 24 * 3).astype(np.uint8).reshape(32, 24, 3)


def encode(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def read(content, channels=3, max_pixels=1_000_000, first_frame=False):
    return decode(content, channels=channels, max_pixels=max_pixels, first_frame=first_frame)


def test_png_keeps_every_pixel():
    """A lossless file must come back bit for bit."""
    found = read(encode(Image.fromarray(GRADIENT)))

    assert np.array_equal(found.pixels, GRADIENT)
    assert (found.mode, found.height, found.width, found.channels, found.fault) == ("RGB", 32, 24, 3, "")


def test_channels_follow_the_picture_when_not_given():
    """Grey stays one channel, colour three."""
    assert read(encode(Image.new("L", (2, 3))), channels=None).pixels.shape == (3, 2, 1)
    assert read(encode(Image.new("RGB", (2, 3))), channels=None).pixels.shape == (3, 2, 3)


@pytest.mark.badinput
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_truncated_picture_is_a_fault(kind):
    """Pillow's verify() accepts a truncated JPEG; half of such a picture is grey."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = encode(Image.fromarray(noise), kind)

    found = read(content[: len(content) // 2])

    assert found.pixels is None
    assert found.fault


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>404</html>", "not an image: a web page"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "not an image"),
        (b"\xff\xd8\xff", "not an image|damaged|truncated"),
    ],
)
def test_what_is_no_picture_is_told(content, fault):
    """PostScript is a program, so its reader is never started."""
    assert read(content).fault.partition(":")[0] in {part.partition(":")[0] for part in fault.split("|")}


@pytest.mark.badinput
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("side", [2_000, 12_000, 20_000])
def test_bomb_is_judged_by_its_header(side):
    """400 megapixels fit into 388 kB; Pillow only warns below 179 and raises above."""

    def chunk(kind, body):
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")

    assert read(content).fault.startswith("too large")


def test_camera_rotation_is_applied():
    """A photograph lying on its side is another picture."""
    exif = Image.Exif()
    exif[0x0112] = 6
    found = read(encode(Image.fromarray(GRADIENT), "JPEG", exif=exif, quality=95))

    assert (found.height, found.width) == (24, 32)
    assert found.pixels[0, 0].mean() > found.pixels[0, -1].mean()


def test_sixteen_bits_are_scaled_not_cut():
    """Pillow's own conversion makes everything above 255 white."""
    grey = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)

    assert read(encode(Image.fromarray(grey)), channels=1).pixels[:, :, 0].tolist() == [[0, 1, 128, 255]]


def test_palette_and_cmyk_become_what_the_eye_sees():
    """The numbers of a palette image are no brightness."""
    red = Image.new("RGB", (4, 4), (255, 0, 0))

    assert read(encode(red.convert("P"))).pixels[0, 0].tolist() == [255, 0, 0]
    assert read(encode(red.convert("CMYK"), "JPEG")).pixels[0, 0, 0] > 200


def test_transparent_pixels_are_shown_on_white():
    """Below full transparency any colour may hide."""
    hidden = Image.new("RGBA", (2, 2), (10, 20, 30, 0))

    assert read(encode(hidden)).pixels.min() == 255


@pytest.mark.badinput
@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_animation_is_a_fault_unless_its_first_frame_is_wanted(kind):
    """Which frame carries the label nobody knows."""
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    content = encode(frames[0], kind, save_all=True, append_images=frames[1:])

    assert read(content).fault.startswith("animated")
    assert read(content, first_frame=True).pixels[0, 0, 0] > 200


@pytest.mark.parametrize("how", ["stretch", "crop", "pad"])
def test_picture_is_brought_to_size(how):
    """The three ways differ in the picture, never in the shape."""
    assert fit(GRADIENT, 16, 16, how).shape == (16, 16, 3)
    assert fit(GRADIENT[:, :, :1], 8, 20, how).shape == (8, 20, 1)


def test_exact_size_is_not_touched_and_another_refused():
    """Nothing is resized that nobody asked to resize."""
    assert fit(GRADIENT, 32, 24, "exact") is GRADIENT
    assert fit(GRADIENT, 32, 25, "exact") is None
