# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames of a take as Blender reads them: one file per scene frame, never one that is missing."""

from __future__ import annotations

from pathlib import Path

import bpy

from .timeline import FrameMapping

# Before and after the shot Blender clamps to 0 and to the duration. With files from 00000 on and this offset
# both ends name a file that is there; any other pair renders magenta on one side.
FRAME_OFFSET = -1


def load_frames(frames: Path, name: str) -> bpy.types.Image:
    """The image of a folder with `00000.png` and on, one for every scene frame of a shot."""
    image = bpy.data.images.load(stored_path(frames / "00000.png"), check_existing=False)
    image.name = name
    image.source = "SEQUENCE"
    return image


def play_shot(user: bpy.types.ImageUser, mapping: FrameMapping) -> None:
    """Let such an image show each scene frame's own file, and the first or last one beside the shot."""
    user.frame_start = mapping.frame_start
    user.frame_duration = mapping.num_scene_frames
    user.frame_offset = FRAME_OFFSET
    user.use_cyclic = False
    user.use_auto_refresh = True


def match_colours(settings: bpy.types.ColorManagedInputColorspaceSettings, view: str) -> None:
    """Make what the model made what is seen: read pictures so that a view transform undoes it.

    Frames are colours of a display. Blender has, for each view transform, a colour space that is its inverse;
    under AgX the strongest colours have none and come out a little paler.
    """
    known = settings.bl_rna.properties["name"].enum_items.keys()
    spaces = (f"{view} sRGB", f"{view} Base sRGB")
    settings.name = next((space for space in spaces if space in known), "sRGB")


def stored_path(path: Path) -> str:
    """Relative to the .blend where that is saved beside the frames, so that both can move together."""
    if bpy.data.is_saved and Path(bpy.data.filepath).parent in path.parents:
        return bpy.path.relpath(str(path))
    return str(path)
