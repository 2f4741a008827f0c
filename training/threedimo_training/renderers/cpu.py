"""The CPU renderer: compiled loops, one thread a call, callable from many threads and processes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from threedimo_training.motion.skeleton import Posed
from threedimo_training.people.person import Person
from threedimo_training.renderers.cpu_person import shade_person
from threedimo_training.renderers.cpu_raster import cast_shadow, draw, skin
from threedimo_training.renderers.cpu_surroundings import shade_surroundings
from threedimo_training.renderers.geometry import (
    block_boxes,
    bone_matrices,
    pattern_places,
    projections,
    ray_matrices,
)
from threedimo_training.renderers.picture import SAMPLES, SHADOW_CELLS
from threedimo_training.renderers.renderer import Rendered, Shot, check_size
from threedimo_training.renderers.scene import Scene

# A scene as the compiled loops read it, without its blocks, which are a table; see `Scene`.
SCENE_DTYPE = np.dtype([
    ("outdoors", "i4"), ("clear_m", "f4"), ("margin_m", "f4"), ("floor_kind", "i4"), ("floor_size_m", "f4"),
    ("floor_colours", "f4", (3, 3)), ("wall_kinds", "i4", (4,)), ("wall_size_m", "f4"),
    ("wall_height_m", "f4"), ("wall_colours", "f4", (4, 3)), ("mark_colours", "f4", (4, 3)),
    ("picture_places", "f4", (4, 4)), ("picture_colours", "f4", (4, 3)), ("sky_colours", "f4", (2, 3)),
    ("clouds", "f4"), ("lamp", "f4", (3,)), ("lamp_light", "f4"), ("sky_light", "f4", (3,)),
    ("bounce_light", "f4", (3,)), ("side_lights", "f4", (4,)),
])  # fmt: skip


class _Body(NamedTuple):
    """What of a person does not change with the pose, as compiled loops read it; see `Person`."""

    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    bones: np.ndarray
    weights: np.ndarray
    materials: np.ndarray
    along: np.ndarray
    tints: np.ndarray
    hands: np.ndarray


class _Paint(NamedTuple):
    """See `Cloth`."""

    colours: np.ndarray
    patterns: np.ndarray
    periods_m: np.ndarray
    cuts: np.ndarray


class CpuRenderer:
    """Renders with compiled loops on one core; see `Renderer`.

    The loops release the GIL and share nothing: call it from as many threads or processes as there are cores.
    The first call on a machine compiles them, which takes most of a minute.
    """

    def render(
        self,
        person: Person,
        posed: Posed,
        scene: Scene,
        world_from_camera: np.ndarray,
        intrinsics: np.ndarray,
        width: int,
        height: int,
    ) -> Rendered:
        """Make one picture for every pose; arguments and errors as in `Renderer.render`."""
        check_size(width, height)
        shot = Shot(person, posed, scene, world_from_camera, intrinsics)
        canvas = _Canvas(shot, width, height)
        frames = np.empty((shot.num_frames, height, width, 3), np.uint8)
        silhouettes = np.empty((shot.num_frames, height, width), bool)
        hand_cover = np.empty((shot.num_frames, 2))
        for frame in range(shot.num_frames):
            frames[frame], silhouettes[frame], hand_cover[frame] = canvas.paint(frame)
        return Rendered(frames, silhouettes, hand_cover)


class _Canvas:
    """The buffers of one call, and what all of its frames share."""

    def __init__(self, shot: Shot, width: int, height: int):
        scene = shot.widened_scene()
        self.blocks = scene.block_table()
        self.scenes = _scene_record(scene)
        self.lamp = np.array(scene.lamp, np.float32)
        self.body = _body(shot.person)
        self.paint_box = _paint(shot.person)
        self.places = pattern_places(shot.person)
        self.bones = bone_matrices(shot.person, shot.posed)
        self.projections = projections(shot.world_from_camera, shot.intrinsics)
        self.rays = ray_matrices(shot.world_from_camera, shot.intrinsics)
        self.eyes = np.ascontiguousarray(shot.world_from_camera[:, :3, 3], np.float32)
        self.boxes = block_boxes(self.blocks, self.projections)
        num_vertices = len(self.body.vertices)
        self.world = np.empty((num_vertices, 3), np.float32)
        self.turned = np.empty((num_vertices, 3), np.float32)
        self.screen = np.empty((num_vertices, 5), np.float32)
        self.depth = np.empty((SAMPLES * height, SAMPLES * width), np.float32)
        self.ids = np.empty((SAMPLES * height, SAMPLES * width), np.int32)
        self.grid = np.empty((2, SHADOW_CELLS, SHADOW_CELLS), np.float32)
        self.place = np.empty(3, np.float32)
        self.spare = np.empty((SHADOW_CELLS, SHADOW_CELLS), np.float32)

    def paint(self, frame: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Picture (H, W, 3) uint8, silhouette (H, W) bool and hand cover (2,) of one frame."""
        body, scenes, rays = self.body, self.scenes, self.rays[frame]
        rows, columns = self.ids.shape
        picture = np.zeros((rows // SAMPLES, columns // SAMPLES, 3), np.float32)
        covered = np.zeros(picture.shape[:2], np.int32)
        hand_samples = np.zeros(2, np.int64)
        skin(
            self.bones[frame], body.vertices, body.normals, body.bones, body.weights, self.projections[frame],
            self.world, self.turned, self.screen,
        )  # fmt: skip
        draw(self.screen, body.faces, self.depth, self.ids)
        cast_shadow(self.world, body.faces, self.lamp, self.grid, self.spare, self.place)
        shade_person(
            body, self.paint_box, self.places, self.screen, self.turned, rays, scenes, self.ids,
            picture, covered, hand_samples,
        )  # fmt: skip
        shade_surroundings(
            scenes,
            self.blocks,
            self.boxes[frame],
            self.eyes[frame],
            rays,
            self.place,
            self.grid,
            self.ids,
            picture,
        )
        frame_u8 = (picture * 255 + 0.5).astype(np.uint8)
        return frame_u8, covered * 2 >= SAMPLES**2, hand_samples / (rows * columns)


def _body(person: Person) -> _Body:
    return _Body(
        np.ascontiguousarray(person.vertices, np.float32),
        np.ascontiguousarray(person.normals, np.float32),
        np.ascontiguousarray(person.faces, np.int32),
        np.ascontiguousarray(person.bones, np.int32),
        np.ascontiguousarray(person.weights, np.float32),
        np.ascontiguousarray(person.materials, np.int32),
        np.ascontiguousarray(person.along, np.float32),
        np.ascontiguousarray(person.tints, np.float32),
        np.ascontiguousarray(person.hands, np.int32),
    )


def _paint(person: Person) -> _Paint:
    cloth = person.cloth
    return _Paint(
        np.ascontiguousarray(cloth.colours, np.float32),
        np.ascontiguousarray(cloth.patterns, np.int32),
        np.ascontiguousarray(cloth.periods_m, np.float32),
        np.ascontiguousarray(cloth.cuts, np.float32),
    )


def _scene_record(scene: Scene) -> np.ndarray:
    """(1,) of `SCENE_DTYPE`."""
    return np.array([tuple(getattr(scene, name) for name in SCENE_DTYPE.names or ())], SCENE_DTYPE)
