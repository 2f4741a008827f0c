# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done with takes: look at them, choose one, make another, delete one."""

import uuid

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from threedimo.errors import InvalidRequest, ThreeDimoError

from . import dispatch, runtime, take_planes, take_uses, waiting
from .operators import report, report_jobs
from .take_records import Found, require_take, take_folder
from .takes import delete_files


class _OfTake:
    job_id: StringProperty(name="Job id", description="The take's job", options={"SKIP_SAVE", "HIDDEN"})


class THREEDIMO_OT_regenerate(_OfTake, bpy.types.Operator):
    """Make a take once more with another seed."""

    bl_idname = "threedimo.regenerate"
    bl_label = "Another Take"
    bl_description = (
        "Make this take once more, exactly as it was queued, with another seed. It becomes a further take"
    )
    bl_options = {"REGISTER"}

    seed: IntProperty(
        name="Seed",
        description="-1 for the next one that no take of the shot has",
        default=-1,
        min=-1,
        options={"SKIP_SAVE"},
    )
    new_job_id: StringProperty(
        name="New job id",
        description="A UUID of your own; empty for a new one",
        options={"SKIP_SAVE", "HIDDEN"},
    )

    def invoke(self, _context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Start, and leave the rest to the timer."""
        try:
            self._start()
        except ThreeDimoError as error:
            return report(self, error)
        return {"FINISHED"}

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Start, and wait until the frames are here."""
        try:
            waiting.wait_for_server()
            job = self._start()
            waiting.wait_for_jobs([job])
        except ThreeDimoError as error:
            return report(self, error)
        return report_jobs(self, [job])

    def _start(self):
        seed = None if self.seed < 0 else self.seed
        return dispatch.regenerate(self.job_id, seed, self.new_job_id or str(uuid.uuid4()))


class THREEDIMO_OT_show_take(_OfTake, bpy.types.Operator):
    """Show a take on the plane of its shot."""

    bl_idname = "threedimo.show_take"
    bl_label = "Show Take"
    bl_description = "Show this take on the plane of its shot"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Show it."""
        try:
            take_planes.show_take(require_take(self.job_id))
        except ThreeDimoError as error:
            return report(self, error)
        return {"FINISHED"}


class THREEDIMO_OT_step_take(bpy.types.Operator):
    """Show the next or the previous take of a shot."""

    bl_idname = "threedimo.step_take"
    bl_label = "Step Through Takes"
    bl_description = "Show the next or the previous take of the shot on its plane, to compare them"
    bl_options = {"REGISTER", "UNDO"}

    shot: IntProperty(name="Shot", description="Its place in the scene's list", min=0, options={"SKIP_SAVE"})
    step: IntProperty(
        name="Step",
        description="1 for the next take, -1 for the previous one",
        default=1,
        options={"SKIP_SAVE"},
    )

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Show the take whose turn it is."""
        shots = context.scene.threedimo.shots
        try:
            if self.shot >= len(shots):
                raise InvalidRequest(
                    "the scene has no such shot", given=self.shot, allowed=f"less than {len(shots)}"
                )
            take = take_planes.neighbour(shots[self.shot], self.step)
            if take is None:
                self.report({"INFO"}, "There is no other take to show")
                return {"CANCELLED"}
            take_planes.show_take(Found(context.scene, shots[self.shot], take))
        except ThreeDimoError as error:
            return report(self, error)
        return {"FINISHED"}


class THREEDIMO_OT_choose_take(_OfTake, bpy.types.Operator):
    """Choose a take, or take the choice back."""

    bl_idname = "threedimo.choose_take"
    bl_label = "Choose Take"
    bl_description = "Choose this take and show it: later ones do not displace it. Again undoes the choice"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Choose it and show it, or take the choice back."""
        try:
            found = require_take(self.job_id)
            if found.shot.chosen == self.job_id:
                found.shot.chosen = ""
                return {"FINISHED"}
            take_planes.show_take(found)
        except ThreeDimoError as error:
            return report(self, error)
        found.shot.chosen = self.job_id
        return {"FINISHED"}


class THREEDIMO_OT_use_take(_OfTake, bpy.types.Operator):
    """Show a take elsewhere than on its plane."""

    bl_idname = "threedimo.use_take"
    bl_label = "Use Take"
    bl_description = "Show this take elsewhere than on its plane"
    bl_options = {"REGISTER", "UNDO"}

    target: EnumProperty(
        name="Where",
        items=(
            ("BACKGROUND", "Camera Background", "Behind what the shot's camera sees, in the viewport"),
            ("STRIP", "Sequencer Strip", "At its frames in the sequencer, in a channel that is free"),
        ),
    )

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Show it there."""
        use = take_uses.show_behind_camera if self.target == "BACKGROUND" else take_uses.put_in_sequencer
        try:
            use(require_take(self.job_id))
        except ThreeDimoError as error:
            return report(self, error)
        return {"FINISHED"}


class THREEDIMO_OT_delete_take(_OfTake, bpy.types.Operator):
    """Take a take off the list, and its files off the disk if asked for."""

    bl_idname = "threedimo.delete_take"
    bl_label = "Delete Take"
    bl_description = "Take it off the list, and cancel it if it runs; the plane shows another take then"
    bl_options = {"REGISTER", "UNDO"}

    files: BoolProperty(
        name="Delete its files too",
        description="Also delete the take's frames and its sheet from disk, which no undo brings back",
        default=False,
        options={"SKIP_SAVE"},
    )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Ask about the files first."""
        return context.window_manager.invoke_props_dialog(self)

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Delete it."""
        try:
            folder = take_folder(require_take(self.job_id).take)
            runtime.forget(self.job_id)
            if self.files:
                take_uses.remove_uses(folder)
                delete_files(folder, self.job_id)
        except ThreeDimoError as error:
            return report(self, error)
        return {"FINISHED"}


CLASSES = (
    THREEDIMO_OT_regenerate,
    THREEDIMO_OT_show_take,
    THREEDIMO_OT_step_take,
    THREEDIMO_OT_choose_take,
    THREEDIMO_OT_use_take,
    THREEDIMO_OT_delete_take,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
