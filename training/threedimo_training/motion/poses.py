"""Keyed poses: arms and head in anatomical angles, stances of the legs by where pelvis and feet are.

Lengths are in hip heights, angles in degrees. A stance says where feet stand, not how knees bend: the legs
follow by reaching for the feet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

REST_ARM = {"arm_out": 9.0, "arm_forward": 2.0, "elbow": 14.0, "arm_twist": 10.0}

# One arm's poses; the other arm has its own or the same.
ARM_POSES: dict[str, dict[str, float]] = {
    "rest": {},
    "t": {"arm_out": 90, "elbow": 5},
    "y": {"arm_out": 145, "elbow": 10, "shrug": 15},
    "overhead": {"arm_out": 40, "arm_forward": 155, "elbow": 15, "shrug": 18},
    "forward": {"arm_forward": 90, "elbow": 5, "arm_twist": 40},
    "reach_up": {"arm_forward": 150, "arm_out": 12, "elbow": 8, "shrug": 15},
    "reach_down": {"arm_forward": 48, "elbow": 8},
    "reach_across": {"arm_forward": 78, "arm_out": -28, "elbow": 20, "arm_twist": 30},
    "behind": {"arm_forward": -40, "arm_out": 18, "elbow": 20},
    "hip": {"arm_out": 45, "arm_forward": -22, "elbow": 96, "arm_twist": 62, "wrist": 20},
    "wave": {"arm_out": 85, "elbow": 95, "arm_twist": -75, "forearm_twist": 20},
    "wave_high": {"arm_out": 125, "elbow": 45, "arm_twist": -60},
    "goalpost": {"arm_out": 88, "elbow": 90, "arm_twist": -80},
    "flex": {"arm_out": 90, "elbow": 125, "arm_twist": -70, "forearm_twist": -50},
    "guard": {"arm_forward": 48, "arm_out": 14, "elbow": 120, "arm_twist": 12},
    "punch": {"arm_forward": 88, "arm_out": -6, "elbow": 6, "arm_twist": 50, "shrug": 5},
    "head": {"arm_out": 98, "arm_forward": 28, "elbow": 132, "arm_twist": -72},
    "chin": {"arm_forward": 52, "arm_out": -2, "elbow": 132, "arm_twist": 30},
    "salute": {"arm_out": 80, "arm_forward": 36, "elbow": 122, "arm_twist": -50, "forearm_twist": 40},
    "folded": {"arm_forward": 44, "arm_out": -2, "elbow": 100, "arm_twist": 72},
    "point_side": {"arm_out": 85, "arm_forward": 25, "elbow": 5},
    "point_front": {"arm_forward": 85, "arm_out": 10, "elbow": 8},
    "point_up": {"arm_forward": 140, "arm_out": 20, "elbow": 6, "shrug": 10},
    "carry": {"arm_forward": 15, "elbow": 90, "forearm_twist": -60},
    "offer": {"arm_forward": 40, "arm_out": 12, "elbow": 50, "forearm_twist": -70, "arm_twist": -5},
    "shrugging": {"arm_out": 25, "elbow": 95, "arm_twist": -35, "forearm_twist": -60, "shrug": 25},
    "robot": {"arm_out": 88, "elbow": 88, "arm_twist": 75},
    "phone": {"arm_out": 40, "arm_forward": 38, "elbow": 136, "arm_twist": -25},
    "watch": {"arm_forward": 42, "arm_out": 8, "elbow": 100, "arm_twist": 55},
    "clap": {"arm_forward": 55, "arm_out": -2, "elbow": 62, "arm_twist": 42},
    "swing_back": {"arm_forward": -45, "arm_out": 14, "elbow": 12},
    "swing_front": {"arm_forward": 70, "arm_out": 8, "elbow": 60},
    "balance": {"arm_out": 70, "arm_forward": 10, "elbow": 15},
    "on_thigh": {"arm_forward": 30, "arm_out": 8, "elbow": 58, "arm_twist": 12},
    "on_floor": {"arm_forward": -38, "arm_out": 20, "elbow": 6, "wrist": -50},
    "jack_up": {"arm_out": 160, "arm_forward": 10, "elbow": 8, "shrug": 15},
}  # fmt: skip
HEAD_POSES: dict[str, dict[str, float]] = {
    "ahead": {}, "left": {"look": 48}, "right": {"look": -48}, "down": {"nod": 30}, "up": {"nod": -26},
    "tilt_left": {"tilt": 22}, "tilt_right": {"tilt": -22}, "glance": {"look": 25, "nod": 14},
}  # fmt: skip
TRUNK_POSES: dict[str, dict[str, float]] = {
    "upright": {}, "slight_bow": {"lean": 16}, "arch": {"lean": -16}, "side_left": {"side": 22},
    "side_right": {"side": -22}, "twist_left": {"twist": 32}, "twist_right": {"twist": -32},
}  # fmt: skip


@dataclass(frozen=True)
class FootPose:
    """One foot in a stance: the ball from where it is when standing at ease, outwards from the middle."""

    out: float = 0.108
    forward: float = 0.0
    up: float = 0.0
    pitch: float = 0.0
    yaw_out: float = 7.0
    knee_out: float = 0.0
    grounded: bool = True


@dataclass(frozen=True)
class Stance:
    """Pelvis and feet. The pelvis lies `shift` to the left, `forward` and `height` high and is tilted.

    `lean`, `side` and `twist` bend the spine on top; positive `side` bends to the left.
    """

    left: FootPose = FootPose()
    right: FootPose = FootPose()
    shift: float = 0.0
    forward: float = 0.0
    height: float = 0.997
    pelvis_lean: float = 0.0
    pelvis_side: float = 0.0
    pelvis_twist: float = 0.0
    lean: float = 0.0
    side: float = 0.0
    twist: float = 0.0

    def mirrored(self) -> Stance:
        """The same with left and right exchanged."""
        return replace(
            self,
            left=self.right,
            right=self.left,
            shift=-self.shift,
            pelvis_side=-self.pelvis_side,
            pelvis_twist=-self.pelvis_twist,
            side=-self.side,
            twist=-self.twist,
        )


def _both(
    out: float, forward: float = 0.0, pitch: float = 0.0, yaw_out: float = 7.0, knee_out: float = 0.0
) -> tuple[FootPose, FootPose]:
    pose = FootPose(out, forward, 0.0, pitch, yaw_out, knee_out)
    return pose, pose


def _air(
    out: float, forward: float, up: float, pitch: float, yaw_out: float = 4, knee_out: float = 0
) -> FootPose:
    return FootPose(out, forward, up, pitch, yaw_out, knee_out, grounded=False)


_N = FootPose()
STANCES: dict[str, Stance] = {
    "stand": Stance(),
    "narrow": Stance(*_both(0.07, yaw_out=4)),
    "wide": Stance(*_both(0.25, yaw_out=14), height=0.98),
    "relaxed": Stance(_N, FootPose(0.16, 0.08, yaw_out=20), shift=0.055, pelvis_side=-6, side=7),
    "hip_out": Stance(FootPose(0.12), FootPose(0.17, 0.03, yaw_out=15), 0.09, pelvis_side=-12, side=13),
    "half_squat": Stance(*_both(0.15, yaw_out=12), 0, -0.07, 0.79, 16, lean=14),
    "squat": Stance(*_both(0.19, yaw_out=22, knee_out=8), 0, -0.13, 0.55, 26, lean=22),
    "deep_squat": Stance(*_both(0.19, yaw_out=25, knee_out=12, pitch=24), 0, -0.05, 0.37, 18, lean=24),
    "lunge": Stance(FootPose(0.1, 0.42), FootPose(0.1, -0.5, pitch=52), 0, 0.0, 0.68, 6, lean=2),
    "low_lunge": Stance(FootPose(0.1, 0.45), FootPose(0.1, -0.6, pitch=56), 0, 0.02, 0.58, 10, lean=4),
    "side_lunge": Stance(*_both(0.4, yaw_out=16), 0.22, -0.1, 0.7, 20, lean=12),
    "kick_front": Stance(_air(0.1, 0.66, 0.6, 30), _N, -0.1, -0.02, 0.985, -12, 2, lean=4),
    "kick_low": Stance(_air(0.1, 0.45, 0.2, 30), _N, -0.08, 0, 0.99, -4),
    "kick_side": Stance(_air(0.78, 0.02, 0.52, 5), FootPose(yaw_out=25), -0.12, 0, 0.98, 0, -14, side=-12),
    "kick_back": Stance(_air(0.1, -0.68, 0.34, 48), _N, -0.07, 0.06, 0.98, 28, lean=10),
    "heel_up": Stance(_air(0.1, -0.33, 0.34, 75), _N, -0.06, 0, 0.99),
    "knee_up": Stance(_air(0.12, 0.22, 0.46, 12), _N, -0.08, -0.01, 0.99, -6, 2),
    "chamber": Stance(_air(0.11, 0.12, 0.5, 25), _N, -0.09, -0.02, 0.985, -6, 3),
    "tree": Stance(_air(0.0, 0.05, 0.4, 35, 48, 38), FootPose(0.1), -0.09, 0, 0.985),
    "tiptoe": Stance(*_both(0.09, pitch=36, yaw_out=6), height=1.09),
    "crossed": Stance(FootPose(0.0, 0.22, yaw_out=2), FootPose(0.05, -0.06), -0.02, 0.03, 0.985),
    "step_front": Stance(FootPose(0.1, 0.26), FootPose(0.1, -0.12, pitch=18), 0, 0.1, 0.985, 2),
    "step_back": Stance(FootPose(0.1, -0.3, pitch=22), FootPose(0.1, 0.02), 0, -0.1, 0.985, 4),
    "side_tap": Stance(FootPose(0.34, 0.03, pitch=25, yaw_out=16), _N, -0.09, 0, 0.99, 0, 6, side=-6),
    "kneel_one": Stance(FootPose(0.13, 0.33), FootPose(0.12, -0.5, pitch=60), 0, 0.0, 0.555, 2, lean=4),
    "kneel_both": Stance(*_both(0.1, forward=-0.51, pitch=60, yaw_out=2), 0, 0, 0.552, 0, lean=2),
    "kneel_low": Stance(*_both(0.11, forward=-0.51, pitch=60, yaw_out=4), 0, -0.245, 0.475, 10, lean=8),
    "sit_lean": Stance(*_both(0.14, yaw_out=9), 0, -0.25, 0.7, 32, lean=26),
    "sit": Stance(*_both(0.15, forward=0.02, yaw_out=9), 0, -0.43, 0.53, -4, lean=6),
    "sit_back": Stance(FootPose(0.15, 0.12), FootPose(0.14), 0, -0.43, 0.53, -14, lean=4),
    "floor_lean": Stance(*_both(0.17, yaw_out=14, knee_out=8, pitch=8), 0, -0.25, 0.36, 10, lean=26),
    "floor": Stance(*_both(0.16, forward=0.05, yaw_out=8), 0, -0.5, 0.186, -14, lean=26),
    "floor_long": Stance(_air(0.13, 0.2, 0.2, -72), FootPose(0.14, 0.02), 0, -0.55, 0.186, -10, lean=24),
    "floor_wide": Stance(*_both(0.24, 0.0, yaw_out=18, knee_out=8), 0, -0.5, 0.186, -10, lean=24),
    "bow": Stance(forward=-0.07, height=0.985, pelvis_lean=24, lean=30),
    "reach_low": Stance(*_both(0.15), 0, -0.14, 0.93, 48, lean=58),
    "pick_up": Stance(FootPose(0.13, 0.12), FootPose(0.12, -0.18, pitch=24), 0, -0.06, 0.6, 34, lean=40),
}  # fmt: skip
