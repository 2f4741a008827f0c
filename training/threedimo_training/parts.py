"""What people are made of: painted rounded cones, each fixed to a bone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threedimo_training.skeleton import JOINT

SOLID, RINGS, STRIPES, CHECKS, DOTS, LOGO = range(6)
SIDES = ("left", "right")


@dataclass(frozen=True)
class Paint:
    """How a part is coloured: pattern of two colours in front, another colour behind, another beyond a cut.

    Colours are RGB in [0, 1]; `period_m` is the pattern's size, `cut` the fraction of the part's length
    after which `end` shows (a short sleeve), `offset_m` shifts the pattern so that neighbours join.
    """

    base: tuple[float, ...]
    second: tuple[float, ...] | None = None
    back: tuple[float, ...] | None = None
    end: tuple[float, ...] | None = None
    pattern: int = SOLID
    period_m: float = 0.1
    cut: float = 9.0
    offset_m: float = 0.0


class Parts:
    """Collects parts and contact points while a person is being dressed."""

    def __init__(self, offsets: np.ndarray):
        self.offsets = offsets
        self._rows: list[tuple] = []
        self._contacts: list[np.ndarray] = []

    def add(self, bone, start, end, radii, paint: Paint, flatten=(1.0, 1.0), hand=-1, contact=False) -> None:
        """One rounded cone from `start` to `end` (bone's frame); `flatten` scales its width and depth."""
        start, end = np.asarray(start, float), np.asarray(end, float)
        axis, length = end - start, float(np.linalg.norm(end - start))
        axis = axis / length if length > 0 else np.array([0.0, 0.0, 1.0])
        back = np.array([0.0, 1.0, 0.0]) if abs(axis[1]) < 0.9 else np.array([0.0, 0.0, 1.0])
        back = back - axis * (back @ axis)
        back /= np.linalg.norm(back)
        frame = np.stack([np.cross(back, axis) * flatten[0], back * flatten[1], axis], axis=1)
        colours = [paint.base, paint.second or paint.base, paint.back or paint.base, paint.end or paint.base]
        pattern = (paint.pattern, paint.period_m, paint.cut * length, paint.offset_m)
        self._rows.append((bone, start, frame, (length, *radii), colours, pattern, hand))
        if contact:
            self._contacts += [np.array([bone, *start, radii[0]]), np.array([bone, *end, radii[1]])]

    def ball(self, bone, centre, radii, paint: Paint) -> None:
        """An ellipsoid with radii along left, back and up."""
        flatten = (radii[0] / radii[2], radii[1] / radii[2])
        self.add(bone, centre, centre, (radii[2], radii[2]), paint, flatten)

    def both(self, joint: str, start, end, radii, paints: list[Paint], **options) -> None:
        """The same part on the left (as given) and mirrored on the right."""
        for side, paint, sign in zip(SIDES, paints, (1.0, -1.0), strict=True):
            mirror = np.array([sign, 1.0, 1.0])
            self.add(JOINT[f"{side}_{joint}"], start * mirror, end * mirror, radii, paint, **options)

    def arrays(self, stature: float) -> dict[str, np.ndarray]:
        """Everything collected, scaled to the person's stature: the fields of `Body` by name."""
        bones, origins, frames, shapes, colours, patterns, hands = zip(*self._rows, strict=True)
        return {
            "offsets": self.offsets * stature,
            "bones": np.array(bones, np.int64),
            "origins": np.array(origins) * stature,
            "frames": np.array(frames),
            "shapes": np.array(shapes) * stature,
            "colours": np.array(colours, np.float32),
            "patterns": np.array(patterns, np.float32) * np.array([1.0, *[stature] * 3], np.float32),
            "hands": np.array(hands, np.int64),
            "contacts": np.stack(self._contacts) * np.array([1.0, *[stature] * 4]),
        }
