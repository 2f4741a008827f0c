# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done with takes: look at them, choose one, make another, delete one."""

import uuid

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from threedimo.errors import InvalidRequest, ThreeDimoError

from . import dispatch, runtime, take_planes, take_uses, waiting
from .jobs import END_STATES
from .operators import report, report_jobs, report_same
from .properties import PLANE_PLACES, ThreeDimoShot
from .take_records import Found, find_take, require_take, take_folder
from .takes import delete_files

_DIALOG_WIDTH_PX = 420
_USES = {
    "BACKGROUND": take_uses.show_behind_camera,
    "STRIP": take_uses.put_in_sequencer,
    "IMAGE": take_uses.make_image,
}


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
            job = self._start()
        except ThreeDimoError as error:
            return report(self, error)
        report_same(self, [job.job_id])
        return {"FINISHED"}

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Start, and wait until the frames are here."""
        try:
            waiting.wait_for_server()
            job = self._start()
            report_same(self, [job.job_id])
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
        try:
            shot = _shot_at(context.scene, self.shot)
            take = take_planes.neighbour(shot, self.step)
            if take is None:
                self.report({"INFO"}, "There is no other take to show")
                return {"CANCELLED"}
            take_planes.show_take(Found(context.scene, shot, take))
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
            ("IMAGE", "Image", "As an image of the file, for textures, the compositor and image editors"),
        ),
    )

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Show it there."""
        try:
            made = _USES[self.target](require_take(self.job_id))
        except ThreeDimoError as error:
            return report(self, error)
        if self.target == "IMAGE":
            self.report({"INFO"}, f"The image is named {made.name}")
        return {"FINISHED"}


class THREEDIMO_OT_place_plane(bpy.types.Operator):
    """Choose how far away the plane of a shot is."""

    bl_idname = "threedimo.place_plane"
    bl_label = "Place Plane"
    bl_description = "Choose how far from the camera the plane of the shot is. It is fitted anew"
    bl_options = {"REGISTER", "UNDO"}

    shot: IntProperty(name="Shot", description="Its place in the scene's list", min=0, options={"SKIP_SAVE"})
    place: EnumProperty(name="Place", items=PLANE_PLACES)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Place it."""
        try:
            take_planes.place_plane(context.scene, _shot_at(context.scene, self.shot), self.place)
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
        """Say which take it is, and ask about the files first."""
        return context.window_manager.invoke_props_dialog(
            self, width=_DIALOG_WIDTH_PX, title="Delete Take", confirm_text="Delete"
        )

    def draw(self, _context: bpy.types.Context) -> None:
        """Draw what goes; where the take is gone, as in the panel of the last operation, the box alone."""
        found = find_take(self.job_id)
        if found is not None:
            for line in _deletion_lines(found, files=self.files):
                self.layout.label(text=line)
        self.layout.prop(self, "files")

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


def _shot_at(scene: bpy.types.Scene, index: int) -> ThreeDimoShot:
    shots = scene.threedimo.shots
    if index >= len(shots):
        raise InvalidRequest("the scene has no such shot", given=index, allowed=f"less than {len(shots)}")
    return shots[index]


def _deletion_lines(found: Found, *, files: bool) -> list[str]:
    """Which take is about to be deleted, and what becomes of its files."""
    _, shot, take = found
    last = shot.frame_start + shot.num_scene_frames - 1
    lines = [f"Shot {shot.name}  {shot.frame_start}-{last}, take {take.number}, seed {take.seed}"]
    if take.state not in END_STATES:
        lines.append("It is still being made, and is cancelled")
    lines.append("Its files are deleted, and no undo brings them back:" if files else "Its files stay:")
    lines.append(str(take_folder(take)))
    return lines


CLASSES = (
    THREEDIMO_OT_regenerate,
    THREEDIMO_OT_show_take,
    THREEDIMO_OT_step_take,
    THREEDIMO_OT_choose_take,
    THREEDIMO_OT_use_take,
    THREEDIMO_OT_place_plane,
    THREEDIMO_OT_delete_take,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
