# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the motion comes from: a file, a movie clip of Blender's, or a performer in the scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import bpy

from threedimo.errors import EmptyMedia, UnreadableMedia

from .performer import Performer, performer_of_collection, performer_of_object
from .scene_camera import scene_fps
from .sequence import is_picture, sequence_from


@dataclass(frozen=True)
class Driving:
    """The motion of a shot.

    Attributes:
        files: One video, or the pictures of a sequence in order; none yet while `performer` is to be filmed.
        fps: Frames per second of pictures; None for a video.
        start_s: Where in them the motion begins.
        performer: Who is to be filmed over the frames of the shot.
    """

    files: tuple[Path, ...]
    fps: float | None
    start_s: float
    performer: Performer | None = None


def read_driving(scene: bpy.types.Scene) -> Driving:
    """The motion that the panel names, as it stands now.

    Raises:
        MediaError: A file is not chosen, missing or empty.
        InvalidScene: There is nobody to film.
    """
    settings = scene.threedimo
    match settings.driving_source:
        case "OBJECT":
            return _filmed(scene, performer_of_object(scene, settings.driving_object))
        case "COLLECTION":
            return _filmed(scene, performer_of_collection(scene, settings.driving_collection))
        case "CLIP":
            return _of_clip(scene, settings.driving_clip)
        case _:
            footage = input_file(settings.driving_footage, "driving footage")
            return _of_file(footage, settings.driving_fps, settings.driving_start_s)


def input_file(given: str, what: str) -> Path:
    """A file that a person chose.

    Raises:
        UnreadableMedia: It is not chosen or not there.
        EmptyMedia: It has no bytes.
    """
    if not given:
        raise UnreadableMedia(f"no {what} is chosen", remedy="choose a file in the panel")
    path = Path(bpy.path.abspath(given))
    if not path.is_file():
        raise UnreadableMedia(f"the {what} is not there", given=path, remedy="choose the file again")
    if path.stat().st_size == 0:
        raise EmptyMedia(f"the {what} is an empty file", given=path, remedy="choose another file")
    return path


def _of_file(footage: Path, fps: float, start_s: float) -> Driving:
    if is_picture(footage):
        return Driving(tuple(sequence_from(footage)), fps, start_s)
    return Driving((footage,), None, start_s)


def _of_clip(scene: bpy.types.Scene, clip: bpy.types.MovieClip | None) -> Driving:
    if clip is None:
        raise UnreadableMedia("no movie clip is chosen as the driver", remedy="choose one under Driving")
    path = bpy.path.abspath(clip.filepath, library=clip.library)
    footage = input_file(path, f"file of the movie clip {clip.name}")
    # A clip of pictures has no rate of its own: Blender shows one a scene frame.
    return _of_file(footage, clip.fps or scene_fps(scene), scene.threedimo.driving_start_s)


def _filmed(scene: bpy.types.Scene, performer: Performer) -> Driving:
    """Filmed over the very frames of the shot: it begins where they do."""
    return Driving((), scene_fps(scene), 0.0, performer)
