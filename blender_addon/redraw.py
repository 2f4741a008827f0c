# SPDX-License-Identifier: GPL-3.0-or-later
"""When Blender draws our panel and the views anew: it redraws by itself only where something was clicked."""

from __future__ import annotations

import bpy


class WatchedSettings:
    """What the panel says and is set elsewhere, in the timeline for example: frames and picture size.

    Blender redraws only the editor where they are set: the panel would go on saying what holds no more.
    """

    def __init__(self) -> None:
        self._seen: dict[int, tuple[float, ...]] = {}

    def changed(self) -> bool:
        """Whether a scene that is looked at got others since the last call."""
        manager = bpy.context.window_manager
        scenes = {window.scene for window in manager.windows} if manager else ()
        found = {scene.session_uid: _frames_and_size(scene) for scene in scenes}
        changed = any(self._seen.get(uid, settings) != settings for uid, settings in found.items())
        self._seen = found
        return changed


def redraw_panel() -> None:
    """Redraw the sidebars alone: drawing whole views is what makes an animation stutter."""
    _redraw("UI")


def redraw_views() -> None:
    """Redraw the views themselves, as often as there is something new in them."""
    _redraw("WINDOW")


def _redraw(region_type: str) -> None:
    manager = bpy.context.window_manager
    for window in manager.windows if manager else ():
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                for region in area.regions:
                    if region.type == region_type:
                        region.tag_redraw()


def _frames_and_size(scene: bpy.types.Scene) -> tuple[float, ...]:
    render = scene.render
    frames = (scene.frame_start, scene.frame_end, render.fps, render.fps_base)
    size = (render.resolution_x, render.resolution_y, render.resolution_percentage)
    return (*frames, *size, render.pixel_aspect_x, render.pixel_aspect_y)
