"""Where in time a camera changes what it does: cutting signals at their turns and pauses."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from threedimo.camera.rotations import Floats

# The slow head and tail of an eased move: this share of a change does not count as having begun or as going
# on.
TAIL = 0.04
# A pause: a move that gains less than this share of its whole change over at least this share of the clip.
PAUSE_GAIN, PAUSE_LENGTH = 0.08, 0.25
# Two cuts nearer than this share of the clip, or this many seconds, are the same cut.
SAME_CUT_SHARE, SAME_CUT_S = 0.08, 0.25


def turning_points(signal: Floats, threshold: float) -> list[int]:
    """Frames where a signal starts, reverses by `threshold` or more, or ends; empty if it changes less."""
    points: list[int] = []
    low = high = 0
    direction = 0
    for frame, value in enumerate(signal):
        if value > signal[high]:
            high = frame
        if value < signal[low]:
            low = frame
        if direction <= 0 and value - signal[low] >= threshold:
            points.append(low)
            direction, high = 1, frame
        elif direction >= 0 and signal[high] - value >= threshold:
            points.append(high)
            direction, low = -1, frame
        # While a signal goes one way, only its extreme on that side may still move on.
        low = frame if direction > 0 else low
        high = frame if direction < 0 else high
    if direction:
        points.append(high if direction > 0 else low)
    return points


def active_spans(signal: Floats, threshold: float) -> list[tuple[int, int]]:
    """First and last frame of every stretch in which a signal moves one way without a pause."""
    points = turning_points(signal, threshold)
    spans: list[tuple[int, int]] = []
    for start, end in pairwise(points):
        share = (signal[start : end + 1] - signal[start]) / (signal[end] - signal[start])
        rising = np.maximum.accumulate(share)
        begin = max(int(np.argmax(rising > TAIL)) - 1, 0)
        finish = int(np.argmax(rising >= 1 - TAIL))
        spans += [
            (start + begin + first, start + begin + last)
            for first, last in _without_pauses(rising[begin : finish + 1], len(signal))
        ]
    return spans


def _without_pauses(rising: Floats, num_frames: int) -> list[tuple[int, int]]:
    ends = np.searchsorted(rising, rising + PAUSE_GAIN, side="right") - 1
    lengths = ends - np.arange(len(rising))
    longest = int(np.argmax(lengths))
    # With at least two steps in a pause, both sides of its middle are shorter than the whole.
    if lengths[longest] < max(PAUSE_LENGTH * num_frames, 2):
        return [(0, len(rising) - 1)]
    # The widest window of little gain reaches into the moves beside it; these end and begin at their tails.
    level = float(rising[(longest + int(ends[longest])) // 2])
    stop = int(np.argmax(rising >= level - TAIL * (level - float(rising[0]))))
    go = int(np.searchsorted(rising, level + TAIL * (float(rising[-1]) - level), side="right")) - 1
    before = _without_pauses(rising[: stop + 1], num_frames)
    after = [(go + first, go + last) for first, last in _without_pauses(rising[go:], num_frames)]
    return [span for span in before + after if span[1] > span[0]]


def cuts(spans: list[tuple[int, int]], num_frames: int, fps: float) -> list[int]:
    """Frames that bound the phases of a path, from 0 to the last, from the spans of all of its signals."""
    last = num_frames - 1
    gap = max(1.0, min(SAME_CUT_SHARE * last, SAME_CUT_S * fps))
    groups: list[list[int]] = []
    for frame in sorted({0, last, *(edge for span in spans for edge in span)}):
        if groups and frame - groups[-1][0] <= gap:
            groups[-1].append(frame)
        else:
            groups.append([frame])
    middles: NDArray[np.int64] = np.array([round(sum(group) / len(group)) for group in groups])
    return sorted({0, *(int(frame) for frame in middles if gap < frame < last - gap), last})
