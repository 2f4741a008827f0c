"""Files to frames and frames to files: the only door through which pixels enter and leave.

Everywhere outside a model, frames are uint8 RGB: one picture `(height, width, 3)`, a clip
`(frames, height, width, 3)`. What a viewer would show is what is read: rotation flags are applied, non-square
pixels become square, alpha lies over mid grey. Clips are sampled by presentation time, never by index, so
variable frame rates keep their motion. Every size is checked before memory is taken for it. Reading and
writing are deterministic.

    limits.py    how large media may be
    images.py    one picture: read
    video.py     one video file: probe, and stream frames with their times
    footage.py   a video or an image sequence, sampled at a shot's times
    pixels.py    crop and resize to a model's size; scale to and from [-1, 1]
    writing.py   PNG and H.264, each file complete or absent
"""

from threedimo.media.footage import (
    Sampling,
    check_covers,
    frame_counts_that_fit,
    probe_footage,
    read_footage,
)
from threedimo.media.images import read_image
from threedimo.media.limits import DEFAULT_LIMITS, MIN_SIDE_PX, MediaLimits
from threedimo.media.pixels import denormalise, fit_frames, normalise
from threedimo.media.video import VideoInfo, probe_video
from threedimo.media.writing import write_frames, write_png, write_video

__all__ = [
    "DEFAULT_LIMITS",
    "MIN_SIDE_PX",
    "MediaLimits",
    "Sampling",
    "VideoInfo",
    "check_covers",
    "denormalise",
    "fit_frames",
    "frame_counts_that_fit",
    "normalise",
    "probe_footage",
    "probe_video",
    "read_footage",
    "read_image",
    "write_frames",
    "write_png",
    "write_video",
]
