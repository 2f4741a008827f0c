# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes elsewhere than on their plane: behind what the camera sees, in the sequencer, and as an image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

from threedimo.errors import InvalidCameraPath

from .frame_images import FRAME_OFFSET, load_frames, match_colours, play_shot, stored_path
from .jobs import PLANE_FOLDER
from .take_planes import require_frames
from .take_records import Found, take_folder, take_mapping

_SHOT, _TAKE, _FRAMES = "threedimo_shot", "threedimo_take", "threedimo_frames"


def show_behind_camera(found: Found) -> bpy.types.CameraBackgroundImage:
    """Show a take as the background of its shot's camera, in place of another take of the shot.

    Raises:
        InvalidRequest: The take is not done yet.
        UnreadableMedia: Its frames are no longer on disk.
        InvalidCameraPath: The camera was deleted.
    """
    scene, shot, take = found
    require_frames(shot, take)
    if shot.camera is None:
        raise InvalidCameraPath("the camera of this take is no longer in the file", given=take.label)
    camera = shot.camera.data
    key = f"{shot.frame_start}+{shot.num_scene_frames}"
    for other in list(camera.background_images):
        if other.image is not None and other.image.get(_SHOT) == key:
            _remove_background(camera, other)
    background = camera.background_images.new()
    background.image = load_frames(take_folder(take) / PLANE_FOLDER, f"3DiMo {take.label}")
    background.image[_SHOT] = key
    background.frame_method = "FIT"
    match_colours(background.image.colorspace_settings, scene.view_settings.view_transform)
    play_shot(background.image_user, take_mapping(shot, take))
    camera.show_background_images = True
    return background


def put_in_sequencer(found: Found) -> Any:
    """Put a take as a strip at its frames into the scene's sequencer, into the lowest channel that is free.

    Raises:
        InvalidRequest: The take is not done yet.
        UnreadableMedia: Its frames are no longer on disk.
    """
    scene, shot, take = found
    require_frames(shot, take)
    strips = _strips(scene.sequence_editor_create())
    frames = take_folder(take) / PLANE_FOLDER
    end = shot.frame_start + shot.num_scene_frames
    taken = {
        strip.channel
        for strip in strips
        if strip.frame_final_start < end and shot.frame_start < strip.frame_final_end
    }
    channel = next(number for number in range(1, len(taken) + 2) if number not in taken)
    first = stored_path(frames / "00000.png")
    strip = strips.new_image(f"{shot.name} take {take.number}", first, channel, shot.frame_start)
    for number in range(1, shot.num_scene_frames):
        strip.elements.append(f"{number:05d}.png")
    match_colours(strip.colorspace_settings, scene.view_settings.view_transform)
    return strip


def make_image(found: Found) -> bpy.types.Image:
    """Give a take as an image of the file, for whatever takes images: textures, the compositor, editors.

    It is kept also while nothing uses it. An image editor that is open shows it in the shot's time; elsewhere
    the frames are those of `image["threedimo_frames"]`: start, duration and offset. Asked for again, the same
    image is given.

    Raises:
        InvalidRequest: The take is not done yet.
        UnreadableMedia: Its frames are no longer on disk.
    """
    scene, shot, take = found
    require_frames(shot, take)
    image = next((each for each in bpy.data.images if each.get(_TAKE) == take.job_id), None)
    if image is None:
        image = load_frames(take_folder(take) / PLANE_FOLDER, f"3DiMo {shot.name} take {take.number}")
        image[_TAKE] = take.job_id
        image[_FRAMES] = (shot.frame_start, shot.num_scene_frames, FRAME_OFFSET)
        image.use_fake_user = True
    match_colours(image.colorspace_settings, scene.view_settings.view_transform)
    space = _image_editor()
    if space is not None:
        space.image = image
        play_shot(space.image_user, take_mapping(shot, take))
    return image


def _image_editor() -> Any:
    """The first image editor that is open and shows no UVs; None without a window."""
    manager = bpy.context.window_manager
    areas = [area for window in (manager.windows if manager else ()) for area in window.screen.areas]
    return next((area.spaces.active for area in areas if area.ui_type == "IMAGE_EDITOR"), None)


def remove_uses(folder: Path) -> None:
    """Take backgrounds, strips and images away whose files are about to be deleted."""
    for camera in bpy.data.cameras:
        for background in list(camera.background_images):
            if background.image is not None and _lies_in(background.image.filepath, folder):
                _remove_background(camera, background)
    for scene in bpy.data.scenes:
        strips = _strips(scene.sequence_editor) if scene.sequence_editor is not None else []
        for strip in list(strips):
            if strip.type == "IMAGE" and _lies_in(strip.directory, folder):
                strips.remove(strip)
    for image in list(bpy.data.images):
        if _TAKE in image and _lies_in(image.filepath, folder):
            bpy.data.images.remove(image)


def _strips(editor: bpy.types.SequenceEditor) -> Any:
    """Blender 4.4 calls them strips, and 5 no longer sequences."""
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def _remove_background(camera: bpy.types.Camera, background: bpy.types.CameraBackgroundImage) -> None:
    image = background.image
    camera.background_images.remove(background)
    if not image.users:
        bpy.data.images.remove(image)


def _lies_in(path: str, folder: Path) -> bool:
    return folder in _parents(Path(bpy.path.abspath(path)))


def _parents(path: Path) -> Iterator[Path]:
    yield path
    yield from path.parents
