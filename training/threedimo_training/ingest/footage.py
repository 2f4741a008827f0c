"""A video looked at evenly, in pieces, so that its length never decides how much memory is needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from threedimo.errors import InvalidRequest, MediaTooSmall
from threedimo.media import VideoInfo, probe_video, read_footage

PIECE_BYTES = 256 * 1024**2
_RATE_SLACK = 1.01
# A file may end this many of its own frames before it says: writers round.
_ROUNDED_FRAMES = 2


@dataclass(frozen=True)
class SampledVideo:
    """A video file, looked at `fps` times a second: frame i is what is on screen at `i / fps` seconds."""

    path: Path
    fps: float
    info: VideoInfo

    @classmethod
    def open(cls, path: Path, fps: float) -> SampledVideo:
        """Look into a file.

        Raises:
            MediaError: It is missing, damaged, no video, or over a limit.
            InvalidRequest: It has fewer than `fps` frames a second, so that frames would be shown twice.
        """
        info = probe_video(path)
        if fps > info.fps * _RATE_SLACK:
            raise InvalidRequest(
                f"{path.name} has too few frames a second, so that some would be shown twice",
                given=f"{info.fps:g} frames a second, {fps:g} asked for",
                remedy=f"ask for {info.fps:g} or fewer",
            )
        return cls(path, fps, info)

    @property
    def announced_frames(self) -> int:
        """Frames that fit into the length that the file announces."""
        return int(self.info.duration_s * self.fps + 1e-3)

    def frames(self, start: int, stop: int, *, size: tuple[int, int] | None = None) -> Iterator[np.ndarray]:
        """Frames `start` to `stop` (excluded), `(height, width, 3)` uint8 RGB, one at a time.

        Args:
            start: First frame.
            stop: After the last frame.
            size: `(width, height)` to shrink to, of the same shape; None keeps the video's.

        Raises:
            MediaError: The video is damaged, ends early, or changes its size; the message names the file.
        """
        width, height = size or (self.info.width, self.info.height)
        piece = max(1, PIECE_BYTES // (width * height * 3))
        for first in range(start, stop, piece):
            yield from self._read(first, min(stop, first + piece), size)

    def tail(self, start: int, *, size: tuple[int, int]) -> np.ndarray:
        """Frames from `start` to the end, which may come a little earlier than announced."""
        fewer = int(np.ceil(_ROUNDED_FRAMES * self.fps / self.info.fps))
        stop = self.announced_frames
        for missing in range(fewer):
            try:
                return self._read(start, stop - missing, size)
            except MediaTooSmall:
                if stop - missing - 1 <= start:
                    break
        return self._read(start, max(start + 1, stop - fewer), size)

    def _read(self, start: int, stop: int, size: tuple[int, int] | None) -> np.ndarray:
        return read_footage(
            [self.path],
            fps=None,
            start_s=start / self.fps,
            num_frames=stop - start,
            sample_fps=self.fps,
            size=size,
        )
