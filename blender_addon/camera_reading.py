# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the camera's words in the panel still hold, found out without reading the camera again.

The words are kept with what they were read from: the scene's settings, which are few enough to be compared
whenever the panel is drawn, and the keys of all that moves the camera. What Blender evaluates anew says when
the camera itself was changed; the frames that a person looks at are no change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import bpy
import numpy as np
from bpy.app.handlers import persistent

from threedimo.errors import InvalidCameraPath

from .redraw import redraw_panel
from .scene_camera import shot_camera

_BETWEEN = "|"


def remember_text(scene: bpy.types.Scene, text: str) -> None:
    """Show a text that was just read from the shot's camera.

    Raises:
        InvalidCameraPath: The scene has no camera, or several.
    """
    settings = scene.threedimo
    settings.camera_text = text
    camera = shot_camera(scene, settings.camera)
    settings.camera_read = _settings_of(scene, camera) + _BETWEEN + _keys_of(_movers(scene, camera))


def is_stale(scene: bpy.types.Scene) -> bool:
    """Whether the shown text may no longer say what the camera does. Cheap enough to draw."""
    settings = scene.threedimo
    if settings.use_custom_text or not settings.camera_text:
        return False
    try:
        camera = shot_camera(scene, settings.camera)
    except InvalidCameraPath:
        return True
    return settings.camera_read.rpartition(_BETWEEN)[0] != _settings_of(scene, camera)


def keyed_frames(scene: bpy.types.Scene, camera: bpy.types.Object) -> list[int]:
    """The scene frames where something that moves the camera, or its lens, has a key."""
    stretch = scene.render.frame_map_new / scene.render.frame_map_old
    frames: set[int] = set()
    for action in _actions([*_hangs_on(camera), camera.data]):
        for curve in _curves(action):
            places = np.empty(2 * len(curve.keyframe_points), np.float32)
            curve.keyframe_points.foreach_get("co", places)
            frames.update(np.rint(places[::2] * stretch).astype(int).tolist())
    return sorted(frames)


def _settings_of(scene: bpy.types.Scene, camera: bpy.types.Object) -> str:
    """What a camera path takes from the scene itself, see `sample_camera`."""
    render, subject = scene.render, scene.threedimo.subject
    size = render.resolution_x, render.resolution_y, render.resolution_percentage
    aspect = render.pixel_aspect_x, render.pixel_aspect_y
    times = scene.frame_start, scene.frame_end, render.fps, render.fps_base
    stretch = render.frame_map_old, render.frame_map_new
    # Without a subject the person stands where the 3D cursor is.
    person = tuple(scene.cursor.location) if subject is None else subject.name_full
    return repr((camera.name_full, times, stretch, size, aspect, scene.unit_settings.scale_length, person))


def _movers(scene: bpy.types.Scene, camera: bpy.types.Object) -> list[bpy.types.ID]:
    """The camera, the subject and whatever they hang on by parents and constraints, and the lens."""
    return [*_hangs_on(camera, scene.threedimo.subject), camera.data]


def _hangs_on(*objects: bpy.types.Object | None) -> list[bpy.types.ID]:
    """Objects with all that they hang on by parents and constraints."""
    found: list[bpy.types.ID] = []
    waiting = list(objects)
    while waiting:
        item = waiting.pop()
        if item is None or item in found:
            continue
        found.append(item)
        waiting.append(item.parent)
        waiting.extend(getattr(constraint, "target", None) for constraint in item.constraints)
        if isinstance(item.data, bpy.types.Curve):
            found.append(item.data)  # where on its path somebody is can be keyed there
    return found


def _actions(movers: list[bpy.types.ID]) -> Iterator[bpy.types.Action]:
    for item in movers:
        if item.animation_data is not None and item.animation_data.action is not None:
            yield item.animation_data.action


def _keys_of(movers: list[bpy.types.ID]) -> str:
    """A fingerprint of all keys that move these."""
    hasher = hashlib.blake2b(digest_size=8)
    for action in _actions(movers):
        for curve in _curves(action):
            hasher.update(f"{curve.data_path} {curve.array_index} {curve.mute}".encode())
            for name in ("co", "handle_left", "handle_right"):
                values = np.empty(2 * len(curve.keyframe_points), np.float32)
                curve.keyframe_points.foreach_get(name, values)
                hasher.update(values.tobytes())
            hasher.update("".join(point.interpolation for point in curve.keyframe_points).encode())
    return hasher.hexdigest()


def _curves(action: bpy.types.Action) -> Iterator[bpy.types.FCurve]:
    """Blender 4.4 sorts an action's curves into layers, and 5 has them nowhere else."""
    if hasattr(action, "fcurves"):
        yield from action.fcurves
        return
    for layer in action.layers:
        for strip in layer.strips:
            for bag in strip.channelbags:
                yield from bag.fcurves


@persistent
def _after_update(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """What a person changed was evaluated; frames that only go by do not come here."""
    settings = scene.threedimo
    if not settings.camera_read or settings.use_custom_text:
        return
    try:
        camera = shot_camera(scene, settings.camera)
    except InvalidCameraPath:
        return  # `is_stale` says so as long as it lasts
    # Written once, not at every step of a drag; the file keeps it.
    if _has_moved(scene, camera, depsgraph):
        settings.camera_read = ""
        redraw_panel()


def _has_moved(scene: bpy.types.Scene, camera: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> bool:
    keyed = False
    for update in depsgraph.updates:
        item = update.id.original
        moved = update.is_updated_transform
        if moved and item in (camera, scene.threedimo.subject):
            return True
        if (moved or update.is_updated_geometry) and item == camera.data:
            return True
        keyed = keyed or isinstance(item, bpy.types.Action)
    if not keyed:
        return False
    read_keys = scene.threedimo.camera_read.rpartition(_BETWEEN)[2]
    return read_keys != _keys_of(_movers(scene, camera))


def register() -> None:
    """Listen to changes."""
    bpy.app.handlers.depsgraph_update_post.append(_after_update)


def unregister() -> None:
    """Listen no more."""
    bpy.app.handlers.depsgraph_update_post.remove(_after_update)
