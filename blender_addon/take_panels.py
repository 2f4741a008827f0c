# SPDX-License-Identifier: GPL-3.0-or-later
"""The shots that were made, with their takes, and the batch. Drawing only, as in `panels`."""

from datetime import datetime

import bpy

from . import runtime
from .batch import num_shots
from .jobs import Job
from .panels import BOX_PX, Tab, THREEDIMO_PT_shot, draw_lines, explain, text_width_px
from .properties import PLANE_PLACES, ThreeDimoShot, ThreeDimoTake
from .session import Session
from .shot_list import draw_list
from .take_records import is_lost, sameness
from .text_lines import wrapped

# A plane that shines is a blank card there.
_WITHOUT_PLANES = ("WIREFRAME", "SOLID")


class THREEDIMO_PT_takes(Tab, bpy.types.Panel):
    """What was made, shot by shot. Not there before the first one."""

    bl_idname = "THREEDIMO_PT_takes"
    bl_label = "Takes"
    bl_parent_id = THREEDIMO_PT_shot.bl_idname

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether anything was made."""
        return bool(context.scene.threedimo.shots)

    def draw(self, context: bpy.types.Context) -> None:
        """Draw a box a shot, the newest first."""
        layout = self.layout
        width_px = text_width_px(context)
        session = runtime.current_session()
        shots = context.scene.threedimo.shots
        if context.space_data.shading.type in _WITHOUT_PLANES and any(shot.plane for shot in shots):
            layout.label(text="Planes are seen in Material Preview", icon="INFO")
        for index in reversed(range(len(shots))):
            _draw_shot(layout.box(), index, shots[index], session, width_px)
        takes = [take for shot in shots for take in shot.takes if _running(take, session) is None]
        if any(is_lost(take) for take in takes):
            layout.operator("threedimo.reattach", icon="FILE_REFRESH")


def _draw_shot(
    box: bpy.types.UILayout, index: int, shot: ThreeDimoShot, session: Session | None, width_px: float
) -> None:
    row = box.row(align=True)
    icon = "DISCLOSURE_TRI_DOWN" if shot.expanded else "DISCLOSURE_TRI_RIGHT"
    row.prop(shot, "expanded", text="", icon=icon, emboss=False)
    last = shot.frame_start + shot.num_scene_frames - 1
    row.label(text=f"{shot.name}  {shot.frame_start}-{last}")
    shown = next((take for take in shot.takes if take.job_id == shot.shown), None)
    if shown is not None:
        _draw_stepper(box.row(align=True), index, shot, shown)  # a row of its own, or the name had no room
    for take in shot.takes:
        _draw_progress(box, take, session)
    for take in shot.takes:
        if take.message and is_lost(take) and (shot.expanded or take == shown or not take.placed):
            explain(box, f"Take {take.number}: {take.message}", width_px)
    for take in shot.takes if shot.expanded else shot.takes[-1:]:
        draw_lines(box, sameness(shot, take), width_px - BOX_PX, "INFO")
    if shot.expanded:
        name = next(name for place, name, _ in PLANE_PLACES if place == shot.plane_place)
        menu = box.operator_menu_enum("threedimo.place_plane", "place", text=f"Plane: {name}")
        menu.shot = index
        for take in reversed(shot.takes):
            _draw_take(box.column(align=True), shot, take, width_px)


def _draw_stepper(row: bpy.types.UILayout, index: int, shot: ThreeDimoShot, shown: ThreeDimoTake) -> None:
    for step, icon in ((-1, "TRIA_LEFT"), (1, "TRIA_RIGHT")):
        side = row.row(align=True)
        side.enabled = any(take.state == "ready" and take != shown for take in shot.takes)
        button = side.operator("threedimo.step_take", text="", icon=icon)
        button.shot, button.step = index, step
        if step < 0:
            row.label(text=f"Take {shown.number}")
    star = "SOLO_ON" if shot.chosen == shown.job_id else "SOLO_OFF"
    row.operator("threedimo.choose_take", text="", icon=star).job_id = shown.job_id
    row.operator("threedimo.regenerate", text="", icon="ADD").job_id = shown.job_id


def _running(take: ThreeDimoTake, session: Session | None) -> Job | None:
    job = session.jobs.get(take.job_id) if session is not None else None
    return None if job is None or job.ended else job


def _draw_progress(box: bpy.types.UILayout, take: ThreeDimoTake, session: Session | None) -> None:
    job = _running(take, session)
    if job is None:
        return
    row = box.row(align=True)
    words = job.sentence() if session.connected or job.state == "preparing" else "waiting for the server"
    row.progress(factor=job.fraction, text=f"Take {take.number}: {words}", type="BAR")
    row.operator("threedimo.cancel", text="", icon="CANCEL").job_id = take.job_id


def _draw_take(column: bpy.types.UILayout, shot: ThreeDimoShot, take: ThreeDimoTake, width_px: float) -> None:
    row = column.row(align=True)
    show = row.row(align=True)
    show.enabled = take.state == "ready"
    icon = "HIDE_OFF" if shot.shown == take.job_id and not shot.plane_hidden else "HIDE_ON"
    show.operator("threedimo.show_take", text="", icon=icon).job_id = take.job_id
    row.label(
        text=f"Take {take.number}, {take.state}", icon="SOLO_ON" if shot.chosen == take.job_id else "BLANK1"
    )
    use = row.row(align=True)
    use.enabled = take.state == "ready"
    menu = use.operator_menu_enum("threedimo.use_take", "target", text="", icon="DOWNARROW_HLT")
    menu.job_id = take.job_id
    row.operator("threedimo.regenerate", text="", icon="ADD").job_id = take.job_id
    row.operator("threedimo.delete_take", text="", icon="X").job_id = take.job_id
    facts = (
        f"Seed {take.seed}, {_local_time(take.queued_at)}",
        f"Model {take.model_id or 'not known yet'}",
        f"Camera {take.camera_hash[:8]}",
        take.text,
    )
    for fact in (*facts, take.made_as):
        for line in wrapped(fact, width_px):
            column.label(text=line)


def _local_time(queued_at: str) -> str:
    try:
        moment = datetime.fromisoformat(queued_at)
    except ValueError:  # a take of an older file
        return queued_at
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


class THREEDIMO_PT_batch(Tab, bpy.types.Panel):
    """All shots at once."""

    bl_idname = "THREEDIMO_PT_batch"
    bl_label = "Batch"
    bl_parent_id = THREEDIMO_PT_shot.bl_idname
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the scenes with how many shots they have, this scene's list of shots, and the button."""
        layout = self.layout
        session = runtime.current_session()
        for scene in bpy.data.scenes:
            row = layout.row()
            row.prop(scene.threedimo, "in_batch", text=scene.name)
            count = num_shots(scene)
            row.label(text="1 shot" if count == 1 else f"{count} shots")
        draw_list(layout, context.scene)
        row = layout.row()
        row.enabled = session is not None and session.connected
        row.operator("threedimo.queue", icon="RENDER_ANIMATION")


CLASSES = (THREEDIMO_PT_takes, THREEDIMO_PT_batch)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
