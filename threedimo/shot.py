"""The numbers of one shot, checked against what a model makes; needs no torch, so every floor can ask."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from threedimo.errors import InvalidRequest, UnsupportedFrameCount
from threedimo.presets import NO_CACHE, find_preset, read_step_cache
from threedimo.wire.messages import ModelInfo
from threedimo.wire.sizes import check_size

MAX_STEPS = 200
MAX_FPS = 240.0
"""Of the result. Shots of one held frame reach high rates; footage and cameras may be faster still."""
MAX_GUIDANCE = 50.0


@dataclass(frozen=True)
class Shot:
    """What is to be made. Build it with `Shot.checked`, which fills in the model's defaults.

    Args:
        num_frames: Frames of the result, `frame_step * k + 1`.
        fps: Their rate.
        width: Their width in pixels.
        height: Their height in pixels.
        num_inference_steps: Denoising steps of each window.
        text_guidance_scale: How far the result is pushed towards text and camera; 1 is not at all.
        motion_guidance_scale: How far it is pushed towards the driving motion; 1 is not at all.
        seed: Of the noise.
        preset: Name of the preset that the numbers came from, "" for the model's own; for the record.
        step_cache: What of a step is taken over from the one before, see `threedimo.presets`.
    """

    num_frames: int
    fps: float
    width: int
    height: int
    num_inference_steps: int
    text_guidance_scale: float
    motion_guidance_scale: float
    seed: int
    preset: str = ""
    step_cache: str = NO_CACHE

    @classmethod
    def checked(
        cls,
        info: ModelInfo,
        *,
        num_frames: int | None = None,
        fps: float | None = None,
        width: int | None = None,
        height: int | None = None,
        num_inference_steps: int | None = None,
        text_guidance_scale: float | None = None,
        motion_guidance_scale: float | None = None,
        seed: int = 0,
        preset: str = "",
        step_cache: str | None = None,
    ) -> Shot:
        """Fill in the preset's or the model's number for every `None`, and refuse what cannot be made.

        Raises:
            UnsupportedFrameCount: Not `frame_step * k + 1`, or more than `max_frames`.
            UnsupportedSize: See `threedimo.wire.sizes.check_size`.
            InvalidRequest: Another number is out of range, or there is no such preset or step cache.
        """
        chosen = find_preset(info, preset)
        shot = cls(
            num_frames=info.num_frames if num_frames is None else num_frames,
            fps=info.fps if fps is None else fps,
            width=info.width if width is None else width,
            height=info.height if height is None else height,
            num_inference_steps=(
                chosen.num_inference_steps if num_inference_steps is None else num_inference_steps
            ),
            text_guidance_scale=(
                chosen.text_guidance_scale if text_guidance_scale is None else text_guidance_scale
            ),
            motion_guidance_scale=(
                chosen.motion_guidance_scale if motion_guidance_scale is None else motion_guidance_scale
            ),
            seed=seed,
            preset=preset,
            step_cache=chosen.step_cache if step_cache is None else step_cache,
        )
        check_frame_count(shot.num_frames, info)
        check_size(shot.width, shot.height, info)
        _check_range("fps", shot.fps, 1e-3, MAX_FPS)
        _check_range("num_inference_steps", shot.num_inference_steps, 1, MAX_STEPS)
        _check_range("text_guidance_scale", shot.text_guidance_scale, 0, MAX_GUIDANCE)
        _check_range("motion_guidance_scale", shot.motion_guidance_scale, 0, MAX_GUIDANCE)
        _check_range("seed", shot.seed, 0, 2**32 - 1)
        read_step_cache(shot.step_cache, info)
        return shot


def check_frame_count(num_frames: int, info: ModelInfo) -> None:
    """Refuse a number of frames that the model cannot make, naming the nearest that it can.

    One frame alone is refused too: it would be nothing but the reference image.

    Raises:
        UnsupportedFrameCount: Always with the counts to choose from.
    """
    step, fewest = info.frame_step, info.frame_step + 1
    if (num_frames - 1) % step == 0 and fewest <= num_frames <= info.max_frames:
        return
    below = (num_frames - 1) // step * step + 1
    largest = (info.max_frames - 1) // step * step + 1
    nearest = sorted({min(max(count, fewest), largest) for count in (below, below + step)})
    raise UnsupportedFrameCount(
        "the model cannot make this number of frames",
        given=num_frames,
        allowed=f"{step}k+1 frames, from {fewest} to {largest}",
        remedy=f"choose {' or '.join(map(str, nearest))}",
    )


def check_pictures(name: str, pictures: np.ndarray, shape: str) -> None:
    """Refuse what is not uint8 RGB of the wanted shape, such as "(frames, height, width, 3)".

    Raises:
        InvalidRequest: With the shape and type that were given.
    """
    if pictures.dtype != np.uint8 or pictures.ndim != shape.count(",") + 1 or pictures.shape[-1] != 3:
        raise InvalidRequest(
            f"{name} is not uint8 RGB", given=f"{pictures.dtype} {pictures.shape}", allowed=f"uint8 {shape}"
        )
    if 0 in pictures.shape:
        raise InvalidRequest(f"{name} is empty", given=pictures.shape)


def check_driving_length(driving_frames: np.ndarray, shot: Shot) -> None:
    """Refuse driving frames that are not exactly one for every frame of the result.

    Raises:
        InvalidRequest: With both counts.
    """
    if len(driving_frames) != shot.num_frames:
        raise InvalidRequest(
            "there must be one driving frame for every frame of the result",
            given=f"{len(driving_frames)} driving frames for {shot.num_frames} frames",
            remedy="sample the footage at the result's frame rate, as threedimo.media.read_footage does",
        )


def _check_range(name: str, value: float, lowest: float, highest: float) -> None:
    if not (math.isfinite(value) and lowest <= value <= highest):
        raise InvalidRequest(f"{name} is out of range", given=value, allowed=f"{lowest:g} to {highest:g}")
