# SPDX-License-Identifier: GPL-3.0-or-later
"""Shots on their way into the queue: one, all of a batch, or a take once more with another seed.

A batch is fixed whole before any of it is queued: a shot that cannot be sent stops all of them, while a
person still looks.
"""

from __future__ import annotations

import dataclasses
import uuid
from itertools import chain

import bpy

from threedimo.errors import InvalidRequest, ServerUnreachable, ThreeDimoError
from threedimo.wire.messages import Capabilities

from . import runtime
from .batch import batch_shots
from .jobs import Job
from .preferences import job_folder
from .shots import FixedShot, Shot, fix_shot, plan_frames, single_shot
from .take_records import ShotKey, find_take, require_take, take_folder
from .takes import check_job_id, read_order, write_take

LARGEST_SEED = 2**31 - 1


def generate(scene: bpy.types.Scene, job_id: str) -> Job:
    """Fix the scene's frame range as one shot and hand it to the session.

    Raises:
        ThreeDimoError: An input is missing or cannot be used, or there is no server.
    """
    capabilities = _capabilities()
    fixed = fix_shot(single_shot(scene), capabilities)
    if not scene.threedimo.use_custom_text:
        scene.threedimo.camera_text = fixed.order.text
    return _queue(fixed, job_id, {})


def queue_batch(scenes: list[bpy.types.Scene]) -> list[Job]:
    """Fix all shots of these scenes and hand them to the session.

    Raises:
        ThreeDimoError: There is no shot or no server, or a shot cannot be sent; it is named, and none is.
    """
    capabilities = _capabilities()
    fixed = [_fix_named(shot, capabilities) for shot in batch_shots(scenes)]
    return [_queue(each, str(uuid.uuid4()), {}) for each in fixed]


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
    mapping = plan_frames(scene, scene_frames, capabilities)
    again = FixedShot(shot, dataclasses.replace(order, seed=seed), mapping)
    known = {file.path: file.sha256 for file in chain([sheet.reference_image], sheet.driving_files)}
    return _queue(again, new_job_id, known)


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


def _fix_named(shot: Shot, capabilities: Capabilities) -> FixedShot:
    try:
        return fix_shot(shot, capabilities)
    except ThreeDimoError as error:
        raise type(error)(
            f"shot {shot.name} of {shot.scene.name}: {error.problem}",
            given=error.given,
            allowed=error.allowed,
            remedy=error.remedy,
        ) from error


def _queue(fixed: FixedShot, job_id: str, known_hashes: dict[str, str]) -> Job:
    check_job_id(job_id)
    shot = fixed.shot
    if find_take(job_id) is not None or job_id in runtime.session().jobs:
        raise InvalidRequest("this job id is taken", given=job_id, remedy="give another UUID, or none")
    folder = job_folder(job_id)
    write_take(folder, job_id, fixed.order, fixed.mapping, known_hashes)
    label = f"{shot.scene.name} {shot.name}"[:200]
    job = runtime.session().start(job_id, label, folder, fixed.mapping, fixed.order)
    runtime.own(job, shot.scene, ShotKey(shot.name, shot.camera, shot.is_cut))
    return job
