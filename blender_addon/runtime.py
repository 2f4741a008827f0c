# SPDX-License-Identifier: GPL-3.0-or-later
"""The heartbeat: one session for this Blender, one timer, and what a tick brings into the scenes.

`tick()` is all there is; Blender's timer calls it, and the blocking form of the operators calls it in a loop
(`waiting`).
A timer rather than a modal operator, because Blender puts off its auto-save while any modal operator runs,
and shots may run all night.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import bpy
from bpy.app.handlers import persistent

from threedimo.errors import JobFailed, ThreeDimoError

from . import filming, take_planes, take_records
from .jobs import ENDED_BADLY, UNSENT_STATES, Job
from .local_server import LocalServer
from .preferences import server_connection
from .properties import ThreeDimoShot
from .redraw import WatchedSettings, redraw_panel, redraw_views
from .session import Session
from .take_records import Found, ShotKey
from .takes import read_order

log = logging.getLogger(__name__)

BUSY_INTERVAL_S = 0.1
IDLE_INTERVAL_S = 1.0
# Between two turns of filming Blender only needs to draw and to hear its user.
FILMING_INTERVAL_S = 0.02
CHECK_INTERVAL_S = 1.0


@dataclass(frozen=True)
class _Owner:
    """Where a job's record belongs: session-wide ids outlive undo and renaming."""

    scene_uid: int
    camera_uid: int
    name: str
    is_cut: bool


local_server = LocalServer()

_session: Session | None = None
_file_taken_up = False
_owners: dict[str, _Owner] = {}
_to_place: list[Job] = []
# What no undo step holds yet.
_to_remember: list[str] = []
_num_checks = 0
_checked_at = 0.0
_settings = WatchedSettings()


def current_session() -> Session | None:
    """The session, or None while there is none: for drawing."""
    return _session


def session() -> Session:
    """The session; made on first use."""
    global _session
    if _session is None:
        _session = Session(server_connection)
    return _session


def end_session() -> None:
    """Close the connection and the thread. Jobs go on at the server."""
    global _session
    filming.clear()
    if _session is not None:
        _session.close()
        _session = None
    _owners.clear()
    _to_place.clear()
    _to_remember.clear()


def tick() -> None:
    """Pump the session once and bring what changed into the scenes. Never waits and never raises."""
    try:
        current = session()
        before = (current.connected, current.problem)
        changed = current.pump()
        for job in changed:
            _update_record(job)
        previewed = _show_previews(changed)
        # An undo step takes longer than all else, and so has the tick after the one that placed a take.
        filmed = _alone(current) and _take_turn(current)
        _place_ready()
        changed_planes, settings_changed = _check_next_plane(), _settings.changed()
        connection_changed = before != (current.connected, current.problem)
        if changed or filmed or changed_planes or connection_changed or settings_changed:
            redraw_panel()
        if previewed or settings_changed:
            redraw_views()
    except Exception:
        # A timer that raises is taken off by Blender: nothing would ever arrive again.
        log.exception("a tick failed")


def tick_in_operator() -> None:
    """As `tick`, for an operator that returns at once: it begins no thread (`file_work`)."""
    session().files.hold()
    tick()


def settle() -> None:
    """Wait until no thread of this extension runs (`file_work`). The next tick makes its work go on."""
    if _session is not None:
        _session.files.wait()


def own(job: Job, scene: bpy.types.Scene, key: ShotKey) -> None:
    """Remember whose a job is, and write its record.

    Raises:
        UnreadableMedia: The job's folder has no sheet.
    """
    camera_uid = key.camera.session_uid if key.camera is not None else 0
    _owners[job.job_id] = _Owner(scene.session_uid, camera_uid, key.name, key.is_cut)
    take_records.add_take(scene, job, key)


def reattach(*, again: bool = False) -> list[Job]:
    """Take up the jobs of all scenes that are not in this session and whose frames were not placed yet.

    One that the server may not have got before Blender was closed is sent now, from its sheet.

    Args:
        again: Also those that failed, and those whose frames are no longer on disk: what a person asks for
            by a button.

    Returns:
        The jobs of this file that go on now, those that were followed before included.
    """
    current = session()
    followed: list[Job] = []
    for found in list(take_records.all_takes()):
        take, shot = found.take, found.shot
        known = current.jobs.get(take.job_id)
        if known is not None and not known.ended:
            followed.append(known)
            continue
        if take.state == "cancelled":
            wanted = False
        elif take.placed:
            wanted = again and not take_planes.has_frames(shot, take)
        else:
            wanted = again or (known is None and take.state != "failed")
        if not wanted:
            continue
        job = _take_up(found)
        if job is not None:
            camera_uid = shot.camera.session_uid if shot.camera else 0
            _owners[job.job_id] = _Owner(found.scene.session_uid, camera_uid, shot.name, shot.is_cut)
            followed.append(job)
    return followed


def _take_up(found: Found) -> Job | None:
    """Follow a take's job again, or send it if it was not sent; None if its files do not allow that."""
    take = found.take
    folder, mapping = take_records.take_folder(take), take_records.take_mapping(found.shot, take)
    if take.state not in UNSENT_STATES:
        return session().attach(take.job_id, take.label, folder, mapping, take.seq)
    try:
        _, order = read_order(folder)
    except ThreeDimoError as error:
        take.state, take.message = "failed", str(error)
        return None
    return session().start(take.job_id, take.label, folder, mapping, order)


def forget(job_id: str) -> None:
    """Take a job off the list; cancel it first if it runs.

    Raises:
        UnknownJob: No scene has it.
    """
    found = take_records.require_take(job_id)
    current = session()
    if job_id in current.jobs:
        current.cancel(job_id)
        current.forget(job_id)
    _owners.pop(job_id, None)
    take_planes.release_take(found)
    take_records.remove_take(take_records.require_take(job_id))


def _update_record(job: Job) -> None:
    found = take_records.find_take(job.job_id) or _restore_record(job)
    if found is not None:  # else the scene was deleted; the files stay
        take_records.update_take(found.take, job)
        arrives = not found.take.placed or found.shot.shown in ("", job.job_id)
        if job.state == "ready" and arrives and job not in _to_place:
            _to_place.append(job)


def _show_previews(changed: list[Job]) -> bool:
    """Show how running jobs look by now, unless Blender renders; returns whether something new is seen."""
    seen = False
    for job in changed:
        found = take_records.find_take(job.job_id)
        if found is None or bpy.app.is_job_running("RENDER"):
            continue
        try:
            if job.preview is not None:
                seen |= take_planes.show_preview(found, job.preview)
            elif job.state in ENDED_BADLY:
                take_planes.end_preview(found)
        except ThreeDimoError as error:
            log.info("job %s: no preview: %s", job.job_id, error)
        job.preview = None
    return seen


def _place_ready() -> None:
    """Place what arrived, unless Blender renders: a scene must not change under a render."""
    while _to_place and not bpy.app.is_job_running("RENDER"):
        job = _to_place.pop(0)
        found = take_records.find_take(job.job_id)
        if found is not None:
            _place(found, job)


def _place(found: Found, job: Job) -> None:
    try:
        take_planes.place_take(found)
    except ThreeDimoError as error:
        found.take.message = str(error)
    except Exception as error:
        log.exception("job %s: the frames could not be placed", job.job_id)
        found.take.message = str(
            JobFailed(f"the frames could not be placed: {error!r}", given=job.plane_folder)
        )
    else:
        # What a timer makes is in no undo step: the next undo of anything would take it away.
        if not bpy.app.background and bpy.context.window_manager.windows:
            _to_remember.append(f"3DiMo {job.label}")


def _restore_record(job: Job) -> Found | None:
    """Undo may take a record away; the take exists all the same, and so its record comes back."""
    owner = _owners.get(job.job_id)
    scene = next((scene for scene in bpy.data.scenes if owner and scene.session_uid == owner.scene_uid), None)
    if owner is None or scene is None:
        return None
    camera = next((item for item in bpy.data.objects if item.session_uid == owner.camera_uid), None)
    try:
        take_records.add_take(scene, job, ShotKey(owner.name, camera, owner.is_cut))
    except ThreeDimoError as error:
        log.warning("job %s: its record cannot be restored: %s", job.job_id, error)
        return None
    return take_records.find_take(job.job_id)


def _check_next_plane() -> bool:
    """Once a second look at one plane: whether its files are still there. Returns whether it changed."""
    global _num_checks, _checked_at
    now = time.monotonic()
    if now - _checked_at < CHECK_INTERVAL_S or bpy.app.is_job_running("RENDER"):
        return False
    _checked_at = now
    shots = [
        (scene, shot)
        for scene in bpy.data.scenes
        for shot in scene.threedimo.shots
        if shot.shown or shot.previewed
    ]
    if not shots:
        return False
    _num_checks += 1
    return take_planes.check_plane(*shots[_num_checks % len(shots)])


def _alone(current: Session) -> bool:
    """Whether operators may run in an overridden context in this tick (`file_work`), if any is to."""
    if _to_remember or filming.waiting():
        return current.files.hold()
    current.files.release()
    return False


def _take_turn(current: Session) -> bool:
    """Do what needs Blender alone; returns whether something was filmed."""
    _remember_for_undo()
    filmed = filming.step()
    current.files.release()
    return filmed


def _remember_for_undo() -> None:
    while _to_remember:
        with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
            bpy.ops.ed.undo_push(message=_to_remember.pop(0))


def _on_timer() -> float:
    tick()
    _take_up_open_file()
    if filming.waiting():
        return FILMING_INTERVAL_S
    return BUSY_INTERVAL_S if _session is not None and _session.busy else IDLE_INTERVAL_S


def _take_up_open_file() -> None:
    """Once after the add-on was enabled: the file that is open was loaded before anybody listened."""
    global _file_taken_up
    if not _file_taken_up:
        _file_taken_up = True
        reattach()


@persistent
def _on_load(_file: str | Path) -> None:
    """Another file: forget the jobs of the last one, take up those of this one."""
    filming.clear()
    if _session is not None:
        for job_id in list(_session.jobs):
            _session.forget(job_id)
    _owners.clear()
    _to_place.clear()
    _to_remember.clear()
    for scene in bpy.data.scenes:
        for shot in scene.threedimo.shots:
            _end_old_preview(scene, shot)
            take_planes.check_plane(scene, shot)
    reattach()


def _end_old_preview(scene: bpy.types.Scene, shot: ThreeDimoShot) -> None:
    """A file that was saved while a take denoised: if that goes on, its next preview comes."""
    take = next((take for take in shot.takes if take.job_id == shot.previewed), None)
    if take is None:
        return
    try:
        take_planes.end_preview(Found(scene, shot, take))
    except ThreeDimoError as error:
        take.message = str(error)


@persistent
def _after_undo(*_: object) -> None:
    """Undo takes back what a person did, never a take: those of this session stay on the list, up to date."""
    for job in _session.jobs.values() if _session is not None else ():
        found = take_records.find_take(job.job_id) or _restore_record(job)
        if found is not None:
            take_records.update_take(found.take, job)


def register() -> None:
    """Start the heartbeat."""
    global _file_taken_up
    _file_taken_up = False
    bpy.app.handlers.load_post.append(_on_load)
    bpy.app.handlers.undo_post.append(_after_undo)
    bpy.app.handlers.redo_post.append(_after_undo)
    bpy.app.timers.register(_on_timer, first_interval=IDLE_INTERVAL_S, persistent=True)


def unregister() -> None:
    """Stop the heartbeat and join the thread."""
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
    bpy.app.handlers.redo_post.remove(_after_undo)
    bpy.app.handlers.undo_post.remove(_after_undo)
    bpy.app.handlers.load_post.remove(_on_load)
    end_session()
