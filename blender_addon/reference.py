# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of the character: a file, an image of this .blend, or what was rendered last.

What is no file of its own is written as one beside the takes when a shot is queued, named by its pixels. It
stays what it was then, whatever becomes of the image, and goes with the last take that was made of it.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from threedimo.errors import UnreadableMedia, UnwritableFolder

from .driving import input_file
from .sequence import publish_pictures

# The input that each choice of the picture asks for; what was rendered last needs none.
REFERENCE_INPUTS = {"FILE": "reference_image", "IMAGE": "reference_datablock", "RENDER": ""}
_STILL = frozenset({"FILE", "GENERATED"})
_FORMAT = ("media_type", "file_format", "color_mode", "color_depth")


@dataclass(frozen=True)
class Reference:
    """Where the picture of the character comes from.

    Attributes:
        file: The file that a person chose; None if it is yet to be written.
        image: The image to write, by its name.
    """

    file: Path | None
    image: str = ""


def check_reference(scene: bpy.types.Scene) -> Reference:
    """The picture that the panel names, without writing anything yet.

    Raises:
        UnreadableMedia: None is chosen, it is not there, has no pixels, or is no still picture.
        EmptyMedia: The file has no bytes.
    """
    if scene.threedimo.reference_source == "FILE":
        return Reference(input_file(scene.threedimo.reference_image, "reference image"))
    if scene.threedimo.reference_source == "RENDER":
        rendered = _render_result()
        if rendered is None:
            raise _nothing_rendered()
        return Reference(None, rendered.name)  # Blender tells no more of it before it is written
    image = scene.threedimo.reference_datablock
    if image is None:
        raise UnreadableMedia("no reference image is chosen", remedy="choose an image in the panel")
    if image.source not in _STILL:
        raise UnreadableMedia(
            "the reference is no still picture",
            given=f"{image.name}: {image.source.lower()}",
            allowed="a single image",
            remedy="choose another image, or save one frame of it as a file",
        )
    return _checked(image)


def write_reference(scene: bpy.types.Scene, reference: Reference, home: Path) -> Path:
    """The file of a reference; an image is written as a PNG into a folder of its own below `home`.

    Args:
        scene: Gives the view transform under which a render is seen.
        reference: As `check_reference` gives it.
        home: Where such pictures are kept. The same picture is kept once.

    Raises:
        UnreadableMedia: The image is gone, or Blender cannot write it.
        UnwritableFolder: The folder cannot be written.
    """
    if reference.file is not None:
        return reference.file
    image = bpy.data.images.get(reference.image)
    if image is None:
        raise UnreadableMedia("the reference image was deleted", given=reference.image)
    unfinished = home / f".{uuid.uuid4().hex}.part"
    try:
        unfinished.mkdir(parents=True)
        _write(scene, image, unfinished / "reference.png")
        (picture,) = publish_pictures(unfinished, home)
    except OSError as error:
        raise UnwritableFolder(
            f"the reference image cannot be written: {error.strerror}",
            given=home,
            remedy="choose another output folder in the add-on's preferences",
        ) from error
    except RuntimeError as error:  # Blender's own words
        if image.type == "RENDER_RESULT":  # one that came with the file, without its pixels
            raise _nothing_rendered() from error
        raise UnreadableMedia(
            f"the reference image cannot be written: {str(error).strip()}", given=image.name
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return picture


def _checked(image: bpy.types.Image) -> Reference:
    if not image.has_data and not all(image.size):  # what is on disk is not read before it is asked for
        raise UnreadableMedia(
            "the reference image has no pixels",
            given=image.name,
            remedy="reload the image, or choose another one",
        )
    return Reference(None, image.name)


def _nothing_rendered() -> UnreadableMedia:
    return UnreadableMedia(
        "nothing was rendered yet", remedy="render a picture (F12), or choose another reference"
    )


def _render_result() -> bpy.types.Image | None:
    return next((image for image in bpy.data.images if image.type == "RENDER_RESULT"), None)


def _write(scene: bpy.types.Scene, image: bpy.types.Image, file: Path) -> None:
    """Nothing but pixels: names and times in the file would make equal pictures different."""
    if image.type != "RENDER_RESULT":
        _write_pixels(image, file)
        return
    seen = file.with_name("seen.png")
    with _as_png(scene):
        image.save_render(str(seen), scene=scene)
    loaded = bpy.data.images.load(str(seen), check_existing=False)
    try:
        _write_pixels(loaded, file)
    finally:
        bpy.data.images.remove(loaded)
        seen.unlink()


@contextmanager
def _as_png(scene: bpy.types.Scene) -> Iterator[None]:
    settings = scene.render.image_settings
    # Blender 5 sorts the formats into kinds of media.
    before = {name: getattr(settings, name) for name in _FORMAT if hasattr(settings, name)}
    try:
        if "media_type" in before:
            settings.media_type = "IMAGE"
        settings.file_format, settings.color_mode, settings.color_depth = "PNG", "RGB", "8"
        yield
    finally:
        for name, value in before.items():
            setattr(settings, name, value)


def _write_pixels(image: bpy.types.Image, file: Path) -> None:
    width, height = image.size
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    rgba = _rgba(pixels.reshape(width * height, -1))
    if image.is_float:
        rgba[:, :3] = _as_seen(rgba[:, :3])
    copy = bpy.data.images.new("3DiMo reference", width, height, alpha=True)
    try:
        copy.pixels.foreach_set(rgba.ravel())
        copy.filepath_raw, copy.file_format = str(file), "PNG"
        copy.save()
    finally:
        bpy.data.images.remove(copy)


def _rgba(pixels: np.ndarray) -> np.ndarray:
    """Pixels of one to four channels with all four."""
    channels = pixels.shape[1]
    if channels == 4:
        return pixels
    colour = pixels[:, :3] if channels == 3 else np.repeat(pixels[:, :1], 3, axis=1)
    alpha = pixels[:, 1:2] if channels == 2 else np.ones_like(pixels[:, :1])
    return np.ascontiguousarray(np.hstack([colour, alpha]), dtype=np.float32)


def _as_seen(light: np.ndarray) -> np.ndarray:
    """Linear light, which is what Blender keeps in floats, as sRGB; what is brighter than white is white."""
    light = light.clip(0.0, 1.0)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
