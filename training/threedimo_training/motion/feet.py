"""Where feet stand and how they travel from one footfall to the next.

A foot is described by its ball: where that lies, where the foot points, and how far the heel is raised. A
standing foot's ball does not move; the heel may rise over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from threedimo_training.motion.curves import ease
from threedimo_training.motion.rotations import turn_deg
from threedimo_training.motion.skeleton import JOINT, SIDES
from threedimo_training.motion.standard_body import BALL_HEIGHT_M, HIP_HEIGHT_M, REST_JOINTS

# From the ball of the foot to the ankle at rest, left and right; and from heel to ball.
_TO_ANKLE = np.stack([REST_JOINTS[JOINT[f"{s}_ankle"]] - REST_JOINTS[JOINT[f"{s}_foot"]] for s in SIDES])
_HEEL_M, _TOES_M = 0.19, 0.06
_MOST_TOES_DEG = 60.0
# Between the balls of feet that pass each other, and how far ahead a foot counts as past.
_CLEAR_M, _PASSING_M = 0.165, 0.3


@dataclass(frozen=True)
class Footfall:
    """One place of a foot and the way to the next one.

    Attributes:
        arrive_s: When the foot is there.
        leave_s: When it leaves.
        place: Position of the ball, x and y on the floor and height above standing, hip heights.
        yaw_deg: Where the foot points, about the vertical; 0 is -y.
        pitch_deg: How far the heel is raised over the ball (toes raised where negative).
        knee_out_deg: How far the knee turns out beyond the foot.
        grounded: Whether the foot stands.
        lift: Height of the way to the next place, hip heights.
        toe_off_deg: How far the heel is raised on leaving.
        heel_strike_deg: How far the toes are up on arriving at the next place.
    """

    arrive_s: float
    leave_s: float
    place: tuple[float, float, float]
    yaw_deg: float
    pitch_deg: float = 0.0
    knee_out_deg: float = 0.0
    grounded: bool = True
    lift: float = 0.06
    toe_off_deg: float = 0.0
    heel_strike_deg: float = 0.0


@dataclass(frozen=True, eq=False)
class Feet:
    """Both feet at sampled times: balls (F, 2, 3) metres, angles (F, 2) degrees, planted (F, 2) bool."""

    balls: np.ndarray
    yaw: np.ndarray
    pitch: np.ndarray
    toes: np.ndarray
    knee_out: np.ndarray
    planted: np.ndarray

    def with_heels_raised(self, more: np.ndarray) -> Feet:
        """The same feet with heels raised by `more` degrees (F, 2) over balls that stay."""
        toes = np.minimum(self.toes + more, _MOST_TOES_DEG)
        return replace(self, pitch=self.pitch + more, toes=toes)

    def orientations(self) -> np.ndarray:
        """(F, 2, 3, 3) of the foot behind the ball, world."""
        return turn_deg(z=self.yaw) @ turn_deg(x=self.pitch)

    def ankles(self) -> np.ndarray:
        """(F, 2, 3) metres, world."""
        return self.balls + np.einsum("fsij,sj->fsi", self.orientations(), _TO_ANKLE)


def feet_at(times: np.ndarray, tracks: Sequence[Sequence[Footfall]]) -> Feet:
    """Samples the footfalls of the left and the right foot at times (F,)."""
    sampled = [_one_foot(times, track) for track in tracks]
    balls, yaw, pitch, toes, knee_out, planted, airborne = (
        np.stack(columns, axis=1) for columns in zip(*sampled, strict=True)
    )
    balls = _beside_each_other(balls, yaw, airborne)
    balls[..., 2] = np.maximum(balls[..., 2], _least_height_m(pitch, toes))
    return Feet(balls, yaw, pitch, toes, knee_out, planted)


def _least_height_m(pitch: np.ndarray, toes: np.ndarray) -> np.ndarray:
    """Height of the ball of the foot at which neither heel nor toes are in the floor."""
    toes_down, heel_down = np.sin(np.deg2rad(pitch - toes)), np.sin(np.deg2rad(-pitch))
    return BALL_HEIGHT_M + np.maximum(np.maximum(_TOES_M * toes_down, _HEEL_M * heel_down), 0.0)


def _beside_each_other(balls: np.ndarray, yaw: np.ndarray, airborne: np.ndarray) -> np.ndarray:
    """Leads a travelling foot around the standing one, so that legs do not pass through each other."""
    turn = np.deg2rad(yaw.mean(axis=1))
    left = np.stack([np.cos(turn), np.sin(turn), np.zeros(len(turn))], axis=-1)
    between = balls[:, 0] - balls[:, 1]
    apart = (between * left).sum(-1)
    ahead = np.linalg.norm(between[:, :2] - apart[:, None] * left[:, :2], axis=-1)
    missing = np.maximum(_CLEAR_M - apart, 0.0) * np.exp(-((ahead / _PASSING_M) ** 2))
    share = airborne / np.maximum(airborne.sum(axis=1, keepdims=True), 1.0)
    return balls + (share * missing[:, None])[..., None] * np.array([1.0, -1.0])[:, None] * left[:, None]


def _one_foot(times: np.ndarray, track: Sequence[Footfall]) -> tuple[np.ndarray, ...]:
    def column(name: str) -> np.ndarray:
        return np.array([getattr(fall, name) for fall in track], float)

    arrive, leave = column("arrive_s"), column("leave_s")
    now = np.clip(np.searchsorted(arrive, times, side="right") - 1, 0, len(track) - 2)
    then = now + 1
    swing = np.maximum(arrive[then] - leave[now], 1e-9)  # a foot that stays may leave and arrive at once
    share = np.clip((times - leave[now]) / swing, 0, 1)
    grounded = column("grounded")
    # a landing heel stands still while the ball comes down
    moved = ease(share / np.where(grounded[then] > 0, 0.88, 1.0))[:, None]
    place, yaw, pitch, knee_out = (column(n) for n in ("place", "yaw_deg", "pitch_deg", "knee_out_deg"))
    ball = place[now] + (place[then] - place[now]) * moved
    ball[:, 2] += column("lift")[now] * 16 * share**2 * (1 - share) ** 2
    ball *= HIP_HEIGHT_M
    ball[:, 2] += BALL_HEIGHT_M
    turned = moved[:, 0]
    angle = pitch[now] + (pitch[then] - pitch[now]) * turned
    # the heel rises before the foot leaves, more the longer it stood
    rise = np.minimum(0.45 * np.maximum(leave - arrive, 1e-3), 0.35)[now]
    angle += column("toe_off_deg")[now] * ease(1 + (times - leave[now]) / rise) * (1 - ease(share / 0.6))
    strike = column("heel_strike_deg")[now] * ease((share - 0.4) / 0.4) * (1 - ease((share - 0.84) / 0.16))
    ball[:, 2] += _HEEL_M * np.sin(np.deg2rad(strike))
    angle -= strike
    on_floor = grounded[now] * (1 - ease(share / 0.45)) + grounded[then] * ease((share - 0.55) / 0.45)
    toes = np.clip(angle, 0, _MOST_TOES_DEG) * on_floor
    standing = (grounded[now] > 0) & (times <= leave[now]) & (times >= arrive[now])
    return (
        ball,
        yaw[now] + (yaw[then] - yaw[now]) * turned,
        angle,
        toes,
        knee_out[now] + (knee_out[then] - knee_out[now]) * turned,
        standing | ((share >= 1) & (grounded[then] > 0)),
        1.0 - on_floor,
    )
