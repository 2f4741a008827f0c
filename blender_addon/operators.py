# SPDX-License-Identifier: GPL-3.0-or-later
"""What buttons and scripts call. Each is thin: the work is in `dispatch` and `runtime`.

From a button (`invoke`) an operator starts its work and returns; the timer brings the rest. From a script
(`bpy.ops.threedimo.generate()`, or `'EXEC_DEFAULT'`) it returns when the work is done, also without a window.
An error is reported as Blender does it: red in the window, a RuntimeError in a script.
"""

import uuid

import bpy
from bpy.props import BoolProperty, StringProperty

from threedimo.errors import ThreeDimoError

from . import camera_overlay, camera_reading, dispatch, filming, runtime, shots, waiting
from .batch import batch_scenes
from .jobs import Job
from .preferences import server_python
from .redraw import redraw_panel
from .take_records import find_take, sameness


def report(operator: bpy.types.Operator, error: ThreeDimoError) -> set[str]:
    """Say what went wrong, as Blender does it."""
    operator.report({"ERROR"}, str(error))
    return {"CANCELLED"}


def report_jobs(operator: bpy.types.Operator, jobs: list[Job]) -> set[str]:
    """Say how jobs ended: the first error stands for all, with their number."""
    errors = [job.error for job in jobs if job.error is not None]
    if not errors:
        return {"FINISHED"}
    count = f"{len(errors)} of {len(jobs)} shots were not made. The first: " if len(jobs) > 1 else ""
    operator.report({"ERROR"}, f"{count}{errors[0]}")
    return {"CANCELLED"}


def report_same(operator: bpy.types.Operator, job_ids: list[str]) -> None:
    """Say which of the takes just queued are earlier ones once more; one that is filmed first comes later."""
    found = [each for each in map(find_take, job_ids) if each is not None]
    said = [words for words in (sameness(shot, take) for _, shot, take in found) if words]
    if said:
        count = f"{len(said)} of {len(job_ids)} shots are made once more. " if len(job_ids) > 1 else ""
        operator.report({"INFO"}, f"{count}{said[0]}")


class THREEDIMO_OT_generate(bpy.types.Operator):
    """Send the shot as it is now."""

    bl_idname = "threedimo.generate"
    bl_label = "Generate"
    bl_description = (
        "Send the shot as it is now: reference, footage, camera and text. A driver in the scene is filmed "
        "first. The frames come back on a plane"
    )
    bl_options = {"REGISTER"}

    job_id: StringProperty(
        name="Job id", description="A UUID of your own; empty for a new one", options={"SKIP_SAVE", "HIDDEN"}
    )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Start, and leave the rest to the timer."""
        job_id = self.job_id or str(uuid.uuid4())
        try:
            dispatch.begin(context.scene, job_id)
        except ThreeDimoError as error:
            return report(self, error)
        report_same(self, [job_id])
        return {"FINISHED"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start, and wait until the frames are on their plane."""
        try:
            waiting.wait_for_server()
            job = dispatch.generate(context.scene, self.job_id or str(uuid.uuid4()))
            report_same(self, [job.job_id])
            waiting.wait_for_jobs([job])
        except ThreeDimoError as error:
            return report(self, error)
        return report_jobs(self, [job])


class THREEDIMO_OT_queue(bpy.types.Operator):
    """Send all shots of the ticked scenes."""

    bl_idname = "threedimo.queue"
    bl_label = "Queue All Shots"
    bl_description = (
        "Send every shot of the ticked scenes as it is now. Save the file, and it finds them again "
        "after Blender was closed"
    )
    bl_options = {"REGISTER"}

    scene: StringProperty(
        name="Scene", description="One scene's shots only; empty for all ticked scenes", options={"SKIP_SAVE"}
    )
    wait: BoolProperty(
        name="Wait",
        description="From a script: return when all frames are on their planes, not when all is sent",
        default=True,
        options={"SKIP_SAVE", "HIDDEN"},
    )

    def invoke(self, _context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Start, and leave the rest to the timer."""
        try:
            job_ids = dispatch.begin_batch(self._scenes())
        except ThreeDimoError as error:
            return report(self, error)
        self.report({"INFO"}, f"{len(job_ids)} shots queued")
        report_same(self, job_ids)
        return {"FINISHED"}

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Start, and wait."""
        try:
            waiting.wait_for_server()
            jobs = dispatch.queue_batch(self._scenes())
            report_same(self, [job.job_id for job in jobs])
            waiting.wait_for_jobs(jobs, sent=not self.wait)
        except ThreeDimoError as error:
            return report(self, error)
        return report_jobs(self, jobs)

    def _scenes(self) -> list[bpy.types.Scene]:
        return batch_scenes([self.scene] if self.scene else [])


class THREEDIMO_OT_cancel(bpy.types.Operator):
    """Stop a job."""

    bl_idname = "threedimo.cancel"
    bl_label = "Cancel"
    bl_description = "Stop a job at the server, or the filming of its driver"
    bl_options = {"INTERNAL"}

    job_id: StringProperty(options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Ask for the cancellation; the job's state says when it happened. Filming stops at once."""
        if filming.cancel(self.job_id):
            redraw_panel()
            return {"FINISHED"}
        if self.job_id not in runtime.session().jobs:
            self.report({"WARNING"}, "This job is not running")
            return {"CANCELLED"}
        runtime.session().cancel(self.job_id)
        runtime.tick_in_operator()
        return {"FINISHED"}


class THREEDIMO_OT_read_camera(bpy.types.Operator):
    """Read the camera over the scene's frame range and describe it in words."""

    bl_idname = "threedimo.read_camera"
    bl_label = "Read Camera"
    bl_description = "Read the camera over the scene's frame range and describe it in words"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Replace the text by the camera's own."""
        try:
            shot = shots.single_shot(context.scene)
            path = shots.read_camera(shot)
        except ThreeDimoError as error:
            return report(self, error)
        context.scene.threedimo.use_custom_text = False
        camera_reading.remember_text(context.scene, shots.shot_text(shot, path))
        camera_overlay.hold(shot, path)
        return {"FINISHED"}


class THREEDIMO_OT_connect(bpy.types.Operator):
    """Look for the server again."""

    bl_idname = "threedimo.connect"
    bl_label = "Connect"
    bl_description = "Look for the server again, for example after it was started or its address was changed"
    bl_options = {"INTERNAL"}

    def invoke(self, _context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Begin anew; the panel shows the outcome."""
        runtime.session().reconnect()
        runtime.tick_in_operator()
        self.report({"INFO"}, "Looking for the server")
        return {"FINISHED"}

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Begin anew and wait for the answer."""
        runtime.session().reconnect()
        try:
            waiting.wait_for_server()
        except ThreeDimoError as error:
            return report(self, error)
        return {"FINISHED"}


class THREEDIMO_OT_start_server(bpy.types.Operator):
    """Start a server on this machine."""

    bl_idname = "threedimo.start_server"
    bl_label = "Start Server"
    bl_description = (
        "Start a server on this machine with the Python that the preferences name. It goes on after Blender "
        "is closed"
    )
    bl_options = {"INTERNAL"}

    def invoke(self, _context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Start it; the panel shows when it answers."""
        return self._start()

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Start it, and wait until it answers."""
        started = self._start()
        if started != {"FINISHED"}:
            return started
        try:
            waiting.wait_for_own_server()
        except ThreeDimoError as error:
            return report(self, error)
        return {"FINISHED"}

    def _start(self) -> set[str]:
        try:
            runtime.local_server.start(server_python())
        except ThreeDimoError as error:
            return report(self, error)
        return {"FINISHED"}


class THREEDIMO_OT_stop_server(bpy.types.Operator):
    """End the server that this Blender started."""

    bl_idname = "threedimo.stop_server"
    bl_label = "Stop Server"
    bl_description = "End the server that was started here. Its queue is kept for the next one"
    bl_options = {"INTERNAL"}

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """End it."""
        runtime.local_server.stop()
        return {"FINISHED"}


class THREEDIMO_OT_reattach(bpy.types.Operator):
    """Ask the server again for the jobs of this file."""

    bl_idname = "threedimo.reattach"
    bl_label = "Reattach Jobs"
    bl_description = "Ask the server for the jobs of this file whose frames are not here, and place them"
    bl_options = {"REGISTER"}

    def invoke(self, _context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Take the jobs up, and leave the rest to the timer."""
        runtime.reattach(again=True)
        return {"FINISHED"}

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Take the jobs up, and wait until all have ended."""
        jobs = runtime.reattach(again=True)
        try:
            waiting.wait_for_jobs(jobs)
        except ThreeDimoError as error:
            return report(self, error)
        return report_jobs(self, jobs)


CLASSES = (
    THREEDIMO_OT_generate,
    THREEDIMO_OT_queue,
    THREEDIMO_OT_cancel,
    THREEDIMO_OT_read_camera,
    THREEDIMO_OT_connect,
    THREEDIMO_OT_start_server,
    THREEDIMO_OT_stop_server,
    THREEDIMO_OT_reattach,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
