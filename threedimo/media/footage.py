"""Driving footage, sampled at a shot's times: one video, or an image sequence with a frame rate.

Notable: sampling asks which frame is *on screen* at a time, so it is exact for variable frame rates too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from threedimo.errors import EmptyMedia, InvalidRequest, MediaTooLarge, MediaTooSmall, UnreadableMedia
from threedimo.media.images import image_size, read_image
from threedimo.media.limits import DEFAULT_LIMITS, MediaLimits
from threedimo.media.pixels import fit_frames
from threedimo.media.video import VideoInfo, open_video, probe_video, shown_frames

FRAME_STEP = 4
"""A causal video VAE that compresses time four times makes 4k+1 frames."""

_EARLY = 0.1
"""A frame counts as on screen from this part of a frame before its stored time, so that rounding of stored
times, and rates such as 23.98 for 24000/1001, do not show the frame before it twice."""

_MISSING_FRAMES = 2
"""A file that ends this many frames before it says is truncated; less is how writers round."""


@dataclass(frozen=True)
class Sampling:
    """The times at which a shot looks at its footage: `start_s + i / sample_fps` for `num_frames` frames."""

    start_s: float
    num_frames: int
    sample_fps: float

    def __post_init__(self) -> None:
        if self.num_frames < 1 or not (math.isfinite(self.start_s) and self.start_s >= 0):
            raise InvalidRequest(
                "the part of the footage to read is out of range",
                given=f"{self.num_frames} frames from {self.start_s} s",
                allowed="at least 1 frame, from 0 s or later",
            )
        _check_rate("sample_fps", self.sample_fps)

    @property
    def last_s(self) -> float:
        """The time of the last sample."""
        return self.start_s + (self.num_frames - 1) / self.sample_fps

    def index_before(self, time_s: float) -> int:
        """How many samples lie before `time_s`."""
        return min(self.num_frames, max(0, math.ceil((time_s - self.start_s) * self.sample_fps)))


def read_footage(
    files: Sequence[str | Path],
    *,
    fps: float | None,
    start_s: float,
    num_frames: int,
    sample_fps: float,
    size: tuple[int, int] | None = None,
    limits: MediaLimits = DEFAULT_LIMITS,
) -> np.ndarray:
    """Sample footage: frame i is what is on screen `start_s + i / sample_fps` seconds after its first frame.

    Only what is needed is decoded, one frame at a time. Rotation flags are applied, pixels become square.

    Args:
        files: One video file, or the pictures of an image sequence in order.
        fps: Frame rate of the image sequence; None for a video, whose own times count.
        start_s: Where in the footage the shot starts, in seconds.
        num_frames: Frames to sample.
        sample_fps: Frames per second to sample.
        size: `(width, height)` that each frame is cut and resized to (see `fit_frames`) as it is read, so
            that large footage needs little memory; None keeps the footage's size.
        limits: How large the footage may be.

    Returns:
        `(num_frames, height, width, 3)` uint8 RGB.

    Raises:
        UnreadableMedia: Missing, damaged, truncated, not a video, or without a picture.
        EmptyMedia: No files, no bytes or no frames.
        MediaTooSmall: Under 16 pixels on a side, or it ends before the shot does; the message names the frame
            counts that fit.
        MediaTooLarge: Over a limit of `limits`.
        InvalidRequest: Several files without `fps`, or numbers out of range.
    """
    paths = _checked_paths(files, fps)
    sampling = Sampling(start_s, num_frames, sample_fps)
    if fps is None:
        frames = _sampled_video(paths[0], sampling, limits)
    else:
        frames = _sampled_sequence(paths, fps, sampling, limits)
    clip = np.empty((0, 0, 0, 3), np.uint8)
    for index, frame in enumerate(frames):
        fitted = frame if size is None else fit_frames(frame, *size)
        if index == 0:
            clip = _empty_clip(num_frames, fitted.shape, limits)
        elif fitted.shape != clip.shape[1:]:
            raise UnreadableMedia(
                "the footage changes its size on the way",
                given=f"{fitted.shape[1]}x{fitted.shape[0]} after {clip.shape[2]}x{clip.shape[1]} pixels",
                remedy="export it with one size",
            )
        clip[index] = fitted
    return clip


def probe_footage(
    files: Sequence[str | Path], *, fps: float | None, limits: MediaLimits = DEFAULT_LIMITS
) -> VideoInfo:
    """Size, rate and length of footage, decoding at most one frame; arguments and errors as there."""
    paths = _checked_paths(files, fps)
    if fps is None:
        return probe_video(paths[0], limits=limits)
    sizes = {image_size(path, limits) for path in paths}
    if len(sizes) > 1:
        raise UnreadableMedia(
            "the pictures of the sequence differ in size",
            given=", ".join(f"{width}x{height}" for width, height in sorted(sizes)),
            remedy="export the sequence with one size",
        )
    width, height = sizes.pop()
    return VideoInfo(width, height, fps, len(paths), len(paths) / fps)


def frame_counts_that_fit(info: VideoInfo, sample_fps: float, *, start_s: float = 0.0) -> list[int]:
    """The frame counts of the form 4k+1 for which footage lasts, smallest first; empty if none does."""
    covered_s = info.duration_s - start_s - _early_s(info.fps, sample_fps)
    return list(range(1, math.ceil(covered_s * sample_fps) + 1, FRAME_STEP))


def check_covers(info: VideoInfo, sampling: Sampling, name: str) -> None:
    """Refuse footage that ends before the shot's last frame.

    Raises:
        MediaTooSmall: It does; the message names frame counts that fit, if any does that a model makes.
    """
    if sampling.last_s < info.duration_s - _early_s(info.fps, sampling.sample_fps):
        return
    counts = frame_counts_that_fit(info, sampling.sample_fps, start_s=sampling.start_s)
    earlier = "an earlier start or " if sampling.start_s > 0 else ""
    # No model makes one frame alone, so that such a count would be bad advice.
    if len(counts) > 1:
        fitting = ", ".join(str(count) for count in counts[1:][-3:])
        allowed, fewer = f"at most {counts[-1]} frames (such as {fitting})", "fewer frames or "
    else:
        allowed, fewer = "footage that lasts as long as the shot" if counts else "a start before the end", ""
    raise MediaTooSmall(
        f"the driving footage ends before the shot does: {sampling.num_frames} frames at "
        f"{sampling.sample_fps:g} fps from {sampling.start_s:g} s on last until {sampling.last_s:.2f} s",
        given=f"{name}: {info.duration_s:.2f} s",
        allowed=allowed,
        remedy=f"choose {fewer}{earlier}longer footage",
    )


def _early_s(footage_fps: float, sample_fps: float) -> float:
    return _EARLY / max(footage_fps, sample_fps)


def _checked_paths(files: Sequence[str | Path], fps: float | None) -> list[Path]:
    if not files:
        raise EmptyMedia(
            "there is no driving footage", allowed="one video file, or the pictures of a sequence"
        )
    if fps is not None:
        _check_rate("fps", fps)
    elif len(files) > 1:
        raise InvalidRequest(
            "several files are an image sequence, which needs its frame rate",
            given=f"{len(files)} files and no frame rate",
            remedy="give the frames per second of the sequence, or a single video file",
        )
    return [Path(file) for file in files]


def _check_rate(name: str, fps: float) -> None:
    if not (math.isfinite(fps) and fps > 0):
        raise InvalidRequest(f"{name} is not a frame rate", given=fps, allowed="a number over 0")


def _sampled_video(path: Path, sampling: Sampling, limits: MediaLimits) -> Iterator[np.ndarray]:
    with open_video(path, limits) as video:
        early_s = _early_s(video.fps, sampling.sample_fps)
        done, end_s = 0, None
        for shown in shown_frames(video, sampling.start_s):
            end_s = shown.end_s
            seen = sampling.index_before(end_s - early_s)
            if seen > done:
                pixels = shown.rgb()
                for _ in range(seen - done):
                    yield pixels
                done = seen
            if done == sampling.num_frames:
                return
        declared_s = video.duration_s
    if end_s is None:
        raise EmptyMedia("no frame can be decoded from the video", given=path.name)
    if declared_s is not None and end_s < declared_s - _MISSING_FRAMES / video.fps:
        raise UnreadableMedia(
            "the video is truncated: its frames end before the shot does, and before the file says",
            given=f"{path.name}: {end_s:.2f} s can be decoded of {declared_s:.2f} s, and the shot needs "
            f"{sampling.last_s:.2f} s",
            remedy="export or copy it again",
        )
    check_covers(
        VideoInfo(video.stream.width, video.stream.height, video.fps, None, end_s), sampling, path.name
    )


def _sampled_sequence(
    files: list[Path], fps: float, sampling: Sampling, limits: MediaLimits
) -> Iterator[np.ndarray]:
    check_covers(
        probe_footage(files, fps=fps, limits=limits), sampling, f"{len(files)} pictures at {fps:g} fps"
    )
    shown_index, pixels = -1, np.empty(0, np.uint8)
    for i in range(sampling.num_frames):
        time_s = sampling.start_s + i / sampling.sample_fps
        index = math.floor((time_s + _early_s(fps, sampling.sample_fps)) * fps)
        if index != shown_index:
            shown_index, pixels = index, read_image(files[index], limits=limits)
        yield pixels


def _empty_clip(num_frames: int, shape: tuple[int, ...], limits: MediaLimits) -> np.ndarray:
    num_bytes = num_frames * math.prod(shape)
    if num_bytes > limits.max_clip_bytes:
        raise MediaTooLarge(
            "the sampled footage is too large to hold in memory",
            given=f"{num_frames} frames of {shape[1]}x{shape[0]} pixels, {num_bytes / 1024**3:.2f} GiB",
            allowed=f"at most {limits.max_clip_bytes / 1024**3:.2f} GiB",
            remedy="choose fewer frames, or scale the footage down",
        )
    return np.empty((num_frames, *shape), np.uint8)
