# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scene's file says about its shots and their takes.

Records are looked up by job id and never kept: undo, loading and new records move them in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import bpy

from threedimo.errors import UnknownJob, UnreadableMedia

from .jobs import ENDED_BADLY, Job
from .properties import ThreeDimoShot, ThreeDimoTake
from .takes import TakeSheet, is_same, read_sheet
from .timeline import FrameMapping


class Found(NamedTuple):
    """A take where it stands."""

    scene: bpy.types.Scene
    shot: ThreeDimoShot
    take: ThreeDimoTake


class ShotKey(NamedTuple):
    """Which shot of a scene a take belongs to, besides the frames: those are the job's."""

    name: str
    camera: bpy.types.Object | None
    is_cut: bool


def all_takes() -> Iterator[Found]:
    """Every take of every scene."""
    for scene in bpy.data.scenes:
        for shot in scene.threedimo.shots:
            for take in shot.takes:
                yield Found(scene, shot, take)


def find_take(job_id: str) -> Found | None:
    """The take of a job, in whichever scene has it."""
    return next((found for found in all_takes() if found.take.job_id == job_id), None)


def require_take(job_id: str) -> Found:
    """As `find_take`.

    Raises:
        UnknownJob: No scene has it.
    """
    found = find_take(job_id)
    if found is None:
        raise UnknownJob("no scene of this file has such a take", given=job_id)
    return found


def add_take(scene: bpy.types.Scene, job: Job, key: ShotKey) -> ThreeDimoTake:
    """Write a job into its scene as the next take of its shot.

    Raises:
        UnreadableMedia: The job's folder has no sheet.
    """
    sheet = read_sheet(job.folder)
    shot = _shot(scene, job.mapping, key)
    shot.is_cut = key.is_cut
    shot.last_number += 1
    take = shot.takes.add()
    take.job_id, take.label, take.folder = job.job_id, job.label, str(job.folder)
    take.number = shot.last_number
    take.num_frames, take.scene_fps = job.mapping.num_frames, job.mapping.scene_fps
    take.queued_at, take.text, take.camera_hash = sheet.queued_at, sheet.text, sheet.camera_hash
    take.seed = sheet.seed
    take.made_as = sheet.result.sentence() if sheet.result is not None else ""
    update_take(take, job)
    return take


def update_take(take: ThreeDimoTake, job: Job) -> None:
    """Bring a record up to date."""
    take.state, take.seq = job.state, job.seq
    take.model_id = job.model_id or take.model_id
    # Somebody wanted a cancelled take to end so.
    take.message = "" if job.error is None or job.state == "cancelled" else str(job.error)


def is_lost(take: ThreeDimoTake) -> bool:
    """Whether a take that does not run has something wrong with it, or its frames never came.

    A cancelled one is as somebody wanted it.
    """
    return take.state != "cancelled" and (bool(take.message) or not take.placed)


def same_take(scene: bpy.types.Scene, key: ShotKey, sheet: TakeSheet) -> int:
    """The number of the latest take of a shot that was asked for exactly so; 0 if there is none.

    Args:
        scene: The shot's.
        key: The shot.
        sheet: What is asked for.
    """
    for shot in scene.threedimo.shots:
        for take in reversed(shot.takes if shot.camera == key.camera else ()):
            alike = (take.seed, take.camera_hash) == (sheet.seed, sheet.camera_hash)
            if alike and take.state not in ENDED_BADLY:
                try:
                    if is_same(sheet, read_sheet(take_folder(take))):
                        return take.number
                except UnreadableMedia:
                    continue  # what it was made of is not known any more
    return 0


def sameness(shot: ThreeDimoShot, take: ThreeDimoTake) -> str:
    """That a take is an earlier one once more, in words; "" if it is not, or one of both is gone."""
    gone = take.state in ENDED_BADLY or all(other.number != take.same_as for other in shot.takes)
    if not take.same_as or gone:
        return ""
    return f"Take {take.number} is the same as take {take.same_as}: change the seed for another one"


def remove_take(found: Found) -> None:
    """Take a record off the list, and its shot with the last one."""
    shots = found.scene.threedimo.shots
    job_id = found.take.job_id
    if found.shot.chosen == job_id:
        found.shot.chosen = ""
    if found.shot.shown == job_id:
        found.shot.shown = ""
    found.shot.takes.remove(_index(found.shot.takes, lambda take: take.job_id == job_id))
    if not found.shot.takes:
        shots.remove(_index(shots, lambda shot: not shot.takes))


def take_folder(take: ThreeDimoTake) -> Path:
    """Where a take's files are: where they were made, or beside the .blend that was moved with them."""
    made = Path(take.folder)
    if not made.is_dir() and bpy.data.is_saved:
        moved = Path(bpy.data.filepath).parent / "threedimo" / take.job_id
        if moved.is_dir():
            return moved
    return made


def take_mapping(shot: ThreeDimoShot, take: ThreeDimoTake) -> FrameMapping:
    """The frame mapping of a take."""
    return FrameMapping(shot.frame_start, shot.num_scene_frames, take.scene_fps, take.num_frames)


def _shot(scene: bpy.types.Scene, mapping: FrameMapping, key: ShotKey) -> ThreeDimoShot:
    """The shot with this camera and these frames; made if there is none."""
    for shot in scene.threedimo.shots:
        same_frames = (shot.frame_start, shot.num_scene_frames) == (
            mapping.frame_start,
            mapping.num_scene_frames,
        )
        if shot.camera == key.camera and same_frames:
            return shot
    shot = scene.threedimo.shots.add()
    shot.name, shot.camera = key.name, key.camera
    shot.frame_start, shot.num_scene_frames = mapping.frame_start, mapping.num_scene_frames
    return shot


def _index(collection, wanted) -> int:
    return next(i for i, item in enumerate(collection) if wanted(item))
