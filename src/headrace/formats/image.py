"""Encoded image bytes to pixels; the traps of image files are told by name, not passed on.

Truncated data are found because pixels are loaded (Pillow's own `verify` accepts a truncated JPEG). The number of pixels is
judged from the header, before memory is taken. The camera's rotation is applied; 16 bit, palette, CMYK and transparent images
become what the eye sees.
"""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# Only formats that are images and nothing else: Pillow's EPS reader starts a PostScript interpreter.
# JPEG brings MPO with it.
READABLE = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's mode by number of channels."""

# Everything that Pillow's decoders are known to raise on damaged bytes; OSError and ValueError are the usual ones.
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pixels of an image, or the reason why there are none."""

    pixels: np.ndarray | None
    """uint8 (H, W, C); None when `fault` says why."""
    mode: str = ""
    """Pillow's mode of the file: 'L', 'RGB', 'P', 'CMYK', 'I;16' ..."""
    height: int = 0
    """Rows as the file has them, after the camera's rotation."""
    width: int = 0
    channels: int = 0
    """Channels of the picture as the file has it, before conversion."""
    fault: str = ""
    """'kind: detail'; '' when the image is whole."""


def decode(content: bytes, *, channels: int | None, max_pixels: int, first_frame: bool = False) -> Decoded:
    """Decode one image file.

    Args:
        content: the file's bytes.
        channels: 1, 3 or 4: what the pixels are converted to; None keeps grey as 1 and colour as 3.
        max_pixels: larger images are refused before they are decoded.
        first_frame: take the first frame of an animation; else an animation is a fault.
    """
    if not content:
        return Decoded(None, fault="empty: the image has no bytes")
    try:
        image = Image.open(io.BytesIO(content), formats=READABLE)
    except UnidentifiedImageError:
        kind = "a web page" if b"<html" in content[:512].lower() else "no format that is read here"
        return Decoded(None, fault=f"not an image: {kind}")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Decoded(None, fault=f"too large: more than {max_pixels} pixels")
    except _DAMAGED as error:
        return Decoded(None, fault=f"damaged: {error}"[:200])
    with image:
        mode, width, height = image.mode, image.width, image.height
        if width * height > max_pixels:
            return Decoded(None, mode, height, width, fault=f"too large: {width} x {height} is more than {max_pixels} pixels")
        # Phone photographs are often MPO, whose second frame is a thumbnail or a depth map: no animation.
        if not first_frame and image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
            return Decoded(None, mode, height, width, fault="animated: the image has several frames")
        try:
            image.load()
            picture: Image.Image = image
            if "exif" in image.info or image.format == "TIFF":
                picture = ImageOps.exif_transpose(image)
            own = _own_channels(picture)
            pixels = _pixels(picture, channels or min(own, 3))
        except MemoryError:
            return Decoded(None, mode, height, width, fault="too large: not enough memory")
        except _DAMAGED as error:
            kind = "truncated" if "truncated" in str(error) else "damaged"
            return Decoded(None, mode, height, width, fault=f"{kind}: {error}"[:200])
        return Decoded(pixels, mode, picture.height, picture.width, own)


def _own_channels(image: Image.Image) -> int:
    if image.mode == "P":
        return 4 if "transparency" in image.info else 3
    return {"1": 1, "LA": 2, "La": 2, "PA": 4, "RGBA": 4, "RGBa": 4, "CMYK": 4}.get(image.mode, len(image.getbands()))


def _pixels(image: Image.Image, channels: int) -> np.ndarray:
    target = MODES[channels]
    if image.mode != target:
        image = _to_eight_bits(image)
        if channels < 4 and ("A" in image.getbands() or "transparency" in image.info):
            # What lies under transparent pixels was never seen by anybody: show it on white, as a page does.
            layer = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        image = image.convert(target)
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """16 and 32 bit grey to 8 bit by scale; Pillow's own conversion cuts everything above 255 off."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65_535:
            raise ValueError(f"grey values from {values.min()} to {values.max()} are no 16 bit image")
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating point pixels have no agreed range")
    return image


def fit(pixels: np.ndarray, height: int, width: int, how: str) -> np.ndarray | None:
    """Bring uint8 (H, W, C) to (height, width, C); None when it has another size and `how` is 'exact'.

    Args:
        pixels: the picture.
        height: rows wanted.
        width: columns wanted.
        how: 'exact', 'stretch' (sides scaled apart), 'crop' (scaled, then the middle) or 'pad' (scaled, then black borders).
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    if how == "exact":
        return None
    image = Image.fromarray(pixels if pixels.shape[2] > 1 else pixels[:, :, 0])
    # Bilinear with Pillow's antialiasing: each new pixel averages all old ones below it.
    resample = Image.Resampling.BILINEAR
    if how == "stretch":
        image = image.resize((width, height), resample)
    elif how == "crop":
        image = ImageOps.fit(image, (width, height), resample)
    else:
        image = ImageOps.pad(image, (width, height), resample)
    resized = np.asarray(image)
    return resized if resized.ndim == 3 else resized[:, :, None]
