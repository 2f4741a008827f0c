# SPDX-License-Identifier: GPL-3.0-or-later
"""What buttons and scripts call. Each is thin: the work is in `runtime` and `shots`.

From a button (`invoke`) an operator starts its work and returns; the timer brings the rest. From a script
(`bpy.ops.threedimo.generate()`, or `'EXEC_DEFAULT'`) it returns when the work is done, also without a window.
An error is reported as Blender does it: red in the window, a RuntimeError in a script.
"""

import uuid

import bpy
from bpy.props import StringProperty

from threedimo.errors import ThreeDimoError

from . import runtime, shots


def _report(operator: bpy.types.Operator, error: ThreeDimoError) -> set[str]:
    operator.report({"ERROR"}, str(error))
    return {"CANCELLED"}


class THREEDIMO_OT_generate(bpy.types.Operator):
    """Send the shot as it is now."""

    bl_idname = "threedimo.generate"
    bl_label = "Generate"
    bl_description = (
        "Send the shot as it is now: reference, footage, camera and text. The frames come back on a plane"
    )
    bl_options = {"REGISTER"}

    job_id: StringProperty(
        name="Job id", description="A UUID of your own; empty for a new one", options={"SKIP_SAVE", "HIDDEN"}
    )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Start, and leave the rest to the timer."""
        try:
            runtime.generate(context.scene, self.job_id or str(uuid.uuid4()))
        except ThreeDimoError as error:
            return _report(self, error)
        return {"FINISHED"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start, and wait until the frames are on their plane."""
        try:
            runtime.wait_for_server()
            job = runtime.generate(context.scene, self.job_id or str(uuid.uuid4()))
            runtime.wait_for_jobs([job])
        except ThreeDimoError as error:
            return _report(self, error)
        return _report(self, job.error) if job.error else {"FINISHED"}


class THREEDIMO_OT_cancel(bpy.types.Operator):
    """Stop a job at the server."""

    bl_idname = "threedimo.cancel"
    bl_label = "Cancel"
    bl_description = "Stop a job at the server"
    bl_options = {"INTERNAL"}

    job_id: StringProperty(options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Ask for the cancellation; the job's state says when it happened."""
        if self.job_id not in runtime.session().jobs:
            self.report({"WARNING"}, "This job is not running")
            return {"CANCELLED"}
        runtime.session().cancel(self.job_id)
        runtime.tick()
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
            _, path = shots.read_camera(context.scene)
        except ThreeDimoError as error:
            return _report(self, error)
        context.scene.threedimo.use_custom_text = False
        shots.refresh_text(context.scene, path)
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
        runtime.tick()
        return {"FINISHED"}

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Begin anew and wait for the answer."""
        runtime.session().reconnect()
        try:
            runtime.wait_for_server()
        except ThreeDimoError as error:
            return _report(self, error)
        return {"FINISHED"}


class THREEDIMO_OT_reattach(bpy.types.Operator):
    """Ask the server again for the jobs of this file."""

    bl_idname = "threedimo.reattach"
    bl_label = "Reattach Jobs"
    bl_description = (
        "Ask the server for the jobs of this file whose frames are not on a plane, and place them"
    )
    bl_options = {"REGISTER"}

    def invoke(self, _context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Take the jobs up, and leave the rest to the timer."""
        runtime.reattach(again=True)
        return {"FINISHED"}

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Take the jobs up, and wait until all have ended."""
        jobs = runtime.reattach(again=True)
        try:
            runtime.wait_for_jobs(jobs)
        except ThreeDimoError as error:
            return _report(self, error)
        failed = next((job for job in jobs if job.error), None)
        return _report(self, failed.error) if failed and failed.error else {"FINISHED"}


class THREEDIMO_OT_remove(bpy.types.Operator):
    """Take a job off the list and cancel it if it runs."""

    bl_idname = "threedimo.remove"
    bl_label = "Remove Job"
    bl_description = "Take a job off the list and cancel it if it runs. Its files and its plane stay"
    bl_options = {"REGISTER", "UNDO"}

    job_id: StringProperty(options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Forget the job."""
        runtime.forget(self.job_id)
        return {"FINISHED"}


CLASSES = (
    THREEDIMO_OT_generate,
    THREEDIMO_OT_cancel,
    THREEDIMO_OT_read_camera,
    THREEDIMO_OT_connect,
    THREEDIMO_OT_reattach,
    THREEDIMO_OT_remove,
)


def register() -> None:
    """Add the operators."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    """Remove the operators."""
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
