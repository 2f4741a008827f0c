# SPDX-License-Identifier: GPL-3.0-or-later
"""What a batch consists of: the shots of each scene, from its list or cut where markers bind cameras."""

from __future__ import annotations

from itertools import pairwise

import bpy

from threedimo.errors import InvalidCameraPath, InvalidRequest, InvalidScene

from .properties import ThreeDimoListedShot
from .shots import Shot, single_shot


def scene_shots(scene: bpy.types.Scene) -> list[Shot]:
    """The shots of a scene, in order.

    A scene with a list of shots has those. Otherwise, without a camera in the panel, each marker that binds
    one begins a shot that lasts to the next such marker or the end of the frame range; the first also has the
    frames before it, as in Blender itself. With a camera there, or without such markers, the frame range is
    one shot.

    Raises:
        InvalidCameraPath: The scene, or a shot of its list, has no camera.
        InvalidScene: A shot of the list ends before it begins.
        InvalidRequest: One custom text would be sent with several shots.
    """
    listed, cuts = scene.threedimo.listed_shots, _cuts(scene)
    if not listed and (scene.threedimo.camera is not None or not cuts):
        return [single_shot(scene)]
    count = len(listed) or len(cuts)
    if count > 1 and scene.threedimo.use_custom_text:
        raise InvalidRequest(
            "a custom text describes one shot",
            given=f"{count} shots in scene {scene.name}",
            remedy="untick Custom text, so that each camera is described by itself",
        )
    if listed:
        return [
            Shot(scene, each.camera, each.name, _listed_frames(scene, each), is_cut=count > 1)
            for each in listed
        ]
    starts = [scene.frame_start, *(marker.frame for marker in cuts[1:]), scene.frame_end + 1]
    return [
        Shot(scene, marker.camera, marker.name, range(*frames), is_cut=len(cuts) > 1)
        for marker, frames in zip(cuts, pairwise(starts), strict=True)
    ]


def num_shots(scene: bpy.types.Scene) -> int:
    """How many shots `scene_shots` finds. Cheap enough to draw."""
    if scene.threedimo.listed_shots:
        return len(scene.threedimo.listed_shots)
    return 1 if scene.threedimo.camera is not None else max(1, len(_cuts(scene)))


def batch_shots(scenes: list[bpy.types.Scene]) -> list[Shot]:
    """All shots of these scenes.

    Raises:
        InvalidScene: There are none.
        InvalidCameraPath, InvalidRequest: As `scene_shots`.
    """
    shots = [shot for scene in scenes for shot in scene_shots(scene)]
    if not shots:
        raise InvalidScene("no scene is in the batch", remedy="tick one under Batch")
    return shots


def batch_scenes(names: list[str]) -> list[bpy.types.Scene]:
    """The scenes with these names; without names those that are ticked.

    Raises:
        InvalidScene: There is no scene of that name.
    """
    if not names:
        return [scene for scene in bpy.data.scenes if scene.threedimo.in_batch]
    for name in names:
        if name not in bpy.data.scenes:
            raise InvalidScene(
                "no such scene", given=name, allowed=", ".join(scene.name for scene in bpy.data.scenes)
            )
    return [bpy.data.scenes[name] for name in names]


def _listed_frames(scene: bpy.types.Scene, listed: ThreeDimoListedShot) -> range:
    if listed.camera is None:
        raise InvalidCameraPath(
            "a listed shot has no camera",
            given=f"{listed.name} of {scene.name}",
            remedy="choose its camera under Batch, or take it off the list",
        )
    if listed.frame_end < listed.frame_start:
        raise InvalidScene(
            "a listed shot ends before it begins",
            given=f"{listed.name} of {scene.name}: {listed.frame_start} to {listed.frame_end}",
            remedy="correct its frames under Batch",
        )
    return range(listed.frame_start, listed.frame_end + 1)


def _cuts(scene: bpy.types.Scene) -> list[bpy.types.TimelineMarker]:
    """The markers whose camera is on at some frame of the scene's range; of two at one frame the first."""
    markers = {
        marker.frame: marker for marker in reversed(list(scene.timeline_markers)) if marker.camera is not None
    }
    frames = sorted(markers)
    before = [frame for frame in frames if frame <= scene.frame_start][-1:]
    inside = [frame for frame in frames if scene.frame_start < frame <= scene.frame_end]
    # Before the first marker its camera is on already; one that comes after the range counts for all of it.
    on = before + inside or frames[:1]
    return [markers[frame] for frame in on]
