"""Reads one picture. Notable: the size is checked from the file's header, before any pixel is decoded."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from threedimo.errors import EmptyMedia, MediaTooLarge, UnreadableMedia
from threedimo.media.limits import DEFAULT_LIMITS, MediaLimits, check_file, check_size

# Not everything that Pillow knows: some of its other readers start programs (EPS) or are rarely exercised.
IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
ALLOWED_IMAGES = "PNG, JPEG, WebP, TIFF, BMP or GIF pictures of 8 or 16 bits per channel"
MID_GREY = 128


def read_image(source: str | Path | bytes, *, limits: MediaLimits = DEFAULT_LIMITS) -> np.ndarray:
    """Read a picture as a viewer would show it.

    The EXIF rotation is applied; grey and 16-bit pictures become 8-bit RGB; transparent pixels are laid over
    mid grey. Of a file that holds several pictures (animated GIF, a phone's MPO) the first is read.

    Args:
        source: The path of the file, or its bytes.
        limits: How large the picture may be.

    Returns:
        `(height, width, 3)` uint8 RGB.

    Raises:
        UnreadableMedia: Missing, damaged, truncated or of an unknown format.
        EmptyMedia: No bytes.
        MediaTooSmall: Under 16 pixels on a side.
        MediaTooLarge: Over `limits.max_pixels`.
    """
    source = Path(source) if isinstance(source, str) else source
    name = "picture" if isinstance(source, bytes) else source.name
    with _opened(source, name, limits) as image:
        with _damage_named(name):
            image.load()
            upright = ImageOps.exif_transpose(image)
        return _rgb(upright, name)


def image_size(path: Path, limits: MediaLimits) -> tuple[int, int]:
    """Width and height of a picture as it will be shown.

    Raises:
        UnreadableMedia: Missing, damaged, or of an unknown format.
    """
    with _opened(path, path.name, limits) as image:
        width, height = image.size
        with _damage_named(path.name):  # a PNG may say behind its pixels how it lies
            orientation = image.getexif().get(0x0112, 1)
        # Orientations 5 to 8 lie on their side.
        return (height, width) if orientation >= 5 else (width, height)


@contextmanager
def _damage_named(name: str) -> Iterator[None]:
    """Say which picture Pillow cannot read through."""
    try:
        yield
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UnreadableMedia(
            f"the picture is damaged: {error}", given=name, remedy="export or copy the file again"
        ) from error


def _opened(source: Path | bytes, name: str, limits: MediaLimits) -> Image.Image:
    if isinstance(source, bytes):
        if not source:
            raise EmptyMedia("the picture has no bytes")
    else:
        check_file(source, "picture")
    try:
        with warnings.catch_warnings():
            # Our own limit follows at once and is stricter than this warning.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(
                io.BytesIO(source) if isinstance(source, bytes) else source, formats=IMAGE_FORMATS
            )
    except Image.DecompressionBombError as error:
        raise MediaTooLarge(
            "the picture has too many pixels", given=name, allowed=f"at most {limits.max_pixels} pixels"
        ) from error
    except UnidentifiedImageError as error:
        raise UnreadableMedia("the file is not a picture", given=name, allowed=ALLOWED_IMAGES) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise UnreadableMedia(f"the picture cannot be read: {error}", given=name) from error
    try:
        check_size(name, *image.size, limits)
    except BaseException:
        image.close()
        raise
    return image


def _rgb(image: Image.Image, name: str) -> np.ndarray:
    if image.mode.startswith("I;16") or image.mode == "I":
        # Pillow's own conversion would clip 16-bit grey to white.
        wide = np.asarray(image).astype(np.int64)
        if wide.min() < 0 or wide.max() > 65535:
            raise UnreadableMedia(
                "the picture has more than 16 bits per channel", given=name, allowed=ALLOWED_IMAGES
            )
        grey = ((wide + 128) // 257).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode == "F":
        raise UnreadableMedia("the picture holds floating-point numbers", given=name, allowed=ALLOWED_IMAGES)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        behind = Image.new("RGBA", rgba.size, (MID_GREY, MID_GREY, MID_GREY, 255))
        image = Image.alpha_composite(behind, rgba)
    return np.array(image.convert("RGB"))
