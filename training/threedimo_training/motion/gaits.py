"""Gaits: ways of walking along a winding path with starts and stops; feet stand where the path passes them.

The path and its pace are laid out once for the longest motion; steps follow at a steady beat, each to where
the body will be half-way through the foot's stand. A foot that is there already stays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from threedimo_training.motion.curves import LONGEST_S, ease, wandering
from threedimo_training.motion.feet import Footfall, feet_at
from threedimo_training.motion.performance import Performance
from threedimo_training.motion.standard_body import BALL_FORWARD

_RATE = 50
# Feet follow a turn of this much from one step to the next.
_TURN_DEG = 34.0
_GRID_S = np.arange(int((LONGEST_S + 8) * _RATE)) / _RATE - 4.0


@dataclass(frozen=True)
class Gait:
    """A way of walking. Ranges are (least, most); lengths in hip heights, angles in degrees.

    Attributes:
        step_s: Time from step to step.
        swing: Share of it in which a foot is in the air; above 1, both are for a while.
        stride: Length of a step at full pace.
        width: Between the feet.
        lift: Height of a swinging foot.
        height: Of the pelvis, at most.
        toe_off: Heel raised on leaving.
        strike: Toes raised on arriving.
        pitch: Heel raised all the time.
        bob: Rise and fall of the pelvis.
        arms: Swing of the arms, degrees for each hip height between the feet.
        elbow: Bend of the elbow.
        lean: Of the spine.
        courses: Directions of travel relative to where the body faces, degrees.
        steps_in_place: Whether feet go on stepping where they stand.
    """

    step_s: tuple[float, float]
    swing: float
    stride: tuple[float, float]
    width: tuple[float, float] = (0.13, 0.2)
    lift: tuple[float, float] = (0.045, 0.08)
    height: tuple[float, float] = (0.985, 0.998)
    toe_off: float = 34.0
    strike: float = 14.0
    pitch: float = 0.0
    bob: float = 0.006
    arms: tuple[float, float] = (20.0, 50.0)
    elbow: tuple[float, float] = (10.0, 35.0)
    lean: tuple[float, float] = (0.0, 5.0)
    courses: tuple[float, ...] = (0.0,)
    steps_in_place: bool = False


GAITS: dict[str, Gait] = {
    "walk": Gait((0.46, 0.66), 0.78, (0.5, 0.8)),
    "stroll": Gait((0.62, 0.85), 0.74, (0.32, 0.5), arms=(12.0, 30.0)),
    "strut": Gait((0.5, 0.65), 0.76, (0.55, 0.8), width=(0.09, 0.12), arms=(30.0, 60.0), lean=(-6.0, 0.0)),
    "jog": Gait(
        (0.33, 0.4), 1.28, (0.55, 1.0), (0.09, 0.14), (0.16, 0.28), (0.945, 0.965), 48.0, 4.0, 0.0, 0.028,
        (32.0, 55.0), (75.0, 98.0), (4.0, 9.0),
    ),
    "jog_in_place": Gait(
        (0.32, 0.4), 1.2, (0.0, 0.04), (0.13, 0.18), (0.16, 0.3), (0.955, 0.97), 44.0, 0.0, 0.0, 0.02,
        (0.0, 0.0), (75.0, 98.0), (0.0, 5.0), steps_in_place=True,
    ),
    "march": Gait(
        (0.46, 0.66), 0.8, (0.0, 0.32), (0.14, 0.2), (0.2, 0.42), toe_off=26.0, strike=0.0, arms=(0.0, 10.0),
        elbow=(8.0, 60.0), lean=(-2.0, 2.0), steps_in_place=True,
    ),
    "tiptoe": Gait(
        (0.5, 0.75), 0.76, (0.25, 0.42), (0.1, 0.16), height=(1.05, 1.07), toe_off=14.0, strike=0.0,
        pitch=32.0, arms=(4.0, 15.0), elbow=(15.0, 50.0),
    ),
    "crouch": Gait(
        (0.5, 0.75), 0.74, (0.3, 0.5), (0.17, 0.24), height=(0.74, 0.86), toe_off=22.0, strike=5.0,
        arms=(10.0, 30.0), elbow=(35.0, 75.0), lean=(14.0, 28.0),
    ),
    "backwards": Gait(
        (0.5, 0.7), 0.74, (0.28, 0.45), toe_off=16.0, strike=-16.0, arms=(10.0, 30.0), courses=(180.0,)
    ),
    "sidestep": Gait(
        (0.42, 0.62), 0.72, (0.1, 0.16), (0.28, 0.36), height=(0.955, 0.985), toe_off=10.0, strike=0.0,
        arms=(0.0, 0.0), elbow=(15.0, 60.0), courses=(-90.0, 90.0),
    ),
    "diagonal": Gait((0.5, 0.66), 0.74, (0.2, 0.3), (0.2, 0.26), arms=(10.0, 20.0), courses=(-40.0, 40.0)),
}  # fmt: skip
_NAMES = tuple(GAITS)
_SHARES = (0.27, 0.1, 0.06, 0.11, 0.08, 0.1, 0.05, 0.06, 0.06, 0.08, 0.03)


@dataclass(frozen=True, eq=False)
class _Way:
    """The path on the grid: places (G, 2), headings (G,) degrees, pace (G,) 0 to 1."""

    places: np.ndarray
    heading: np.ndarray
    pace: np.ndarray

    def at(self, times: np.ndarray | float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Places (..., 2), headings (...,) and pace (...,)."""
        x, y = (np.interp(times, _GRID_S, self.places[:, axis]) for axis in range(2))
        return (
            np.stack([x, y], -1),
            np.asarray(np.interp(times, _GRID_S, self.heading)),
            np.asarray(np.interp(times, _GRID_S, self.pace)),
        )


def walk_about(times: np.ndarray, rng: np.random.Generator) -> Performance:
    """A random gait along a random way, sampled at times (F,)."""
    gait = GAITS[str(rng.choice(_NAMES, p=_SHARES))]

    def pick(bounds: tuple[float, float]) -> float:
        return float(rng.uniform(*bounds))

    step_s, stride, width = pick(gait.step_s), pick(gait.stride), pick(gait.width)
    lift, height, lean, elbow = pick(gait.lift), pick(gait.height), pick(gait.lean), pick(gait.elbow)
    speed = stride / step_s
    way = _way(rng, speed, step_s, float(rng.choice(gait.courses)), stops=not gait.steps_in_place)
    first = -3.0 - rng.uniform(0, step_s)
    tracks = _footfalls(gait, way, first, step_s, width, lift, stride)
    feet = feet_at(times, tracks)
    places, heading, pace = way.at(times)
    beat = np.pi * (times - first) / step_s  # half a turn a step
    going = np.maximum(pace, float(gait.steps_in_place))
    sideways = _sideways(heading)
    # the weight comes over the left foot while the right one swings
    sway = -np.sin(beat - 0.35 * np.pi) * going * width * (0.14 if gait.swing < 1 else 0.06)
    pelvis = np.empty((len(times), 3))
    pelvis[:, :2] = places + sway[:, None] * sideways + wandering(times, rng, [0.004, 0.004])
    # a runner is lowest in the middle of a stand, a walker highest
    low_at = 0.5 * gait.swing * np.pi if gait.swing < 1 else (0.5 * (gait.swing + 1)) * np.pi
    sign = 1.0 if gait.swing < 1 else -1.0
    pelvis[:, 2] = height + gait.bob * going * sign * np.cos(2 * (beat - low_at))
    ahead = _ahead(feet.balls, heading)
    gap = np.clip(ahead[:, 1] - ahead[:, 0], -1.1, 1.1)
    if gait.steps_in_place:
        gap = gap + 0.5 * np.sin(beat - 0.3 * np.pi)
    swing = pick(gait.arms) if not gait.steps_in_place else rng.uniform(15, 45)
    turn = 7.0 * gap
    tilt = np.stack([np.full(len(times), 1.0), -3.0 * sway / max(width, 0.1), turn], axis=-1)
    spine = np.stack([np.full(len(times), lean), 2.0 * sway / max(width, 0.1), -1.8 * turn], axis=-1)
    return Performance(
        feet=feet,
        pelvis=pelvis,
        heading=heading,
        pelvis_tilt=tilt,
        spine=spine,
        swing=swing * np.stack([gap, -gap], axis=-1),
        arm_base={"arm_out": 10.0, "arm_forward": 3.0, "elbow": elbow, "arm_twist": 12.0},
        arm_keys=(),
        calm=0.3,
        free_arms=0.25,
    )


def _sideways(heading: np.ndarray) -> np.ndarray:
    turn = np.deg2rad(heading)
    return np.stack([np.cos(turn), np.sin(turn)], axis=-1)


def _ahead(balls: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """(F, 2) how far each foot is in front, metres, along the heading."""
    turn = np.deg2rad(heading)
    return balls[..., 0] * np.sin(turn)[:, None] - balls[..., 1] * np.cos(turn)[:, None]


def _way(rng: np.random.Generator, speed: float, step_s: float, course: float, stops: bool) -> _Way:
    """Heading and pace wander; the place is their integral, 0 at the time 0."""
    pace = np.ones(len(_GRID_S))
    if stops and rng.random() < 0.55:
        clock, walking = rng.uniform(-4.0, 1.5), rng.random() < 0.5
        pace[:] = 1.0 if walking else 0.0
        while clock < _GRID_S[-1]:
            walking = not walking
            step = ease((_GRID_S - clock) / 0.7)
            pace = pace * (1 - step) + step * walking
            clock += rng.uniform(2.5, 6.0) if walking else rng.uniform(1.0, 2.5)
    heading = float(rng.uniform(-180, 180)) + _turns(rng, step_s)
    travel = np.deg2rad(heading + course)
    steps = speed * pace[:, None] * np.stack([np.sin(travel), -np.cos(travel)], -1) / _RATE
    places = np.cumsum(steps, axis=0)
    start = np.stack([np.interp(0.0, _GRID_S, places[:, axis]) for axis in range(2)])
    return _Way(places - start, heading, pace)


def _turns(rng: np.random.Generator, step_s: float) -> np.ndarray:
    """(G,) degrees: straight on, a steady curve, or turns now and then, as fast as feet can follow."""
    fastest = _TURN_DEG / step_s
    kind = rng.random()
    if kind < 0.3:
        return wandering(_GRID_S, rng, [4.0])[:, 0]
    if kind < 0.6:
        rate = float(np.clip(rng.normal(0, 0.6), -1, 1)) * fastest
        return rate * _GRID_S + wandering(_GRID_S, rng, [6.0])[:, 0]
    turned, clock = np.zeros(len(_GRID_S)), -4.0 + rng.uniform(0, 2)
    while clock < _GRID_S[-1]:
        angle = float(rng.choice([-1, 1]) * rng.choice([40, 70, 100, 170]) * rng.uniform(0.8, 1.1))
        # the middle of an eased turn is about twice as fast as the whole
        lasting = abs(angle) / (0.55 * fastest * rng.uniform(0.75, 1.0))
        turned += angle * ease((_GRID_S - clock) / lasting)
        clock += lasting + rng.uniform(0.8, 4.0)
    return turned


def _footfalls(
    gait: Gait, way: _Way, first: float, step_s: float, width: float, lift: float, stride: float
) -> list[list[Footfall]]:
    tracks: list[list[Footfall]] = []
    count = int((LONGEST_S + 4 - first) / step_s)
    for side in range(2):
        track = [_fall(gait, way, -20.0, first, side, width)]
        for number in range(side, count, 2):
            leave = first + number * step_s
            arrive = leave + gait.swing * step_s
            # half-way through the stand that follows
            middle = 0.5 * (arrive + leave + 2 * step_s)
            wanted = _fall(gait, way, arrive, middle, side, width)
            distance = float(np.linalg.norm(np.subtract(wanted.place, track[-1].place)))
            if not gait.steps_in_place and distance < 0.03 and abs(wanted.yaw_deg - track[-1].yaw_deg) < 6:
                continue
            share = min(distance / max(2 * stride, 0.2), 1.0)
            size = 1.0 if gait.steps_in_place else 0.4 + 0.6 * share
            effort = 1.0 if gait.steps_in_place else share
            track[-1] = replace(
                track[-1],
                leave_s=leave,
                lift=lift * size,
                toe_off_deg=gait.toe_off * effort,
                heel_strike_deg=gait.strike * effort,
            )
            track.append(wanted)
        tracks.append([*track, replace(track[-1], arrive_s=1e3, leave_s=2e3)])
    return tracks


def _fall(gait: Gait, way: _Way, arrive: float, middle: float, side: int, width: float) -> Footfall:
    place, heading, _ = way.at(middle)
    turn = np.deg2rad(heading)
    out = 0.5 * width * (-1 if side else 1) + (-1 if side else 1) * 0.02
    x = place[0] + out * np.cos(turn) + BALL_FORWARD * np.sin(turn)
    y = place[1] + out * np.sin(turn) - BALL_FORWARD * np.cos(turn)
    yaw = float(heading) + (-6.0 if side else 6.0)
    return Footfall(arrive, 1e3, (float(x), float(y), 0.0), yaw, gait.pitch)
