"""One video file: what it holds, and its frames as a viewer would show them, each with its time.

Notable: a file that stops decoding is an error with the time of the damage, never a shorter clip.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from threedimo.errors import EmptyMedia, MediaTooLarge, UnreadableMedia
from threedimo.media.images import MID_GREY
from threedimo.media.limits import DEFAULT_LIMITS, MediaLimits, check_file, check_size

SAVE_AGAIN = "save it again as MP4 or MKV"
ALLOWED_VIDEOS = "MP4, MOV, MKV, WebM, AVI, MPEG, FLV, WMV, MXF, OGV or GIF video"
# Not everything that FFmpeg knows: playlists and scripts among its formats open other files and addresses.
_OPEN_OPTIONS = {
    "format_whitelist": "mov,matroska,avi,mpegts,mpeg,flv,asf,mxf,ogg,gif",
    "protocol_whitelist": "file",
}
_SEEK_MARGIN_S = 2.0
_ITU709, _UNSPECIFIED = 1, 2  # codes of the colour matrix, ITU-T H.273
_HD_HEIGHT = 720


@dataclass(frozen=True)
class VideoInfo:
    """What footage holds, as it will be shown.

    Attributes:
        width: Pixels, after rotation and with square pixels.
        height: Pixels, after rotation.
        fps: Frames per second on average.
        num_frames: Frames if the file tells, else None.
        duration_s: Seconds from the first frame to the end of the last.
    """

    width: int
    height: int
    fps: float
    num_frames: int | None
    duration_s: float


@dataclass(frozen=True)
class OpenVideo:
    """A video file that is being read, and its picture stream."""

    path: Path
    container: InputContainer
    stream: VideoStream

    @property
    def fps(self) -> float:
        """Frames per second on average.

        Raises:
            UnreadableMedia: The file does not tell.
        """
        rate = self.stream.average_rate or self.stream.guessed_rate
        if not rate:
            raise UnreadableMedia(
                "the video does not tell its frame rate", given=self.path.name, remedy=SAVE_AGAIN
            )
        return float(rate)

    @property
    def duration_s(self) -> float | None:
        """The duration that the file announces, in seconds."""
        if self.stream.duration is not None and self.stream.time_base is not None:
            return float(self.stream.duration * self.stream.time_base)
        return None if self.container.duration is None else self.container.duration / av.time_base

    def decoded_from(self, time_s: float) -> Iterator[VideoFrame]:
        """Frames from the key frame before `time_s` (in the file's own clock) on."""
        self.container.seek(int(time_s / (self.stream.time_base or 1)), stream=self.stream)
        return self.container.decode(self.stream)


@dataclass(frozen=True)
class ShownFrame:
    """A decoded frame and the time span in which it is on screen; the first frame of a file begins at 0 s."""

    frame: VideoFrame
    begin_s: float
    end_s: float
    pixel_aspect: Fraction | None

    def rgb(self) -> np.ndarray:
        """`(height, width, 3)` uint8 RGB, upright and with square pixels."""
        return _upright(_square_rgb(self.frame, self.pixel_aspect), _display_matrix(self.frame))


def probe_video(source: Path, *, limits: MediaLimits = DEFAULT_LIMITS) -> VideoInfo:
    """Look into a video file; decodes its first frames only.

    Raises:
        UnreadableMedia: Missing, not a video, damaged, or without a picture.
        EmptyMedia: No bytes or no frame.
        MediaTooSmall: Under 16 pixels on a side.
        MediaTooLarge: Over the limits of pixels or seconds.
    """
    with open_video(source, limits) as video:
        first = next(shown_frames(video, 0.0), None)
        if first is None:
            raise EmptyMedia("no frame can be decoded from the video", given=source.name)
        if video.duration_s is None:
            raise UnreadableMedia(
                "the video does not tell its duration", given=source.name, remedy=SAVE_AGAIN
            )
        height, width, _ = first.rgb().shape
        return VideoInfo(width, height, video.fps, video.stream.frames or None, video.duration_s)


@contextmanager
def open_video(path: Path, limits: MediaLimits) -> Iterator[OpenVideo]:
    """Open a file and its first picture stream, with sizes checked before a frame is decoded."""
    check_file(path, "video")
    try:
        container = av.open(str(path), options=_OPEN_OPTIONS)
    except MemoryError:  # one of FFmpeg's errors too, and not the file's fault
        raise
    except FFmpegError as error:
        raise UnreadableMedia(
            "the file is not a video, or is damaged", given=path.name, allowed=ALLOWED_VIDEOS
        ) from error
    with container:
        video = OpenVideo(path, container, _picture_stream(container, path))
        check_size(path.name, video.stream.width, video.stream.height, limits)
        if video.duration_s is not None and video.duration_s > limits.max_duration_s:
            raise MediaTooLarge(
                "the video is too long",
                given=f"{path.name}: {video.duration_s:.1f} s",
                allowed=f"at most {limits.max_duration_s:g} s",
                remedy="cut out the part that drives the shot",
            )
        video.stream.thread_type = "AUTO"
        # The decoder itself holds the limit too, for a stream that grows on its way.
        video.stream.codec_context.options = {"max_pixels": str(limits.max_pixels)}
        yield video


def _picture_stream(container: InputContainer, path: Path) -> VideoStream:
    # The cover picture of a sound file is a "video stream" too.
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise UnreadableMedia(
            "the file has no video stream, only sound or other data", given=path.name, allowed=ALLOWED_VIDEOS
        )
    if not streams[0].width or not streams[0].height:
        raise UnreadableMedia("the video's codec is unknown, or its pictures are damaged", given=path.name)
    return streams[0]


def shown_frames(video: OpenVideo, start_s: float) -> Iterator[ShownFrame]:
    """Frames in the order of showing, from the one on screen at `start_s` (or an earlier one) on.

    Raises:
        UnreadableMedia: A frame cannot be decoded or has no time; the message says where.
    """
    begin_s, previous, pixel_aspect = 0.0, None, video.stream.sample_aspect_ratio
    try:
        for next_s, frame in _timed_frames(video, start_s):
            if previous is not None:
                yield ShownFrame(previous, begin_s, next_s, pixel_aspect)
            begin_s, previous = next_s, frame
        if previous is not None:
            yield ShownFrame(previous, begin_s, begin_s + _length_s(previous, video), pixel_aspect)
    except MemoryError:
        raise
    except FFmpegError as error:
        raise UnreadableMedia(
            f"the video is damaged after {begin_s:.2f} s",
            given=video.path.name,
            remedy="export or copy it again",
        ) from error


def _timed_frames(video: OpenVideo, start_s: float) -> Iterator[tuple[float, VideoFrame]]:
    frames = video.container.decode(video.stream)
    first = next(frames, None)
    if first is None:
        return
    origin_s = _time_s(first, video.path)
    if start_s > _SEEK_MARGIN_S:
        frames = video.decoded_from(origin_s + start_s - _SEEK_MARGIN_S)
        first = next(frames, None)
        if first is None or _time_s(first, video.path) - origin_s > start_s:
            # The file's index misled the seek: read on from the beginning instead.
            frames = video.decoded_from(origin_s)
            first = next(frames)
    for frame in chain([first], frames):
        yield _time_s(frame, video.path) - origin_s, frame


def _time_s(frame: VideoFrame, path: Path) -> float:
    if frame.is_corrupt:
        raise UnreadableMedia("the video is damaged: a frame is incomplete", given=path.name)
    if frame.pts is None or frame.time_base is None:
        raise UnreadableMedia("the video's frames carry no times", given=path.name, remedy=SAVE_AGAIN)
    return float(frame.pts * frame.time_base)


def _length_s(last: VideoFrame, video: OpenVideo) -> float:
    """How long the last frame of a file stays: its own duration, else that of an average frame."""
    if last.duration and last.time_base is not None:
        return float(last.duration * last.time_base)
    return 1 / video.fps


def _square_rgb(frame: VideoFrame, pixel_aspect: Fraction | None) -> np.ndarray:
    """8-bit RGB with square pixels: a picture with wide pixels becomes wider, so that no line is lost."""
    has_alpha = any(component.is_alpha for component in frame.format.components)
    colorspace = frame.colorspace
    if colorspace == _UNSPECIFIED and frame.height >= _HD_HEIGHT:
        colorspace = _ITU709  # as players do: untagged HD is BT.709, untagged SD is BT.601
    wide, high = pixel_aspect.as_integer_ratio() if pixel_aspect else (1, 1)
    pixels = frame.to_ndarray(
        format="rgba" if has_alpha else "rgb24",
        width=frame.width if wide <= high else round(frame.width * wide / high),
        height=frame.height if wide >= high else round(frame.height * high / wide),
        src_colorspace=colorspace,
    )
    if not has_alpha:
        return pixels
    alpha = pixels[..., 3:].astype(np.uint16)
    over_grey = pixels[..., :3] * alpha + MID_GREY * (255 - alpha)
    return ((over_grey + 127) // 255).astype(np.uint8)


def _display_matrix(frame: VideoFrame) -> np.ndarray | None:
    side_data = frame.side_data.get("DISPLAYMATRIX")
    return None if side_data is None else np.frombuffer(bytes(side_data), "=i4").reshape(3, 3)[:2, :2]


def _upright(pixels: np.ndarray, matrix: np.ndarray | None) -> np.ndarray:
    """Turn and mirror as the display matrix [[a, b], [c, d]] says: x' = a x + c y, y' = b x + d y."""
    if matrix is None or not matrix.any():
        return pixels
    (a, b), (c, d) = np.sign(matrix)
    if (a, d) == (0, 0):
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    elif (b, c) != (0, 0):
        raise UnreadableMedia(
            "the video is flagged to be shown at a slant",
            given=matrix.tolist(),
            allowed="rotations by quarter turns, and mirroring",
            remedy="rotate it in a video editor and export it again",
        )
    return np.ascontiguousarray(pixels[:: int(d) or 1, :: int(a) or 1])
