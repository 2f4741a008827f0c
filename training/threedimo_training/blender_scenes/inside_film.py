"""Runs inside Blender: puts the exact camera, sets the look, and renders pictures, silhouettes and hands."""

# pyright: reportMissingImports=false

from __future__ import annotations

import errno
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy
import numpy as np
from inside_rig import GEOMETRY, SceneProblem
from mathutils import Matrix, Vector

_BLENDER_FROM_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
# A sensor so wide that no lens which the library allows is shorter than Blender's shortest, 1 mm.
_SENSOR_MM = 100.0
_MAX_SHIFT = 10.0
_CLIP_M = (0.05, 1000.0)
_ROOM_FOR_A_PICTURE = 16 * 1024 * 1024
_WALL_SHARE = 0.7
_TILES = 14
_NUM_PAINTS = 8
ENGINES = {
    "workbench": ("BLENDER_WORKBENCH",),
    "eevee": ("BLENDER_EEVEE_NEXT", "BLENDER_EEVEE"),
    "cycles": ("CYCLES",),
}
CYCLES_SAMPLES = 32


class Studio:
    """The scene made ready for exact pictures: nothing between the renderer and the file that is written."""

    def __init__(self):
        self.scene = bpy.context.scene
        self.metres = self.scene.unit_settings.scale_length
        self.camera = bpy.data.objects.new("3DiMo camera", bpy.data.cameras.new("3DiMo camera"))
        self.scene.collection.objects.link(self.camera)
        self.scene.camera = self.camera
        self._room: bpy.types.Object | None = None
        for marker in self.scene.timeline_markers:
            marker.camera = None
        for item in bpy.context.view_layer.objects:
            # What is not rendered must not hide a hand either.
            if item.type in GEOMETRY and item.hide_render:
                item.hide_viewport = True
        self._plain_output()
        self._plain_shading()
        if self.scene.world is None:
            self.scene.world = bpy.data.worlds.new("3DiMo world")
            self.scene.world.color = (0.6, 0.65, 0.7)
        if not any(item.type == "LIGHT" for item in bpy.context.view_layer.objects):
            self._add_sun()

    def _plain_output(self) -> None:
        scene, render = self.scene, self.scene.render
        render.resolution_percentage = 100
        render.frame_map_old = render.frame_map_new = 100
        for switch in ("use_border", "use_multiview", "use_compositing", "use_sequencer", "use_stamp"):
            setattr(render, switch, False)
        render.use_motion_blur = False
        render.film_transparent = False
        render.use_file_extension = True
        render.dither_intensity = 0.0
        for layer in scene.view_layers:
            layer.use = layer == bpy.context.view_layer
        settings = render.image_settings
        if hasattr(settings, "media_type"):
            settings.media_type = "IMAGE"
        settings.file_format, settings.color_mode, settings.color_depth = "PNG", "RGB", "8"
        settings.color_management = "FOLLOW_SCENE"
        settings.compression = 15
        # Any other view would shift the colours of the file's materials.
        scene.display_settings.display_device = "sRGB"
        view = scene.view_settings
        view.view_transform, view.look = "Standard", "None"
        view.exposure, view.gamma, view.use_curve_mapping = 0.0, 1.0, False

    def _plain_shading(self) -> None:
        """How Workbench shades; silhouettes are its work under every engine."""
        shading = self.scene.display.shading
        shading.light, shading.color_type = "STUDIO", "TEXTURE"
        shading.show_cavity = shading.show_xray = shading.show_object_outline = False
        # On a machine without a GPU they take several times as long as everything else together.
        shading.show_shadows = False
        self.scene.display.render_aa = "8"

    def choose_engine(self, engine: str) -> None:
        """Render by one of `ENGINES`."""
        for name in ENGINES[engine]:
            try:
                self.scene.render.engine = name
            except TypeError:  # the name of another version
                continue
            break
        else:
            raise SceneProblem(f"this Blender has no engine {engine}", allowed=", ".join(ENGINES))
        if engine == "cycles":
            self.scene.cycles.samples = CYCLES_SAMPLES
            self.scene.cycles.seed = 0

    def _add_sun(self) -> None:
        sun = bpy.data.objects.new("3DiMo sun", bpy.data.lights.new("3DiMo sun", "SUN"))
        sun.data.energy, sun.data.angle = 3.0, math.radians(5)
        sun.rotation_euler = (math.radians(40), math.radians(15), math.radians(25))
        self.scene.collection.objects.link(sun)

    def set_room(self, room: dict | None) -> None:
        """A tiled floor and walls, so that a moving camera can be seen to move; None for a furnished file.

        Args:
            room: "origin" of the floor and "half" of its width in metres, "colours" (8, 3), "tiles" seed.
        """
        if self._room is not None:
            bpy.data.meshes.remove(self._room.data)
            self._room = None
        if room is None:
            return
        mesh = bpy.data.meshes.new("3DiMo room")
        vertices, faces = _room_tiles(room["half"] / self.metres)
        mesh.from_pydata((vertices + np.array(room["origin"]) / self.metres).tolist(), [], faces.tolist())
        for colour in room["colours"]:
            mesh.materials.append(_paint(colour))
        # Walls and floor take different halves of the paints.
        paints = np.random.default_rng(room["tiles"]).integers(0, _NUM_PAINTS // 2, len(faces))
        paints[_TILES**2 :] += _NUM_PAINTS // 2
        mesh.polygons.foreach_set("material_index", paints.astype(np.int32))
        walls = bpy.data.objects.new("3DiMo room", mesh)
        # Walls that cast shadows would leave little light inside.
        walls.visible_shadow = False
        self.scene.collection.objects.link(walls)
        self._room = walls

    def put_camera(
        self, world_from_camera: np.ndarray, intrinsics: np.ndarray, width: int, height: int
    ) -> None:
        """Set pose (OpenCV, metres) and lens (pixels) exactly.

        Sensor and shift count along the width, in square units; pixels that are not square are the picture's.
        """
        pose = world_from_camera @ _BLENDER_FROM_OPENCV
        pose[:3, 3] /= self.metres
        self.camera.matrix_world = Matrix(pose.tolist())
        lens, render = self.camera.data, self.scene.render
        focal_x, focal_y = intrinsics[0, 0], intrinsics[1, 1]
        aspect = focal_y / focal_x
        render.resolution_x, render.resolution_y = width, height
        render.pixel_aspect_x, render.pixel_aspect_y = max(aspect, 1.0), max(1 / aspect, 1.0)
        shift = (width / 2 - intrinsics[0, 2]) / width, (intrinsics[1, 2] - height / 2) / aspect / width
        if max(map(abs, shift)) > _MAX_SHIFT:
            raise SceneProblem(
                "the camera's principal point is too far outside the picture",
                given=f"{intrinsics[0, 2]:.1f}, {intrinsics[1, 2]:.1f} px",
                allowed=f"{_MAX_SHIFT:g} picture widths from its middle",
            )
        lens.type, lens.sensor_fit, lens.sensor_width = "PERSP", "HORIZONTAL", _SENSOR_MM
        lens.lens = focal_x / width * _SENSOR_MM
        lens.shift_x, lens.shift_y = shift
        lens.clip_start, lens.clip_end = (limit / self.metres for limit in _CLIP_M)
        bpy.context.view_layer.update()

    def shoot(self, file: Path) -> None:
        """Render what the camera sees.

        Raises:
            OSError: The picture cannot be written, with `errno.ENOSPC` where the disk is full.
        """
        self.scene.render.filepath = str(file)
        try:
            bpy.ops.render.render(write_still=True)
        except RuntimeError as error:
            # Blender does not say why; a disk without room for a picture is full.
            if shutil.disk_usage(file.parent).free < _ROOM_FOR_A_PICTURE:
                raise OSError(errno.ENOSPC, "the disk is full", str(file)) from error
            raise

    def shoot_silhouette(self, file: Path, person: list[bpy.types.Object], samples: int) -> None:
        """Render the person white before black, `samples` times as wide and high, without any smoothing."""
        render = self.scene.render
        size = render.resolution_x, render.resolution_y
        render.resolution_x, render.resolution_y = (side * samples for side in size)
        with self._flat_colours(set(person)):
            self.shoot(file)
        render.resolution_x, render.resolution_y = size

    @contextmanager
    def _flat_colours(self, person: set[bpy.types.Object]) -> Iterator[None]:
        scene, shading = self.scene, self.scene.display.shading
        things = [item for item in bpy.context.view_layer.objects if item.type in GEOMETRY]
        kept = [(item, tuple(item.color)) for item in things]
        looks = scene.render.engine, shading.light, shading.color_type
        smoothing, sky, background = (
            scene.display.render_aa,
            tuple(scene.world.color),
            shading.background_type,
        )
        try:
            scene.render.engine = "BLENDER_WORKBENCH"
            shading.light, shading.color_type = "FLAT", "OBJECT"
            scene.display.render_aa, scene.world.color = "OFF", (0.0, 0.0, 0.0)
            shading.background_type = "WORLD"
            for item in things:
                item.color = (1.0, 1.0, 1.0, 1.0) if item in person else (0.0, 0.0, 0.0, 1.0)
            yield
        finally:
            scene.render.engine, shading.light, shading.color_type = looks
            scene.display.render_aa, scene.world.color, shading.background_type = smoothing, sky, background
            for item, colour in kept:
                item.color = colour

    def seen_share(self, points: np.ndarray, slack_m: float) -> float:
        """Share of points (N, 3), metres, that the camera sees, at most `slack_m` below a surface."""
        eye = self.camera.matrix_world.translation
        depsgraph = bpy.context.evaluated_depsgraph_get()
        seen = 0
        for point in points:
            line = Vector((point / self.metres).tolist()) - eye
            reach = line.length - slack_m / self.metres
            hit = self.scene.ray_cast(depsgraph, eye, line.normalized(), distance=max(reach, 0.0))[0]
            seen += not hit
        return seen / len(points)


def _room_tiles(half: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and quads (T, 4): first the floor's tiles, then those of four walls."""
    steps = np.linspace(-half, half, _TILES + 1)
    high = (steps + half) * _WALL_SHARE
    flat, fixed = np.zeros((_TILES + 1, _TILES + 1)), np.full((_TILES + 1, _TILES + 1), half)
    across, along = np.meshgrid(steps, steps)
    _, up = np.meshgrid(steps, high)
    sheets = [(across, along, flat)]
    sheets += [(across, fixed, up), (across, -fixed, up), (fixed, across, up), (-fixed, across, up)]
    vertices = np.concatenate([np.stack(sheet, -1).reshape(-1, 3) for sheet in sheets])
    corner = np.arange((_TILES + 1) ** 2).reshape(_TILES + 1, _TILES + 1)
    quads = np.stack([corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]], -1).reshape(-1, 4)
    return vertices, np.concatenate([quads + sheet * corner.size for sheet in range(len(sheets))])


def _paint(colour: list[float]) -> bpy.types.Material:
    name = "3DiMo " + " ".join(f"{part:.3f}" for part in colour)
    material = bpy.data.materials.get(name) or bpy.data.materials.new(name)
    material.diffuse_color = (*colour, 1.0)
    if not material.use_nodes:
        material.use_nodes = True
    for node in material.node_tree.nodes:
        if node.type == "BSDF_PRINCIPLED":
            node.inputs["Base Color"].default_value = (*colour, 1.0)
    return material
