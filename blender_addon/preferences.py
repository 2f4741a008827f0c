# SPDX-License-Identifier: GPL-3.0-or-later
"""Preferences of the add-on: where the server is, and where frames go."""

from pathlib import Path

import bpy
from bpy.props import FloatProperty, StringProperty

from threedimo.errors import AccessRefused
from threedimo.wire.connection import ConnectionInfo, find_server

_LOOPBACK = ("ipc://", "tcp://127.", "tcp://localhost:", "tcp://[::1]:")


class ThreeDimoPreferences(bpy.types.AddonPreferences):
    """Preferences of the add-on."""

    bl_idname = __package__

    server: StringProperty(
        name="Server",
        description=(
            "Empty for your own server on this machine; else tcp://host:port, for another machine after "
            "`threedimo keys trust`, or the path of a connection file"
        ),
    )
    token: StringProperty(
        name="Token", description="Secret of a server that is given by its address", subtype="PASSWORD"
    )
    server_python: StringProperty(
        name="Library's Python",
        description=(
            "The python program of the environment where 3DiMo and its server are installed, so that Blender "
            "can start one. Empty if you start it yourself"
        ),
        subtype="FILE_PATH",
    )
    output_folder: StringProperty(
        name="Output folder",
        description=(
            "Where frames are kept. Empty means the folder threedimo beside the .blend, "
            "or the extension's own folder while the file is unsaved"
        ),
        subtype="DIR_PATH",
    )
    cache_gb: FloatProperty(
        name="Cache size",
        description=(
            "How many gigabytes the results of files that were never saved may take up. Of more, the oldest "
            "are deleted with the next shot, never those of the open file. 0 keeps all"
        ),
        default=0.0,
        min=0.0,
        soft_max=100.0,
        precision=1,
    )

    def draw(self, _context: bpy.types.Context) -> None:
        """Draw the preferences."""
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "server")
        if "://" in self.server:
            layout.prop(self, "token")
        layout.operator("threedimo.connect", icon="LINKED")
        layout.prop(self, "server_python")
        layout.prop(self, "output_folder")
        if not self.output_folder:
            layout.prop(self, "cache_gb")


def _preferences() -> ThreeDimoPreferences:
    return bpy.context.preferences.addons[__package__].preferences


def server_connection() -> ConnectionInfo:
    """Where the server is, as the preferences say.

    Raises:
        AccessRefused: It is on another machine, and its key is not known or Blender is set to work offline.
        ThreeDimoError: As `find_server`.
    """
    preferences = _preferences()
    where = preferences.server.strip()
    if "://" in where:
        _require_reach(where)
    connection = find_server(where, preferences.token)
    _require_reach(connection.control)
    return connection


def _require_reach(endpoint: str) -> None:
    if not bpy.app.online_access and not endpoint.startswith(_LOOPBACK):
        raise AccessRefused(
            "the server is on another machine, and Blender may not go online",
            given=endpoint,
            remedy="allow online access in Preferences > System > Network",
        )


def server_python() -> str:
    """The program that starts a server here; "" if none is named."""
    given = _preferences().server_python.strip()
    return bpy.path.abspath(given) if given else ""


def takes_folder() -> Path:
    """Where the folders of new takes go, and the footage that is filmed for them."""
    chosen = _preferences().output_folder
    if chosen:
        return Path(bpy.path.abspath(chosen))
    if bpy.data.is_saved:
        return Path(bpy.data.filepath).parent / "threedimo"
    return _own_folder()


def cache_limit() -> tuple[Path, int] | None:
    """The folder whose results are bounded, and by how many bytes; None where new takes go elsewhere."""
    preferences = _preferences()
    if preferences.output_folder or bpy.data.is_saved or not preferences.cache_gb:
        return None
    return _own_folder(), int(preferences.cache_gb * 1e9)


def _own_folder() -> Path:
    return Path(bpy.utils.extension_path_user(__package__, path="results", create=True))


def register() -> None:
    """Add the preferences."""
    bpy.utils.register_class(ThreeDimoPreferences)


def unregister() -> None:
    """Remove the preferences."""
    bpy.utils.unregister_class(ThreeDimoPreferences)
