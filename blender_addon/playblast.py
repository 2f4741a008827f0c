# SPDX-License-Identifier: GPL-3.0-or-later
"""Driving footage filmed from the scene: the performer alone, before a plain background, seen from the front.

It is rendered by Workbench, which needs no window, in a temporary scene that holds the performer and nothing
else. Two things keep the user's own scene as it is:

- Blender ends a render with a change of frame in the scene of the context, which would throw away what a
  person has posed and not keyed yet, and evaluate a heavy scene once a picture. The context of every render
  here is therefore a second temporary scene, which is empty.
- The temporary scenes are gone whenever Blender gets its turn (`film` yields), so that no undo step, no
  auto-save and no other file ever holds them.
"""

from __future__ import annotations

import errno
import math
import shutil
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector

from threedimo.errors import InvalidScene, JobFailed, NoSpace, UnwritableFolder

from .framing import LENS_MM, SENSOR_MM, camera_places
from .performer import SURFACES, Performer, facing, hidden_for_render, with_uid
from .sequence import publish_pictures

# A motion encoder of full size looks at 224 pixels of the whole and cuts hands out of what it was given: a
# little more than it sees keeps those sharp, and much more would only take longer to render, send and keep.
SIZE_PX = 384
# Measuring needs no picture, but Blender evaluates what is rendered only for a render.
_MEASURING_PX = 4
# A sky blue that skin, hair and the grey of new materials are not, in linear light.
_BACKGROUND = (0.16, 0.32, 0.55)
_ROOM_FOR_A_PICTURE = 16 * 1024 * 1024
_END_OF_PNG = b"IEND\xaeB`\x82"


@dataclass(frozen=True)
class Clip:
    """What is to be filmed.

    Attributes:
        scene_uid: The scene that the performer is in.
        scene_frames: One picture each.
        fps: Frames per second of the scene.
        home: The folder of filmed footage.
    """

    performer: Performer
    scene_uid: int
    scene_frames: range
    fps: float
    home: Path

    @property
    def num_steps(self) -> int:
        """How much work it is: each frame is measured, then filmed."""
        return 2 * len(self.scene_frames)


@dataclass
class _Stage:
    """The temporary scene; it lives no longer than one turn.

    Attributes:
        front: An empty that is turned as the performer is.
        bystander: Another scene, empty, for the context.
    """

    scene: bpy.types.Scene
    camera: bpy.types.Object
    front: bpy.types.Object
    bystander: bpy.types.Scene


def film(clip: Clip, turn_s: float = math.inf) -> Generator[int, None, dict[Path, str]]:
    """Film a clip: numbered square pictures in a folder of their own, all of them or none.

    Closing the generator stops it and leaves nothing behind.

    Args:
        clip: What to film.
        turn_s: Seconds after which it yields, at the next frame; Blender may then do anything else.

    Yields:
        The number of steps done, of `clip.num_steps`.

    Returns:
        The pictures in order, each with the hash that the protocol knows it by.

    Raises:
        InvalidScene: The performer was deleted, is being edited, or no frame shows it.
        JobFailed: Blender cannot render.
        NoSpace, UnwritableFolder: A picture cannot be written.
    """
    unfinished = clip.home / f".{uuid.uuid4().hex}.part"
    frames = clip.scene_frames
    measured: list[tuple[np.ndarray, float]] = []

    def measure(stage: _Stage, index: int) -> None:
        # Which way the camera looks is settled in the first frame.
        measured.append(_measure(stage, frames[index], measured[0][1] if measured else None))

    def shoot(stage: _Stage, index: int) -> None:
        _shoot(stage, frames[index], places[index], measured[0][1], unfinished / f"{index:05d}.png")

    try:
        _make_folder(unfinished)
        yield from _in_turns(clip, turn_s, measure, 0)
        places = _places(clip, np.array([box for box, _ in measured]))
        yield from _in_turns(clip, turn_s, shoot, len(frames))
        return publish_pictures(unfinished, clip.home)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def film_now(clip: Clip) -> dict[Path, str]:
    """As `film`, in one go."""
    steps = film(clip)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def _in_turns(clip: Clip, turn_s: float, work: Callable[[_Stage, int], None], done: int) -> Iterator[int]:
    index = 0
    while index < len(clip.scene_frames):
        with _stage(clip) as stage:
            until = time.monotonic() + turn_s
            while True:
                work(stage, index)
                index += 1
                if index == len(clip.scene_frames) or time.monotonic() > until:
                    break
        yield done + index


def _places(clip: Clip, boxes: np.ndarray) -> np.ndarray:
    sizes = boxes[:, 1] - boxes[:, 0]
    if np.isnan(sizes).all():
        raise hidden_for_render(clip.performer.name)
    if not np.isfinite(np.nanmax(sizes)) or np.nanmax(sizes[:, [0, 2]]) <= 0:
        raise InvalidScene(
            "the driver has no size that can be filmed",
            given=clip.performer.name,
            remedy="check its scale and its modifiers",
        )
    return camera_places(boxes, clip.fps)


@contextmanager
def _stage(clip: Clip) -> Iterator[_Stage]:
    scene = with_uid(bpy.data.scenes, clip.scene_uid)
    if scene is None:
        raise InvalidScene("the scene was deleted while it was filmed", given=clip.performer.name)
    performing = clip.performer.objects()
    front = with_uid(bpy.data.objects, clip.performer.front_uid) if clip.performer.front_uid else None
    data = bpy.data
    had_result = any(image.type == "RENDER_RESULT" for image in data.images)
    with ExitStack() as removal:

        def keep(home, made):
            removal.callback(home.remove, made)
            return made

        stage = keep(data.scenes, data.scenes.new("3DiMo playblast"))
        bystander = keep(data.scenes, data.scenes.new("3DiMo playblast context"))
        stage.world = keep(data.worlds, data.worlds.new("3DiMo playblast"))
        lens = keep(data.cameras, data.cameras.new("3DiMo playblast"))
        camera = keep(data.objects, data.objects.new("3DiMo playblast", lens))
        stand_in = keep(data.objects, data.objects.new("3DiMo playblast front", None))
        if front is not None:
            stand_in.constraints.new("COPY_TRANSFORMS").target = front
        if not had_result:
            removal.callback(_remove_render_result)
        for item in (camera, stand_in, *performing):
            stage.collection.objects.link(item)
        stage.camera = camera
        _take_time(stage, scene)
        _set_look(stage, lens)
        yield _Stage(stage, camera, stand_in, bystander)


def _remove_render_result() -> None:
    """Blender makes this image for the first render of a file."""
    for image in [image for image in bpy.data.images if image.type == "RENDER_RESULT"]:
        bpy.data.images.remove(image)


def _take_time(stage: bpy.types.Scene, scene: bpy.types.Scene) -> None:
    """Files of animation (Alembic, USD) count in seconds, and a time mapping moves every key."""
    for name in ("fps", "fps_base", "frame_map_old", "frame_map_new"):
        setattr(stage.render, name, getattr(scene.render, name))


def _set_look(stage: bpy.types.Scene, lens: bpy.types.Camera) -> None:
    render = stage.render
    render.engine = "BLENDER_WORKBENCH"
    render.resolution_percentage = 100
    settings = render.image_settings
    settings.file_format, settings.color_mode, settings.color_depth = "PNG", "RGB", "8"
    # Time and names in the files would make equal pictures different.
    for name in dir(render):
        if name.startswith("use_stamp_"):
            setattr(render, name, False)
    stage.world.color = _BACKGROUND
    with suppress(TypeError):  # a studio's own colour configuration may lack it
        stage.view_settings.view_transform = "Standard"
    shading = stage.display.shading
    # Textures where a material has one, else its viewport colour.
    shading.light, shading.color_type = "STUDIO", "TEXTURE"
    stage.display.render_aa = "5"
    lens.lens, lens.sensor_width, lens.sensor_fit = LENS_MM, SENSOR_MM, "HORIZONTAL"


def _render(stage: _Stage, scene_frame: int, size_px: int, file: Path | None) -> None:
    scene = stage.scene
    # Blender renders one scene at the frame of another: the context's.
    scene.frame_current = stage.bystander.frame_current = scene_frame
    scene.render.resolution_x = scene.render.resolution_y = size_px
    scene.render.filepath = "" if file is None else str(file)
    # Never a window as well: Blender would take that window's scene.
    context = {"scene": stage.bystander, "view_layer": stage.bystander.view_layers[0]}
    try:
        with bpy.context.temp_override(**context):
            outcome = bpy.ops.render.render(scene=scene.name, write_still=file is not None)
    except RuntimeError as error:
        if file is not None:
            _require_writable(file)
        raise _not_rendered(scene_frame, str(error).strip()) from error
    if outcome != {"FINISHED"}:
        raise _not_rendered(scene_frame, "the render was cancelled")


def _not_rendered(scene_frame: int, why: str) -> JobFailed:
    return JobFailed(
        f"Blender could not film the driver: {why}",
        given=f"frame {scene_frame}",
        remedy="see whether the scene renders with the engine Workbench, then press Generate again",
    )


def _measure(stage: _Stage, scene_frame: int, turn: float | None) -> tuple[np.ndarray, float]:
    """The performer's box (2, 3) in its own axes as it is rendered in this frame, and how it is turned.

    Only a render evaluates what a render shows: modifiers, visibility and resolution can all differ from
    the viewport's. Blender hands that evaluation to those who listen for a change of frame. The turn is in
    radians about z, as `facing` gives it; None to read it in this frame.
    """
    found: list[tuple[np.ndarray, float]] = []

    def read(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
        if scene.name == stage.scene.name and depsgraph is not None and depsgraph.mode == "RENDER":
            turned = facing(stage.front.evaluated_get(depsgraph).matrix_world) if turn is None else turn
            found.append((_box(depsgraph, turned), turned))

    listeners = bpy.app.handlers.frame_change_post
    listeners.append(read)
    try:
        _render(stage, scene_frame, _MEASURING_PX, None)
    finally:
        listeners.remove(read)
    if not found:
        raise _not_rendered(scene_frame, "it did not say what it renders")
    return found[0]


def _box(depsgraph: bpy.types.Depsgraph, turn: float) -> np.ndarray:
    to_performer = Matrix.Rotation(-turn, 4, "Z")
    corners = [
        to_performer @ instance.matrix_world @ Vector(corner)
        for instance in depsgraph.object_instances
        if instance.show_self and _has_surface(instance.object)
        for corner in instance.object.bound_box
    ]
    if not corners:
        return np.full((2, 3), np.nan)
    points = np.array(corners)
    return np.array([points.min(axis=0), points.max(axis=0)])


def _has_surface(item: bpy.types.Object) -> bool:
    return item.type in SURFACES and (item.type != "MESH" or len(item.data.vertices) > 0)


def _shoot(stage: _Stage, scene_frame: int, place: np.ndarray, turn: float, file: Path) -> None:
    """Film one frame from a place in the performer's own axes."""
    stage.camera.location = Matrix.Rotation(turn, 3, "Z") @ Vector(place)
    stage.camera.rotation_euler = (math.pi / 2, 0.0, turn)
    _render(stage, scene_frame, SIZE_PX, file)
    try:
        whole = file.read_bytes().endswith(_END_OF_PNG)
    except OSError:
        whole = False
    if not whole:
        # Blender does not say so itself.
        _require_writable(file)
        raise _unwritable(file.parent.parent, "a picture was not written whole")


def _require_writable(file: Path) -> None:
    """Tell a disk that does not take a picture from a render that failed."""
    full = shutil.disk_usage(file.parent.parent).free < _ROOM_FOR_A_PICTURE
    try:
        file.write_bytes(b"")
    except OSError as error:
        full |= error.errno in (errno.ENOSPC, errno.EDQUOT)
        if not full:
            raise _unwritable(file.parent.parent, str(error.strerror)) from error
    if full:
        raise NoSpace(
            "the disk is full", given=file.parent.parent, remedy="free some space and press Generate again"
        )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise _unwritable(folder.parent, str(error.strerror)) from error


def _unwritable(folder: Path, why: str) -> UnwritableFolder:
    return UnwritableFolder(
        f"the filmed driving footage cannot be written: {why}",
        given=folder,
        remedy="choose another output folder in the add-on's preferences",
    )
