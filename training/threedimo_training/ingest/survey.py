"""How long a video is and where its shots are cut (PySceneDetect's adaptive detector)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from scenedetect import AdaptiveDetector, FrameTimecode

from threedimo.errors import MediaTooSmall
from threedimo_training.ingest.footage import SampledVideo

_LONGER_SIDE_PX = 256
_PIECE_FRAMES = 256


def survey(video: SampledVideo, num_frames: int) -> tuple[int, tuple[int, ...]]:
    """Look through a whole video once, small.

    Args:
        video: The video.
        num_frames: Frames of a clip.

    Returns:
        Its frames, and those (not 0) with which a new shot begins.

    Raises:
        MediaTooSmall: It is shorter than one clip.
        MediaError: It is damaged, truncated, or changes its size.
    """
    check_length(video, video.announced_frames, num_frames)
    # As its makers advise for moving cameras: a cut must stand out from the frames around it.
    detector = AdaptiveDetector(min_scene_len=1)
    cuts: list[int] = []
    count = 0
    for frame in _small_frames(video):
        # the detector reads blue first, as OpenCV does
        found = detector.process_frame(
            FrameTimecode(count, video.fps), np.ascontiguousarray(frame[..., ::-1])
        )
        cuts += [cut.frame_num for cut in found]
        count += 1
    check_length(video, count, num_frames)
    return count, tuple(cuts)


def clip_starts(num_frames: int, cuts: tuple[int, ...], clip_frames: int) -> list[int]:
    """First frames of the clips: each shot in a row from its beginning; the rest of a shot is too short."""
    shots = pairwise((0, *cuts, num_frames))
    return [start for a, b in shots for start in range(a, b - clip_frames + 1, clip_frames)]


def check_length(video: SampledVideo, have: int, num_frames: int) -> None:
    """Refuse a video that holds not even one clip.

    Raises:
        MediaTooSmall: It does not.
    """
    if have < num_frames:
        raise MediaTooSmall(
            f"{video.path.name} is shorter than one clip",
            given=f"{have} frames at {video.fps:g} a second",
            allowed=f"at least {num_frames}",
            remedy="choose fewer frames a clip, or leave the video out",
        )


def _small_frames(video: SampledVideo) -> Iterator[np.ndarray]:
    scale = min(1.0, _LONGER_SIDE_PX / max(video.info.width, video.info.height))
    size = max(1, round(video.info.width * scale)), max(1, round(video.info.height * scale))
    last = (video.announced_frames - 1) // _PIECE_FRAMES * _PIECE_FRAMES
    for start in range(0, last, _PIECE_FRAMES):
        yield from video.frames(start, start + _PIECE_FRAMES, size=size)
    yield from video.tail(last, size=size)
