# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes on the plane of their shot: one plane a shot, which shows one take at a time, also as it denoises."""

from __future__ import annotations

from collections.abc import Sequence

import bpy

from threedimo.camera import CameraPath
from threedimo.errors import InvalidCameraPath, InvalidRequest, ThreeDimoError, UnreadableMedia

from .image_plane import PlanePlace, fit_plane, make_plane, remove_plane, set_visibility
from .jobs import END_STATES, PLANE_FOLDER
from .plane_material import (
    blank_plane,
    image_in_memory,
    is_blank,
    match_view,
    show_frames,
    show_image,
)
from .properties import ThreeDimoShot, ThreeDimoTake
from .take_records import Found, take_folder, take_mapping
from .takes import CAMERA_FILE, is_complete
from .timeline import FrameMapping


def place_take(found: Found) -> None:
    """Bring a take that has just arrived to its plane, unless another one was chosen for good.

    Raises:
        ThreeDimoError: As `show_take`.
    """
    if _may_be_seen(found):
        show_take(found)
    found.take.placed = True


def show_take(found: Found) -> None:
    """Show a take on the plane of its shot; the plane is made with the first one.

    The plane is fitted anew only if camera, picture size or place were others, so that a person's own changes
    to it last.

    Raises:
        InvalidRequest: The take is not done yet.
        UnreadableMedia: Its frames are no longer on disk, or cannot be read.
        InvalidCameraPath: The camera was deleted, or its path is not on disk any more.
        InvalidScene: The plane's material was changed so that it cannot show frames.
    """
    scene, shot, take = found
    require_frames(shot, take)
    frames, mapping = take_folder(take) / PLANE_FOLDER, take_mapping(shot, take)
    plane = _fitted_plane(found, _frame_size(take))
    show_frames(plane, frames, mapping)
    match_view(plane, scene)
    shot.shown, shot.previewed, take.placed, take.message = take.job_id, "", True, ""
    _let_be_seen(scene, shot, plane, mapping)


def place_plane(scene: bpy.types.Scene, shot: ThreeDimoShot, place: PlanePlace) -> None:
    """Choose how far away the plane of a shot is, and fit it anew, also if it is there already.

    Raises:
        ThreeDimoError: As `show_take`; the plane stays where it was.
    """
    before = shot.plane_place, shot.fitted
    shot.plane_place, shot.fitted = place, ""
    take = next((take for take in shot.takes if take.job_id == shot.shown), None)
    if take is None or shot_plane(scene, shot) is None:
        return  # the next one is made there
    try:
        require_frames(shot, take)
        _fitted_plane(Found(scene, shot, take), _frame_size(take))
    except ThreeDimoError:
        shot.plane_place, shot.fitted = before
        raise


def show_preview(found: Found, jpeg: bytes) -> bool:
    """Show how a take looks by now on the plane of its shot, unless another take was chosen for good.

    Returns:
        Whether it can be seen.

    Raises:
        ThreeDimoError: As `show_take`, or it is no picture.
    """
    scene, shot, take = found
    if not _may_be_seen(found):
        return False
    image = image_in_memory(jpeg)
    try:
        plane = _fitted_plane(found, image.size)
        show_image(plane, image)
        match_view(plane, scene)
    except ThreeDimoError:
        bpy.data.images.remove(image)
        raise
    if shot.previewed != take.job_id:
        shot.previewed = take.job_id
        _let_be_seen(scene, shot, plane, take_mapping(shot, take))
    return True


def end_preview(found: Found) -> None:
    """Take a preview off its plane: for the take that was shown before, or the plane goes with it.

    Raises:
        ThreeDimoError: As `show_take`.
    """
    scene, shot, take = found
    if shot.previewed != take.job_id:
        return
    shot.previewed = ""
    before = next((other for other in showable_takes(shot) if other.job_id == shot.shown), None)
    if before is not None:
        show_take(Found(scene, shot, before))
        return
    _remove_plane(shot)
    for other in reversed(_others_in_the_way(scene, shot)):
        back = next((each for each in showable_takes(other) if each.job_id == other.shown), None)
        if back is not None:
            show_take(Found(scene, other, back))
            return


def _may_be_seen(found: Found) -> bool:
    chosen = next((take for take in found.shot.takes if take.job_id == found.shot.chosen), None)
    return chosen is None or chosen.job_id == found.take.job_id or shot_plane(found.scene, found.shot) is None


def _fitted_plane(found: Found, size: Sequence[int]) -> bpy.types.Object:
    """The plane of a take's shot, made if there is none, fitted to the take's camera and pictures."""
    scene, shot, take = found
    width, height = size
    plane, fit = shot_plane(scene, shot), f"{take.camera_hash} {width}x{height}"
    if shot.plane_place != "SUBJECT":
        fit += f" {shot.plane_place}"
    if plane is None or shot.fitted != fit:
        if shot.camera is None:
            raise InvalidCameraPath(
                "the camera of this job is no longer in the file",
                given=take.label,
                remedy=f"take the frames from {take_folder(take) / PLANE_FOLDER}",
            )
        path = CameraPath.from_json(take_folder(take) / CAMERA_FILE).for_size(width, height)
        if plane is None:
            plane = make_plane(scene, shot.camera, f"3DiMo {take.label}")
        fit_plane(plane, scene, shot.camera, path, take_mapping(shot, take), shot.plane_place)
        shot.plane, shot.fitted = plane, fit
    return plane


def _remove_plane(shot: ThreeDimoShot) -> None:
    if shot.plane is not None:
        remove_plane(shot.plane)
    shot.plane, shot.shown, shot.fitted = None, "", ""


def shot_plane(scene: bpy.types.Scene, shot: ThreeDimoShot) -> bpy.types.Object | None:
    """The plane of a shot, or None if there is none in the scene: deleted ones live on in the record."""
    plane = shot.plane
    return plane if plane is not None and scene.objects.get(plane.name) == plane else None


def showable_takes(shot: ThreeDimoShot) -> list[ThreeDimoTake]:
    """The takes that are done and whose frames are there, in order."""
    return [take for take in shot.takes if take.state == "ready" and has_frames(shot, take)]


def neighbour(shot: ThreeDimoShot, step: int) -> ThreeDimoTake | None:
    """The take that is `step` places away from the shown one, round the end; None if there is no other."""
    showable = showable_takes(shot)
    others = [take for take in showable if take.job_id != shot.shown]
    if not others:
        return None
    position = next((i for i, take in enumerate(showable) if take.job_id == shot.shown), None)
    if position is None:
        return others[0 if step > 0 else -1]
    return showable[(position + step) % len(showable)]


def release_take(found: Found) -> None:
    """Let another take have the plane before this one is removed; the last one's plane goes with it."""
    scene, shot, take = found
    end_preview(found)
    if shot.shown != take.job_id:
        return
    other = neighbour(shot, -1)
    if other is not None:
        show_take(Found(scene, shot, other))
        return
    _remove_plane(shot)


def check_plane(scene: bpy.types.Scene, shot: ThreeDimoShot) -> bool:
    """Turn a plane grey whose frames are gone, or bring back those that are there again; follow the view.

    Undo may bring back the preview of a take that has long ended: it goes again.

    Returns:
        Whether something changed.
    """
    if shot.previewed:
        return _end_stale_preview(scene, shot)
    plane = shot_plane(scene, shot)
    if plane is not None and match_view(plane, scene):
        return True
    take = next((take for take in shot.takes if take.job_id == shot.shown), None)
    if plane is None or take is None or is_blank(plane) == (not has_frames(shot, take)):
        return False
    try:
        if is_blank(plane):
            show_frames(plane, take_folder(take) / PLANE_FOLDER, take_mapping(shot, take))
            match_view(plane, scene)
            take.message = ""
        else:
            take.message = str(_frames_are_gone(take))
            blank_plane(plane)
    except ThreeDimoError as error:
        changed = take.message != str(error)
        take.message = str(error)
        return changed
    return True


def _end_stale_preview(scene: bpy.types.Scene, shot: ThreeDimoShot) -> bool:
    take = next((take for take in shot.takes if take.job_id == shot.previewed), None)
    if take is None:
        shot.previewed = ""
    elif take.state not in END_STATES:
        return False
    else:
        found = Found(scene, shot, take)
        try:
            end_preview(found)
            if take.state == "ready":
                place_take(found)
        except ThreeDimoError as error:
            take.message = str(error)
    return True


def require_frames(shot: ThreeDimoShot, take: ThreeDimoTake) -> None:
    """Refuse a take that cannot be shown.

    Raises:
        InvalidRequest: It is not done yet.
        UnreadableMedia: Its frames are no longer on disk.
    """
    if take.state != "ready":
        raise InvalidRequest(
            "this take has no frames yet", given=f"take {take.number}, {take.state}", remedy="wait for it"
        )
    if not has_frames(shot, take):
        raise _frames_are_gone(take)


def has_frames(shot: ThreeDimoShot, take: ThreeDimoTake) -> bool:
    """Whether every frame of a take is on disk."""
    return is_complete(take_folder(take) / PLANE_FOLDER, shot.num_scene_frames)


def _frames_are_gone(take: ThreeDimoTake) -> UnreadableMedia:
    return UnreadableMedia(
        f"the frames of take {take.number} are no longer on disk",
        given=take_folder(take) / PLANE_FOLDER,
        remedy="put them back, fetch them again with Reattach Jobs, or show another take",
    )


def _let_be_seen(
    scene: bpy.types.Scene, shot: ThreeDimoShot, plane: bpy.types.Object, mapping: FrameMapping
) -> None:
    set_visibility(plane, scene, mapping, "shot" if shot.is_cut else "always")
    shot.plane_hidden = False
    for other in _others_in_the_way(scene, shot):
        other_plane = shot_plane(scene, other)
        if other_plane is not None:
            set_visibility(other_plane, scene, take_mapping(other, other.takes[0]), "hidden")
            other.plane_hidden = True


def _others_in_the_way(scene: bpy.types.Scene, shown: ThreeDimoShot) -> list[ThreeDimoShot]:
    """Two planes before one camera at one time would lie in each other."""
    found = []
    for shot in scene.threedimo.shots:
        if shot == shown or shot.camera != shown.camera or not shot.takes:
            continue
        overlap = (
            shot.frame_start < shown.frame_start + shown.num_scene_frames
            and shown.frame_start < shot.frame_start + shot.num_scene_frames
        )
        if overlap or not (shot.is_cut and shown.is_cut):
            found.append(shot)
    return found


def _frame_size(take: ThreeDimoTake) -> tuple[int, int]:
    frame = take_folder(take) / PLANE_FOLDER / "00000.png"
    image = bpy.data.images.load(str(frame), check_existing=False)
    try:
        width, height = image.size
    finally:
        bpy.data.images.remove(image)
    if not width or not height:
        raise UnreadableMedia("a frame of the result cannot be read", given=frame)
    return width, height
