"""Draws samples of a .blend for shards: one Blender per process, opened for its first sample."""

from __future__ import annotations

import functools
from dataclasses import replace

from threedimo.camera import CameraPath
from threedimo_training.blender_scenes.renderer import BlenderScene, open_scene
from threedimo_training.blender_scenes.shots import FilmOptions
from threedimo_training.samples.sample import Sample
from threedimo_training.shards.render_options import RenderOptions


def draw_blender_sample(
    seed: int,
    shard_index: int,
    sample_index: int,
    options: RenderOptions,
    *,
    blend: str,
    blender: str | None = None,
    cameras: str | None = None,
    engine: str = "workbench",
    still: bool = False,
) -> Sample:
    """Draw one sample; bind the keywords with `functools.partial` to get a `shards.shard_task.Draw`.

    Args:
        seed: Decides everything, with the two numbers.
        shard_index: Which shard.
        sample_index: Which sample of it; the roles that the camera can film take turns.
        options: What all samples share.
        blend: Path of the .blend.
        blender: See `renderer.open_scene`.
        cameras: File of a camera path for the target, in the scene's coordinates; None for random ones.
        engine: "workbench", "eevee" or "cycles".
        still: Let people without an action stay in the pose that the file was saved in.

    Raises:
        InvalidScene: The file or its content cannot be filmed.
        InvalidCameraPath: The camera path cannot be read, or is shorter than a clip.
        InvalidRequest: The camera can film none of the roles.
        DataError: There is no such Blender, or it crashed or hangs.
        NoSpace: The disk for temporary files is full.
    """
    film = FilmOptions(
        options.size,
        options.num_frames,
        options.fps,
        options.roles,
        None if cameras is None else _read_camera(cameras),
        engine,
        still,
        options.held_out,
    )
    role = film.possible_roles[sample_index % len(film.possible_roles)]
    scene = _opened(blend, blender)
    try:
        return scene.sample((seed, shard_index, sample_index), replace(film, roles=(role,)))
    except BaseException:
        # A session that failed is closed: the next call starts afresh.
        _opened.cache_clear()
        scene.close()
        raise


@functools.cache
def _opened(blend: str, blender: str | None) -> BlenderScene:
    # Blender ends by itself when this process does: its input ends.
    return open_scene(blend, blender)


@functools.cache
def _read_camera(file: str) -> CameraPath:
    return CameraPath.from_json(file)
