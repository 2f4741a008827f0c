"""Phrases: moves of everyday life, sport and dance in a row, each a few stances with their timing.

A theme chooses among moves that go together. Feet that have to be elsewhere in the next stance step there one
after the other, with the weight on the other foot.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from threedimo_training.motion.curves import LONGEST_S, spline, wandering
from threedimo_training.motion.feet import Footfall, feet_at
from threedimo_training.motion.moves import MOVES, THEME_SHARES, THEMES
from threedimo_training.motion.performance import ArmKey, Performance
from threedimo_training.motion.poses import REST_ARM, STANCES, FootPose, Stance
from threedimo_training.motion.standard_body import BALL_FORWARD, HIP_HEIGHT_M

# Free fall over one hip height, for the time that a hop takes.
_GRAVITY = 9.81 / HIP_HEIGHT_M
# A foot this near to its new place (hip heights, degrees) stays where it is.
_NEAR, _NEAR_DEG = 0.045, 9.0


@dataclass(frozen=True, eq=False)
class _Key:
    """A stance at a place and time: held from `time_s` to `until_s`."""

    time_s: float
    until_s: float
    stance: Stance
    home: np.ndarray
    heading: float
    hop: float
    arms: tuple[str, str] | None

    def foot(self, side: int) -> tuple[FootPose, np.ndarray, float]:
        """The foot's pose, its ball's place (3,) in hip heights, where it points in degrees."""
        pose = (self.stance.left, self.stance.right)[side]
        sign = -1.0 if side else 1.0
        place = self.on_floor(pose.out * sign, pose.forward + BALL_FORWARD)
        return pose, np.append(place, pose.up), self.heading + sign * pose.yaw_out

    def on_floor(self, left: float, forward: float) -> np.ndarray:
        """(2,) place to the left and in front of where the performer stands."""
        turn = np.deg2rad(self.heading)
        sideways, ahead = np.array([np.cos(turn), np.sin(turn)]), np.array([np.sin(turn), -np.cos(turn)])
        return self.home + left * sideways + forward * ahead

    def body(self) -> np.ndarray:
        """(10,) pelvis x, y, z; heading; pelvis lean, side, twist; spine lean, side, twist."""
        s = self.stance
        pelvis = self.on_floor(s.shift, s.forward)
        return np.array([
            *pelvis, s.height, self.heading,
            s.pelvis_lean, s.pelvis_side, s.pelvis_twist, s.lean, s.side, s.twist,
        ])  # fmt: skip


def phrase(times: np.ndarray, rng: np.random.Generator) -> Performance:
    """A random theme's moves, sampled at times (F,)."""
    theme = str(rng.choice(list(THEMES), p=THEME_SHARES))
    keys = _lay_out(THEMES[theme], rng)
    tracks, leaning = _footfalls(keys, rng)
    body = _body_curves(times, keys, leaning)
    hop = np.zeros(len(times))
    for before, key in pairwise(keys):
        if key.hop:
            share = np.clip((times - _take_off(before, key)) / (key.time_s - _take_off(before, key)), 0, 1)
            hop += key.hop * 4 * share * (1 - share)
    body[:, 2] += hop
    body[:, :2] += wandering(times, rng, [0.006, 0.006])
    arms = [ArmKey(moment, *key.arms) for key in keys if key.arms for moment in {key.time_s, key.until_s}]
    return Performance(
        feet=feet_at(times, tracks),
        pelvis=body[:, :3],
        heading=body[:, 3],
        pelvis_tilt=body[:, 4:7] + wandering(times, rng, [0.8, 0.8, 1.5]),
        spine=body[:, 7:10],
        swing=np.zeros((len(times), 2)),
        arm_base=REST_ARM,
        arm_keys=tuple(sorted(arms, key=lambda key: key.time_s)),
        calm={"idle": 0.6, "dance": 1.0}.get(theme, 0.5),
        free_arms={"idle": 0.6, "sport": 0.5, "seat": 0.7}.get(theme, 0.8),
    )


def _lay_out(menu: tuple[str, ...], rng: np.random.Generator) -> list[_Key]:
    """Moves in a row, from before 0 s to the longest motion."""
    tempo, size = rng.uniform(0.8, 1.2), rng.uniform(0.85, 1.05)
    home, heading = np.zeros(2), float(rng.uniform(-180, 180))
    clock = -rng.uniform(0.0, 1.5)
    keys = [_Key(-10.0, clock, STANCES["stand"], home, heading, 0.0, None)]
    while clock < LONGEST_S + 1:
        name = str(rng.choice(menu))
        flip = rng.random() < 0.5
        turning = float(rng.choice([-1, 1]) * rng.uniform(15, 48)) if name == "turn" else 0.0
        if name in ("sway", "shift", "side_tap", "crossed") and rng.random() < 0.3:
            heading += float(rng.normal(0, 15))
        for beat in MOVES[name]:
            clock += beat.gap_s * tempo * rng.uniform(0.9, 1.15) if not beat.hop else beat.gap_s
            stance = _varied(STANCES[beat.stance], size, rng)
            arms = beat.arms
            if flip:
                stance, arms = stance.mirrored(), (arms[1], arms[0]) if arms else None
            heading += turning
            turn = np.deg2rad(heading)
            home = home + beat.onward * np.array([np.sin(turn), -np.cos(turn)])
            until = clock + beat.hold_s * rng.uniform(0.6, 1.5)
            keys.append(_Key(clock, until, stance, home, heading, beat.hop, arms))
            clock = until
    return keys


def _varied(stance: Stance, size: float, rng: np.random.Generator) -> Stance:
    """Nobody takes a stance twice in the same way: trunk and depth differ a little."""
    down = 0.99 - stance.height
    # kneeling and sitting heights are given by the floor and the seat
    height = stance.height if stance.height < 0.62 or down < 0 else 0.99 - down * size
    return replace(
        stance,
        height=height,
        lean=stance.lean + rng.normal(0, 2.5),
        side=stance.side + rng.normal(0, 2.0),
        twist=stance.twist + rng.normal(0, 5.0),
        pelvis_twist=stance.pelvis_twist + rng.normal(0, 2.0),
    )


def _take_off(before: _Key, key: _Key) -> float:
    return max(before.until_s, key.time_s - float(np.sqrt(8 * key.hop / _GRAVITY)))


def _footfalls(
    keys: list[_Key], rng: np.random.Generator
) -> tuple[list[list[Footfall]], list[tuple[float, int, int]]]:
    """Both feet's places over all keys, and the moments (time, key before, standing side) of each step."""
    tracks = [[_fall(keys[0], side)] for side in range(2)]
    steps = []
    for index, (before, key) in enumerate(pairwise(keys)):
        moving = []
        for side in range(2):
            wanted, last = _fall(key, side), tracks[side][-1]
            if _is_near(wanted, last) and not key.hop:
                wanted = replace(wanted, place=last.place, yaw_deg=last.yaw_deg)
                unchanged = wanted.pitch_deg == last.pitch_deg and wanted.knee_out_deg == last.knee_out_deg
                if not unchanged:
                    _move(tracks[side], wanted, before.until_s, key.time_s, lift=0.0)
            else:
                moving.append((side, wanted))
        # whoever turns to the left begins with the left foot
        turned = key.heading - before.heading
        if len(moving) == 2 and (turned < -8 or (turned <= 8 and rng.random() < 0.5)):
            moving.reverse()
        for order, (side, wanted) in enumerate(moving):
            start, end = _window(before, key, order, len(moving), wanted.grounded)
            flying = bool(key.hop) or not (wanted.grounded and tracks[side][-1].grounded)
            lift = key.hop if key.hop else (0.02 if flying else 0.07)
            _move(tracks[side], wanted, start, end, lift, toe_off=38.0 if key.hop else 16.0 * (not flying))
            if not key.hop:
                steps.append((0.5 * (start + end), index, 1 - side))
    return [[*track, replace(track[-1], arrive_s=1e3, leave_s=2e3)] for track in tracks], steps


def _fall(key: _Key, side: int) -> Footfall:
    pose, place, yaw = key.foot(side)
    where = (float(place[0]), float(place[1]), float(place[2]))
    return Footfall(key.time_s, 1e3, where, yaw, pose.pitch, pose.knee_out, pose.grounded)


def _is_near(wanted: Footfall, last: Footfall) -> bool:
    distance = float(np.linalg.norm(np.subtract(wanted.place, last.place)))
    both = wanted.grounded and last.grounded
    return both and distance < _NEAR and abs(wanted.yaw_deg - last.yaw_deg) < _NEAR_DEG


def _move(
    track: list[Footfall], wanted: Footfall, start: float, end: float, lift: float, toe_off: float = 0.0
) -> None:
    track[-1] = replace(track[-1], leave_s=start, lift=lift, toe_off_deg=toe_off)
    track.append(replace(wanted, arrive_s=end))


def _window(before: _Key, key: _Key, order: int, count: int, grounded: bool) -> tuple[float, float]:
    """When the foot travels between two keys: feet go one after the other, in a hop both together."""
    if key.hop:
        return _take_off(before, key), key.time_s
    first, last = (0.08, 0.92) if count == 1 else ((0.04, 0.5), (0.5, 0.96))[order]
    gap = key.time_s - before.until_s
    return before.until_s + first * gap, key.time_s if not grounded else before.until_s + last * gap


def _body_curves(times: np.ndarray, keys: list[_Key], steps: list[tuple[float, int, int]]) -> np.ndarray:
    """(F, 10) as in `_Key.body`, with the weight over the standing foot at every step."""
    moments, rows = [], []
    for key in keys:
        moments += [key.time_s, max(key.until_s, key.time_s + 0.02)]
        rows += [key.body(), key.body()]
    for moment, index, standing in steps:
        before, key = keys[index], keys[index + 1]
        share = (moment - before.until_s) / (key.time_s - before.until_s)
        row = before.body() + share * (key.body() - before.body())
        if row[2] > 0.7:
            pose, place, _ = before.foot(standing)
            if pose.grounded:
                ahead = before.on_floor(0, BALL_FORWARD) - before.home
                row[:2] += 0.5 * (place[:2] - ahead - row[:2])
            moments.append(moment)
            rows.append(row)
    order = np.argsort(moments, kind="stable")
    moments = np.array(moments)[order]
    moments = np.maximum.accumulate(moments + 1e-6 * np.arange(len(moments)))
    return spline(times, moments, np.array(rows)[order])
