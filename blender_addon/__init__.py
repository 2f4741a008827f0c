# SPDX-License-Identifier: GPL-3.0-or-later
"""3DiMo for Blender: a character performs the motion of footage, seen by the scene's own camera."""

from . import (
    camera_overlay,
    camera_reading,
    cli,
    model_menu,
    operators,
    panels,
    preferences,
    preset_menu,
    properties,
    runtime,
    shot_list,
    take_operators,
    take_panels,
)

# The heartbeat starts last and stops first: a tick needs everything else.
_ROOMS = (
    preferences,
    properties,
    camera_reading,
    camera_overlay,
    operators,
    take_operators,
    shot_list,
    model_menu,
    preset_menu,
    panels,
    take_panels,
    cli,
    runtime,
)


def register() -> None:
    """Add everything to Blender."""
    for room in _ROOMS:
        room.register()


def unregister() -> None:
    """Take everything off again."""
    for room in reversed(_ROOMS):
        room.unregister()
