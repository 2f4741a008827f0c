"""How Blender's window is arranged for the pictures of the GUI run. Each function is a request of its own.

Blender takes up a change of the layout between two requests; who goes on at once meets areas that are gone.
"""

from __future__ import annotations

import math
from typing import Any

import agent  # the running one; see `agent.main`
import bpy
from bpy_extras.view3d_utils import location_3d_to_region_2d
from mathutils import Euler, Vector

_CORNERS = ((-0.5, -0.5, 0.0), (0.5, -0.5, 0.0), (0.5, 0.5, 0.0), (-0.5, 0.5, 0.0))


def close_area(kind: str) -> None:
    """Give an editor's room to its neighbours."""
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == kind)
    with bpy.context.temp_override(window=window, area=area):
        bpy.ops.screen.area_close()


def open_sidebar() -> None:
    """Open the sidebar, and nothing else beside the view."""
    # Opaque, so that where it ends can be seen.
    bpy.context.preferences.system.use_region_overlap = False
    space = agent.view()[1].spaces.active
    space.show_region_ui = True
    space.show_region_toolbar = space.show_region_tool_header = False


def open_tab() -> None:
    """Turn to the extension's tab; a tick after the sidebar was opened."""
    sidebar = next(region for region in agent.view()[1].regions if region.type == "UI")
    sidebar.active_panel_category = "3DiMo"


def look_from_outside() -> None:
    """Turn the view so that dancer, plane and cameras are seen."""
    space = agent.view()[1].spaces.active
    space.region_3d.view_perspective = "PERSP"
    space.overlay.show_overlays = space.show_gizmo = True
    space.region_3d.view_location = (0.4, -0.9, 1.05)
    space.region_3d.view_distance = 6.5
    space.region_3d.view_rotation = Euler((math.radians(76), 0.0, math.radians(-28))).to_quaternion()


def look_through_camera() -> None:
    """Look through the scene's camera, without what Blender draws over it."""
    space = agent.view()[1].spaces.active
    space.region_3d.view_perspective = "CAMERA"
    space.overlay.show_overlays = space.show_gizmo = False


def plane_on_screen(scene: Any) -> list[float]:
    """Left, top, right, bottom of the first shot's plane on the screen, counted from its upper left."""
    _, _, region = agent.view()
    space = agent.view()[1].spaces.active
    plane = scene.threedimo.shots[0].plane
    found = [
        location_3d_to_region_2d(region, space.region_3d, plane.matrix_world @ Vector(corner))
        for corner in _CORNERS
    ]
    height = bpy.context.window_manager.windows[0].height
    across, up = [region.x + point.x for point in found], [region.y + point.y for point in found]
    return [min(across), height - max(up), max(across), height - min(up)]


def show_preferences() -> None:
    """Show the extension's preferences in place of the view."""
    preferences, area = bpy.context.preferences, agent.view()[1]
    preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = "3DiMo"
    area.type = "PREFERENCES"


def expand_preferences() -> None:
    """Unfold them."""
    bpy.ops.preferences.addon_expand(module=agent.MODULE)
    for area in bpy.context.window_manager.windows[0].screen.areas:
        area.tag_redraw()


def show_view() -> None:
    """Bring the 3D view back."""
    area = next(
        area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "PREFERENCES"
    )
    area.type = "VIEW_3D"
