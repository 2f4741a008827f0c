"""What recorded motions need besides their rotations: another frame rate, a floor, and feet that stand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from threedimo.errors import InvalidMotion
from threedimo_training.motion.motion import Motion
from threedimo_training.motion.planting import runs
from threedimo_training.motion.rotations import interpolate
from threedimo_training.motion.skeleton import JOINT, SIDES, forward_kinematics
from threedimo_training.motion.standard_body import BALL_HEIGHT_M, HIP_HEIGHT_M, REST_JOINTS, lowest_m

MOST_FRAMES = 500_000
# A foot stands while its ball is this low (hip heights above its lowest) and slow (hip heights a second).
_LOW, _SLOW = 0.055, 0.28
_SHORTEST_STAND_S = 0.08
# The floor is where the body's lowest point is in this share of the frames or less (noise aside).
_FLOOR_PERCENTILE = 3.0


def resample(motion: Motion, fps: float) -> Motion:
    """The same movement at another frame rate: rotations on the shortest way, the path straight between.

    Args:
        motion: At any rate.
        fps: The new rate, above 0. The first frame stays; the last is at or just before the old last one.

    Raises:
        InvalidMotion: The rate is no rate.
    """
    if not (np.isfinite(fps) and fps > 0):
        raise InvalidMotion("the frame rate is no rate", given=fps, allowed="above 0")
    last = motion.num_frames - 1
    # half a thousandth of a frame forgives rounded frame times
    count = int(np.floor(last / motion.fps * fps + 5e-4)) + 1
    places = np.minimum(np.arange(count) * motion.fps / fps, last)
    before = np.minimum(places.astype(int), max(last - 1, 0))
    after = np.minimum(before + 1, last)
    share = places - before
    rotations = interpolate(motion.joint_rotations[before], motion.joint_rotations[after], share[:, None])
    path = motion.root_path[before] + share[:, None] * (motion.root_path[after] - motion.root_path[before])
    nearest = np.minimum(np.rint(places).astype(int), last)
    return replace(
        motion,
        fps=float(fps),
        joint_rotations=rotations,
        root_path=path,
        planted=motion.planted[nearest],
    )


def on_floor(root_path: np.ndarray, joint_rotations: np.ndarray) -> np.ndarray:
    """The path (F, 3) moved to the floor that the recording seems to have, starting at x = y = 0."""
    posed = forward_kinematics(REST_JOINTS, joint_rotations, root_path * HIP_HEIGHT_M)
    floor = np.percentile(lowest_m(posed), _FLOOR_PERCENTILE) / HIP_HEIGHT_M
    return root_path - [root_path[0, 0], root_path[0, 1], floor]


def standing_feet(balls: np.ndarray, fps: float) -> np.ndarray:
    """(F, 2) bool, which feet stand still.

    Args:
        balls: (F, 2, 3) balls of the feet, hip heights, z up.
        fps: Frames per second.
    """
    if len(balls) < 2:
        return balls[..., 2] < _LOW + BALL_HEIGHT_M / HIP_HEIGHT_M
    speed = np.linalg.norm(np.gradient(balls, 1.0 / fps, axis=0), axis=-1)
    lowest = np.percentile(balls[..., 2], _FLOOR_PERCENTILE)
    planted = (speed < _SLOW) & (balls[..., 2] < lowest + _LOW)
    for side in range(2):
        for start, stop in runs(planted[:, side]):
            if (stop - start) / fps < _SHORTEST_STAND_S:
                planted[start:stop, side] = False
    return planted


def standard_balls(root_path: np.ndarray, joint_rotations: np.ndarray) -> np.ndarray:
    """(F, 2, 3) balls of the standard body's feet, hip heights, where a file tells no places of its own."""
    posed = forward_kinematics(REST_JOINTS, joint_rotations, root_path * HIP_HEIGHT_M)
    return posed.positions[:, [JOINT[f"{side}_foot"] for side in SIDES]] / HIP_HEIGHT_M
