# SPDX-License-Identifier: GPL-3.0-or-later
"""The heartbeat: one session for this Blender, one timer, and what a tick brings into the scenes.

`tick()` is all there is; Blender's timer calls it, and the blocking form of the operators calls it in a loop.
A timer rather than a modal operator, because Blender puts off its auto-save while any modal operator runs,
and shots may run all night.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import bpy
from bpy.app.handlers import persistent

from threedimo.errors import JobFailed, ServerUnreachable, ThreeDimoError

from . import shots
from .jobs import Job
from .preferences import job_folder, server_connection
from .properties import ThreeDimoJobRecord
from .session import Session

log = logging.getLogger(__name__)

BUSY_INTERVAL_S = 0.1
IDLE_INTERVAL_S = 1.0
ENDED_BADLY = ("failed", "cancelled")
# How long a blocking call waits for a server that does not answer.
PATIENCE_S = 15.0

_session: Session | None = None
_file_taken_up = False
# For each job of this session the scene and the camera by their session-wide ids: these outlive undo and
# renaming.
_owners: dict[str, tuple[int, int]] = {}
_to_place: list[Job] = []


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
    if _session is not None:
        _session.close()
        _session = None
    _owners.clear()
    _to_place.clear()


def tick() -> None:
    """Pump the session once and bring what changed into the scenes. Never waits and never raises."""
    try:
        current = session()
        before = (current.connected, current.problem)
        changed = current.pump()
        for job in changed:
            _update_record(job)
        _place_ready()
        if changed or before != (current.connected, current.problem):
            redraw_panel()
    except Exception:
        # A timer that raises is taken off by Blender: nothing would ever arrive again.
        log.exception("a tick failed")


def wait_for_server() -> None:
    """Tick until the server answers.

    Raises:
        ServerUnreachable: It did not within `PATIENCE_S`, or whatever stands in the way.
    """
    deadline = time.monotonic() + PATIENCE_S
    current = session()
    if not current.connected and not current.busy:
        current.reconnect()  # what stood in the way a while ago may be gone
    while True:
        tick()
        if current.connected:
            return
        if current.problem is not None:
            raise current.problem
        if time.monotonic() > deadline:
            raise ServerUnreachable(
                "the server does not answer", remedy="check that it runs: `threedimo doctor`"
            )
        time.sleep(0.01)


def wait_for_jobs(jobs: list[Job]) -> None:
    """Tick until these jobs have ended.

    Raises:
        ServerUnreachable: The server was away for longer than `PATIENCE_S`.
    """
    heard_at = time.monotonic()
    while not all(job.ended for job in jobs):
        tick()
        current = session()
        if current.connected:
            heard_at = time.monotonic()
        elif time.monotonic() - heard_at > PATIENCE_S:
            raise current.problem or ServerUnreachable("the server does not answer")
        time.sleep(0.01)


def generate(scene: bpy.types.Scene, job_id: str) -> Job:
    """Fix the scene's shot and hand it to the session.

    Raises:
        ThreeDimoError: An input is missing or cannot be used, or there is no server.
    """
    current = session()
    if not current.connected or current.capabilities is None:
        raise current.problem or ServerUnreachable("the server has not answered yet", remedy="press Connect")
    mapping = shots.plan_shot(scene, current.capabilities)
    camera, path = shots.read_camera(scene)
    order = shots.make_order(scene, path)
    folder = job_folder(job_id)
    shots.keep_camera(folder, path)
    job = current.start(job_id, f"{scene.name} {camera.name}", folder, mapping, order)
    _owners[job_id] = (scene.session_uid, camera.session_uid)
    shots.add_record(scene, job, camera)
    return job


def reattach(*, again: bool = False) -> list[Job]:
    """Take up the jobs of all scenes that are not in this session and whose frames were not placed yet.

    Args:
        again: Also those that ended badly, and those whose plane was undone: what a person asks for by a
            button.

    Returns:
        The jobs of this file that go on now, those that were followed before included.
    """
    current = session()
    followed: list[Job] = []
    for scene in bpy.data.scenes:
        for record in scene.threedimo.jobs:
            known = current.jobs.get(record.job_id)
            if known is not None and not known.ended:
                followed.append(known)
                continue
            if record.placed or ((known is not None or record.state in ENDED_BADLY) and not again):
                continue
            job = current.attach(
                record.job_id,
                record.label,
                shots.record_folder(record),
                shots.record_mapping(record),
                record.seq,
            )
            camera_uid = record.camera.session_uid if record.camera else 0
            _owners[job.job_id] = (scene.session_uid, camera_uid)
            followed.append(job)
    return followed


def forget(job_id: str) -> None:
    """Take a job off the list; cancel it first if it runs."""
    current = session()
    if job_id in current.jobs:
        current.cancel(job_id)
        current.forget(job_id)
    _owners.pop(job_id, None)
    shots.remove_record(job_id)


def redraw_panel() -> None:
    """Redraw the sidebars alone: drawing whole views is what makes an animation stutter."""
    manager = bpy.context.window_manager
    for window in manager.windows if manager else ():
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                for region in area.regions:
                    if region.type == "UI":
                        region.tag_redraw()


def _update_record(job: Job) -> None:
    found = shots.find_record(job.job_id) or _restore_record(job)
    if found is not None:  # else the scene was deleted; the files stay
        shots.update_record(found[1], job)
        if job.state == "ready" and not found[1].placed:
            _to_place.append(job)


def _place_ready() -> None:
    """Place what arrived, unless Blender renders: a scene must not change under a render."""
    while _to_place and not bpy.app.is_job_running("RENDER"):
        job = _to_place.pop(0)
        found = shots.find_record(job.job_id)
        if found is not None:
            _place(*found, job)


def _place(scene: bpy.types.Scene, record: ThreeDimoJobRecord, job: Job) -> None:
    try:
        shots.place_frames(scene, record, job)
    except ThreeDimoError as error:
        record.message = str(error)
    except Exception as error:
        log.exception("job %s: the frames could not be placed", job.job_id)
        record.message = str(JobFailed(f"the frames could not be placed: {error!r}", given=job.plane_folder))
    else:
        _remember_for_undo(f"3DiMo {job.label}")


def _restore_record(job: Job) -> tuple[bpy.types.Scene, ThreeDimoJobRecord] | None:
    """Undo may take a record away; the job goes on all the same, and so its record comes back."""
    scene_uid, camera_uid = _owners.get(job.job_id, (0, 0))
    scene = next((scene for scene in bpy.data.scenes if scene.session_uid == scene_uid), None)
    if scene is None:
        return None
    camera = next((item for item in bpy.data.objects if item.session_uid == camera_uid), None)
    return scene, shots.add_record(scene, job, camera)


def _remember_for_undo(message: str) -> None:
    """What a timer makes is in no undo step: the next undo of anything would take it away."""
    windows = bpy.context.window_manager.windows if bpy.context.window_manager else ()
    if not bpy.app.background and windows:
        with bpy.context.temp_override(window=windows[0]):
            bpy.ops.ed.undo_push(message=message)


def _on_timer() -> float:
    tick()
    _take_up_open_file()
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
    if _session is not None:
        for job_id in list(_session.jobs):
            _session.forget(job_id)
    _owners.clear()
    _to_place.clear()
    reattach()


def register() -> None:
    """Start the heartbeat."""
    global _file_taken_up
    _file_taken_up = False
    bpy.app.handlers.load_post.append(_on_load)
    bpy.app.timers.register(_on_timer, first_interval=IDLE_INTERVAL_S, persistent=True)


def unregister() -> None:
    """Stop the heartbeat and join the thread."""
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
    bpy.app.handlers.load_post.remove(_on_load)
    end_session()
