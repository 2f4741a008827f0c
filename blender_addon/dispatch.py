# SPDX-License-Identifier: GPL-3.0-or-later
"""Shots on their way into the queue: one, all of a batch, or a take once more with another seed.

A batch is fixed whole before any of it is queued: a shot that cannot be sent stops all of them, while a
person still looks.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import bpy

from threedimo.errors import InvalidRequest, ServerUnreachable, ThreeDimoError
from threedimo.wire.messages import Capabilities
from threedimo.wire.model_ids import choose_model

from . import camera_overlay, filming, runtime
from .batch import batch_shots
from .camera_reading import remember_text
from .filming import Filming
from .jobs import Job
from .performer import Performer, with_uid
from .playblast import Clip, film_now
from .preferences import cache_limit, takes_folder
from .result_presets import renewed
from .results_cache import trim_results
from .scene_camera import scene_fps
from .shots import FixedShot, Shot, fix_shot, plan_frames, read_inputs, single_shot
from .take_records import ShotKey, all_takes, find_take, require_take, same_take, take_folder
from .takes import FOOTAGE_FOLDER, check_job_id, read_order, write_take

LARGEST_SEED = 2**31 - 1

_Outcome = TypeVar("_Outcome")


def generate(scene: bpy.types.Scene, job_id: str) -> Job:
    """Fix the scene's frame range as one shot, film its driver if it has one, and hand it to the session.

    Raises:
        ThreeDimoError: An input is missing or cannot be used, or there is no server.
    """
    fixed = _fix_single(scene, job_id)
    return _queue(*_filmed(fixed), job_id)


def begin(scene: bpy.types.Scene, job_id: str) -> None:
    """As `generate`, for the button: a driver is filmed by the coming ticks, and then the shot is sent.

    All else is sent as it is now.

    Raises:
        ThreeDimoError: As `generate`.
    """
    _begin(_fix_single(scene, job_id), job_id)


def queue_batch(scenes: list[bpy.types.Scene]) -> list[Job]:
    """Fix all shots of these scenes, film their drivers, and hand them to the session.

    Raises:
        ThreeDimoError: There is no shot or no server, or a shot cannot be sent; it is named, and none is.
    """
    filmed = [_named(fixed.shot, _filmed, fixed) for fixed in _fix_batch(scenes)]
    return [_queue(fixed, known, str(uuid.uuid4())) for fixed, known in filmed]


def begin_batch(scenes: list[bpy.types.Scene]) -> list[str]:
    """As `queue_batch`, for the button: drivers are filmed by the coming ticks, shot by shot.

    Returns:
        The job id of each shot.

    Raises:
        ThreeDimoError: As `queue_batch`, for all but what only filming shows.
    """
    begun = [(fixed, str(uuid.uuid4())) for fixed in _fix_batch(scenes)]
    for fixed, job_id in begun:
        _begin(fixed, job_id)
    return [job_id for _, job_id in begun]


def regenerate(job_id: str, seed: int | None, new_job_id: str) -> Job:
    """Make a take once more, as it was queued, with another seed: a further take of the same shot.

    Args:
        job_id: The take to start from.
        seed: From 0 to `LARGEST_SEED`; None for one that no take of the shot has yet.
        new_job_id: A UUID for the new take.

    Raises:
        ThreeDimoError: What it was made of is not there any more, or there is no server.
    """
    capabilities = _capabilities()
    scene, record, take = require_take(job_id)
    sheet, order = read_order(take_folder(take))
    hashes = [file.hash for file in (sheet.reference_image, *sheet.driving_files)]
    known = dict(zip(map(str, (order.reference_image, *order.driving_files)), hashes, strict=True))
    if seed is None:
        seed = free_seed(order.seed, {other.seed for other in record.takes})
    if record.camera is None:
        raise InvalidRequest(
            "the camera of this take is no longer in the file",
            given=take.label,
            remedy="generate the shot anew",
        )
    scene_frames = range(record.frame_start, record.frame_start + record.num_scene_frames)
    shot = Shot(scene, record.camera, record.name, scene_frames, record.is_cut)
    model = choose_model(capabilities.models, order.model_id)
    result = renewed(order.result, model) if order.result else None
    order = dataclasses.replace(order, seed=seed, model_id=model.id, result=result)
    again = FixedShot(shot, order, plan_frames(scene, scene_frames, model))
    return _queue(again, known, new_job_id)


def free_seed(seed: int, taken: set[int]) -> int:
    """The next seed that is not taken, from the smallest on after the largest."""
    while seed in taken:
        seed = seed + 1 if seed < LARGEST_SEED else 0
    return seed


def _capabilities() -> Capabilities:
    current = runtime.session()
    if not current.connected or current.capabilities is None:
        raise current.problem or ServerUnreachable("the server has not answered yet", remedy="press Connect")
    return current.capabilities


def _fix_single(scene: bpy.types.Scene, job_id: str) -> FixedShot:
    capabilities = _capabilities()
    _require_free(job_id)
    inputs = read_inputs(scene)  # before the camera: the panel is filled in from its top
    fixed = fix_shot(single_shot(scene), inputs, capabilities)
    if not scene.threedimo.use_custom_text:
        remember_text(scene, fixed.order.text)
    camera_overlay.hold(fixed.shot, fixed.order.camera_path)
    return fixed


def _fix_batch(scenes: list[bpy.types.Scene]) -> list[FixedShot]:
    capabilities = _capabilities()
    return [
        _named(shot, fix_shot, shot, _named(shot, read_inputs, shot.scene), capabilities)
        for shot in batch_shots(scenes)
    ]


def _named(shot: Shot, call: Callable[..., _Outcome], *arguments: object) -> _Outcome:
    """Call, and name the shot in an error."""
    try:
        return call(*arguments)
    except ThreeDimoError as error:
        raise type(error)(
            f"shot {shot.name} of {shot.scene.name}: {error.problem}",
            given=error.given,
            allowed=error.allowed,
            remedy=error.remedy,
        ) from error


def _filmed(fixed: FixedShot) -> tuple[FixedShot, dict[str, str]]:
    """The shot with its driving footage, and the hashes of what was filmed for it by path."""
    if fixed.performer is None:
        return fixed, {}
    runtime.settle()
    return _with_pictures(fixed, film_now(_clip(fixed, fixed.performer)))


def _begin(fixed: FixedShot, job_id: str) -> None:
    shot = fixed.shot
    if fixed.performer is None:
        filming.drop_problem(shot.scene)
        _queue(fixed, {}, job_id)
        return
    send = partial(_send_filmed, fixed, shot.scene.session_uid, shot.camera.session_uid, job_id)
    label = f"{shot.scene.name} {shot.name}"
    filming.add(Filming(job_id, label, _clip(fixed, fixed.performer), send))


def _send_filmed(
    fixed: FixedShot, scene_uid: int, camera_uid: int, job_id: str, pictures: dict[Path, str]
) -> None:
    # The shot's own scene and camera are of an earlier tick: undo may have moved them in memory since.
    scene, camera = with_uid(bpy.data.scenes, scene_uid), with_uid(bpy.data.objects, camera_uid)
    if scene is None or camera is None:
        raise InvalidRequest(
            "the shot's scene or camera was deleted while its driver was filmed",
            given=fixed.shot.name,
            remedy="press Generate again",
        )
    shot = dataclasses.replace(fixed.shot, scene=scene, camera=camera)
    _queue(*_with_pictures(dataclasses.replace(fixed, shot=shot), pictures), job_id)


def _clip(fixed: FixedShot, performer: Performer) -> Clip:
    scene = fixed.shot.scene
    home = takes_folder() / FOOTAGE_FOLDER
    return Clip(performer, scene.session_uid, fixed.shot.scene_frames, scene_fps(scene), home)


def _with_pictures(fixed: FixedShot, pictures: dict[Path, str]) -> tuple[FixedShot, dict[str, str]]:
    order = dataclasses.replace(fixed.order, driving_files=tuple(pictures))
    known = {str(path): hashed for path, hashed in pictures.items()}
    return dataclasses.replace(fixed, order=order, performer=None), known


def _require_free(job_id: str) -> None:
    check_job_id(job_id)
    waiting = {each.job_id for each in filming.waiting()}
    if find_take(job_id) is not None or job_id in runtime.session().jobs or job_id in waiting:
        raise InvalidRequest("this job id is taken", given=job_id, remedy="give another UUID, or none")


def _queue(fixed: FixedShot, known_hashes: dict[str, str], job_id: str) -> Job:
    _require_free(job_id)
    shot = fixed.shot
    folder = takes_folder() / job_id
    sheet = write_take(folder, job_id, fixed.order, fixed.mapping, known_hashes)
    key = ShotKey(shot.name, shot.camera, shot.is_cut)
    same_as = same_take(shot.scene, key, sheet)
    label = f"{shot.scene.name} {shot.name}"[:200]
    job = runtime.session().start(job_id, label, folder, fixed.mapping, fixed.order)
    runtime.own(job, shot.scene, key)
    require_take(job_id).take.same_as = same_as
    _trim_cache()
    return job


def _trim_cache() -> None:
    limit = cache_limit()
    if limit is not None:
        kept = frozenset(found.take.job_id for found in all_takes())
        runtime.session().tidy(partial(trim_results, *limit, kept))
