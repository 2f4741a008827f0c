# SPDX-License-Identifier: GPL-3.0-or-later
"""Shot frames and model frames: how many to ask for, at which rate, and which one each scene frame shows.

No bpy here. Time is kept in whole numbers: a result of N frames is spread evenly over the n scene frames of
the shot, so scene frame `j` of the shot (0-based) shows result frame `j * N // n`, the one that is on at that
time.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from threedimo.errors import UnsupportedFrameCount

if TYPE_CHECKING:
    from threedimo.wire.messages import ModelInfo

# Below this share of the rate that the model was trained at, motion looks slowed down to it.
LOWEST_RATE = 0.5


@dataclass(frozen=True)
class FrameMapping:
    """A shot of the scene and the result that covers it.

    Attributes:
        frame_start: The scene frame that shows result frame 0.
        num_scene_frames: Length of the shot in scene frames, at least 1.
        scene_fps: Frames per second of the scene.
        num_frames: Length of the result in frames, at least 1.
    """

    frame_start: int
    num_scene_frames: int
    scene_fps: float
    num_frames: int

    @property
    def fps(self) -> float:
        """Frames per second of the result: both cover the same time."""
        return self.num_frames * self.scene_fps / self.num_scene_frames

    @property
    def frame_end(self) -> int:
        """The last scene frame of the shot."""
        return self.frame_start + self.num_scene_frames - 1

    def result_frames(self) -> list[int]:
        """For every scene frame of the shot, in order, the result frame that it shows."""
        return [j * self.num_frames // self.num_scene_frames for j in range(self.num_scene_frames)]

    def result_frame_at(self, scene_frame: int) -> int:
        """The result frame shown at a scene frame; before the shot its first, after it its last."""
        inside = min(max(scene_frame, self.frame_start), self.frame_end)
        return (inside - self.frame_start) * self.num_frames // self.num_scene_frames

    def sentence(self) -> str:
        """The mapping in words: "shot 96 frames at 24 fps -> model 49 frames at 12.25 fps; held 2".

        `held` is the number of scene frames that most result frames stay on.
        """
        held = Counter(Counter(self.result_frames()).values()).most_common(1)[0][0]
        return (
            f"shot {self.num_scene_frames} frames at {_rate(self.scene_fps)} fps -> "
            f"model {self.num_frames} frames at {_rate(self.fps)} fps; held {held}"
        )


def _rate(fps: float) -> str:
    return f"{fps:.3f}".rstrip("0").rstrip(".")


def plan(frame_start: int, frame_end: int, scene_fps: float, model: ModelInfo) -> FrameMapping:
    """Choose the result that covers the scene frames `frame_start` to `frame_end`, both included.

    Of the lengths that the model can make (its frame step times k, plus 1) it takes the one whose rate is
    nearest to the model's own, never more frames than the scene would show.

    Raises:
        UnsupportedFrameCount: The shot is too short for the shortest result, or so long that the longest
            result would run at less than half of the model's rate.
    """
    num_scene_frames = frame_end - frame_start + 1
    shortest = model.frame_step + 1
    if num_scene_frames < shortest:
        raise UnsupportedFrameCount(
            "the shot is too short",
            given=f"{max(num_scene_frames, 0)} scene frames",
            allowed=f"at least {shortest}",
            remedy=f"set the scene's last frame to {frame_start + shortest - 1} or later",
        )
    wanted = num_scene_frames / scene_fps * model.fps
    most = _floor_count(min(num_scene_frames, model.max_frames), model.frame_step)
    nearest = model.frame_step * round((wanted - 1) / model.frame_step) + 1
    mapping = FrameMapping(frame_start, num_scene_frames, scene_fps, min(max(nearest, shortest), most))
    if mapping.num_frames < LOWEST_RATE * wanted and num_scene_frames > model.max_frames:
        longest = int(
            _floor_count(model.max_frames, model.frame_step) / (LOWEST_RATE * model.fps) * scene_fps
        )
        raise UnsupportedFrameCount(
            "the shot is longer than the model can make",
            given=f"{num_scene_frames} scene frames",
            allowed=f"at most {longest} at {_rate(scene_fps)} fps",
            remedy=f"set the scene's last frame to {frame_start + longest - 1} or earlier, or split it",
        )
    return mapping


def _floor_count(frames: int, step: int) -> int:
    return (frames - 1) // step * step + 1
