# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether driving footage lasts as long as its shot: said in the scene's frames, before anything is sent."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from threedimo.errors import MediaTooSmall

from .driving import Driving
from .timeline import FrameMapping

if TYPE_CHECKING:
    from threedimo.wire.messages import ModelInfo

# The server decides by the times that the file holds for its frames; Blender only knows how many and their
# rate, so what is this close to long enough is left to the server.
_SPARE_FRAMES = 2
_ROUNDING = 1e-6


def check_length(driving: Driving, mapping: FrameMapping, model: ModelInfo) -> None:
    """Refuse footage that surely ends before the last frame of the result.

    What is filmed in the scene always lasts, and of a file that Blender cannot read the server says more.

    Raises:
        MediaTooSmall: It ends before; the message names the last scene frame that it reaches.
    """
    if not driving.files:
        return
    num_frames, fps = _extent(driving)
    if not num_frames or not fps:
        return
    covered_s = num_frames / fps - driving.start_s
    last_s = (mapping.num_frames - 1) / mapping.fps
    if last_s < covered_s + _SPARE_FRAMES / fps:
        return
    reached = math.floor(max(covered_s, 0.0) * mapping.scene_fps + _ROUNDING)
    earlier = "an earlier Details > Start or " if driving.start_s > 0 else ""
    reachable = reached > model.frame_step  # a shot of fewer frames is refused
    shorter = f"end the shot at frame {mapping.frame_start + reached - 1}, or " if reachable else ""
    start = f", from {driving.start_s:.2f} s on" if driving.start_s > 0 else ""
    raise MediaTooSmall(
        "the driving footage ends before the shot does",
        given=f"{driving.files[0].name}: {num_frames / fps:.2f} s{start}",
        allowed=f"at least {mapping.num_scene_frames / mapping.scene_fps:.2f} s, as long as the shot",
        remedy=f"{shorter}choose {earlier}longer footage",
    )


def _extent(driving: Driving) -> tuple[int, float]:
    """Frames, and frames per second; zeros of a video that Blender cannot read."""
    if driving.fps is not None:
        return len(driving.files), driving.fps
    return _video_extent(driving.files[0])


def _video_extent(file: Path) -> tuple[int, float]:
    try:
        clip = bpy.data.movieclips.load(str(file))
    except RuntimeError:
        return 0, 0.0
    try:
        return clip.frame_duration, clip.fps
    finally:
        bpy.data.movieclips.remove(clip)
