"""Frames to MP4 bytes and back.

Notable: 4:4:4, not the 4:2:0 of films for people. Halving the colour's resolution costs small pictures
dearly, whatever the bit rate. Rendered clips of 64 px and 17 frames, mean PSNR and size: 4:2:0 at crf 10
32 dB and 19 kB, no better at crf 3; 4:4:4 at crf 14, 10, 6: 38, 41, 44 dB and 16, 21, 28 kB. FFmpeg and what
is built on it decode 4:4:4 (PyAV, VLC, Chrome); some browsers and most decoder chips do not, so the films of
`show`, which are for people, are 4:2:0.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction
from typing import BinaryIO

import av
import numpy as np
from av.error import FFmpegError

from threedimo.errors import InvalidShard

_ITU709, _LIMITED_RANGE = 1, 1
# So that equal frames give equal bytes: one thread, and only what x264 computes alike on every processor.
# Without the latter the bytes of small pictures vary from call to call (below 128 px, half of the clips).
_REPEATABLE = {"threads": "1", "x264-params": "cpu-independent=1"}
_CLIP = {"crf": "10", "preset": "fast", **_REPEATABLE}
_FILM = {"crf": "16", "preset": "veryfast", **_REPEATABLE}
_RATE_DENOMINATOR = 1001
_OPEN_OPTIONS = {"format_whitelist": "mov", "protocol_whitelist": "none"}


def encode_video(frames: np.ndarray, fps: float) -> bytes:
    """Write frames (F, H, W, 3) uint8 RGB as H.264 in MP4, of any size; equal frames give equal bytes."""
    file = io.BytesIO()
    _encode(file, frames, (frames.shape[2], frames.shape[1]), fps, "yuv444p", _CLIP)
    return file.getvalue()


def write_film(file: BinaryIO, frames: Iterable[np.ndarray], width: int, height: int, fps: float) -> None:
    """Write frames (height, width, 3) uint8 RGB, one at a time, as a film that plays everywhere.

    Args:
        file: Seekable.
        frames: All of one size, in order.
        width: Even.
        height: Even.
        fps: Frames per second.
    """
    _encode(file, frames, (width, height), fps, "yuv420p", _FILM)


def _encode(
    file: BinaryIO,
    frames: Iterable[np.ndarray],
    size: tuple[int, int],
    fps: float,
    pixel_format: str,
    options: dict[str, str],
) -> None:
    with av.open(file, "w", format="mp4") as container:
        rate = Fraction(fps).limit_denominator(_RATE_DENOMINATOR)
        stream = container.add_stream("libx264", rate=rate, options=options)
        (stream.width, stream.height), stream.pix_fmt = size, pixel_format
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _ITU709
        context.color_range = _LIMITED_RANGE
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format=pixel_format, dst_colorspace=_ITU709, dst_color_range=_LIMITED_RANGE
            )
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def decode_video(content: bytes, shape: tuple[int, int, int], where: str) -> np.ndarray:
    """Read an MP4 that must hold exactly the frames that its sample announces.

    Args:
        content: The bytes of the member.
        shape: Frames, height and width; checked before a frame is decoded.
        where: Shard and member, for the error.

    Returns:
        (F, H, W, 3) uint8 RGB.

    Raises:
        InvalidShard: Damaged, or of another size or length.
    """
    frames = np.empty((*shape, 3), np.uint8)
    num_frames = 0
    try:
        with av.open(io.BytesIO(content), "r", options=_OPEN_OPTIONS) as container:
            if len(container.streams.video) != 1:
                raise _wrong(where, f"{len(container.streams.video)} video streams", "one")
            stream = container.streams.video[0]
            _check_size(stream.height, stream.width, shape, where)
            # The decoder itself holds the limit too, for a stream that grows on its way.
            stream.codec_context.options = {"max_pixels": str(max(shape[1] * shape[2], 128 * 128))}
            stream.thread_type = "NONE"  # clips are short; whoever reads many uses processes
            for frame in container.decode(stream):
                _check_size(frame.height, frame.width, shape, where)
                if num_frames == shape[0]:
                    raise _wrong(where, f"more than {num_frames} frames", f"{shape[0]} frames")
                frames[num_frames] = frame.to_ndarray(format="rgb24", src_colorspace=frame.colorspace)
                num_frames += 1
    except FFmpegError as error:
        raise InvalidShard(
            f"{where} is damaged or no MP4: {error.strerror}", remedy="copy or make the shard again"
        ) from error
    if num_frames != shape[0]:
        raise _wrong(where, f"{num_frames} frames", f"{shape[0]} frames")
    return frames


def _check_size(height: int, width: int, shape: tuple[int, int, int], where: str) -> None:
    if (height, width) != shape[1:]:
        raise _wrong(where, f"{width}x{height} pixels", f"{shape[2]}x{shape[1]} pixels")


def _wrong(where: str, given: str, announced: str) -> InvalidShard:
    return InvalidShard(
        f"{where} is not the video that its sample announces",
        given=given,
        allowed=announced,
        remedy="copy or make the shard again",
    )
