"""Samples of stick people: discs along the bones of the real skeleton, seen by real camera paths.

They have everything that a rendered sample has and are drawn in milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from threedimo.camera import MOVES, CameraPath, View, describe
from threedimo_training.motion.skeleton import (
    JOINT,
    JOINT_NAMES,
    NUM_JOINTS,
    PARENTS,
    axis_angle_matrices,
    forward_kinematics,
)
from threedimo_training.samples.sample import FilmedClip, Sample

CENTRE = np.array([0.0, 0.0, 0.9])
REST = {
    "pelvis": (0, 0, 0.95), "spine1": (0, 0, 1.06), "spine2": (0, 0, 1.18), "spine3": (0, 0, 1.24),
    "neck": (0, 0, 1.45), "head": (0, -0.02, 1.55), "left_hip": (0.09, 0, 0.87), "left_knee": (0.1, 0, 0.48),
    "left_ankle": (0.1, 0, 0.08), "left_foot": (0.11, -0.13, 0.03), "left_collar": (0.07, 0, 1.37),
    "left_shoulder": (0.18, 0, 1.4), "left_elbow": (0.43, 0, 1.4), "left_wrist": (0.68, 0, 1.4),
    "left_hand": (0.77, 0, 1.4),
}  # fmt: skip
# How much each joint turns at most, in radians.
LOOSE = {"hip": 0.5, "knee": 0.7, "shoulder": 1.1, "elbow": 1.1}
DISC_M = {"head": 0.11, "torso": 0.13, "arms": 0.055, "legs": 0.085}


def rest_joints() -> np.ndarray:
    """(54, 3): a T-pose; fingers lie in the wrists, which is no harm to what is measured here."""
    joints = np.empty((NUM_JOINTS, 3))
    for name in JOINT_NAMES:
        left = name.replace("right_", "left_")
        known = REST.get(left, REST["left_wrist"])
        joints[JOINT[name]] = known
        if left != name:
            joints[JOINT[name], 0] *= -1
    return joints


def stick_joints(rng: np.random.Generator, num_frames: int, turn: float = 0.4) -> np.ndarray:
    """(F, 54, 3) of a person who sways between two random poses and turns a little."""
    ends = np.zeros((2, NUM_JOINTS, 3))
    for name, amount in LOOSE.items():
        for side in ("left", "right"):
            ends[:, JOINT[f"{side}_{name}"]] = rng.uniform(-amount, amount, (2, 3))
    ends[:, 0, 2] = rng.uniform(-turn, turn, 2) + rng.uniform(-np.pi, np.pi)
    share = np.linspace(0, 1, num_frames)[:, None, None]
    rotations = axis_angle_matrices((1 - share) * ends[0] + share * ends[1])
    roots = np.repeat(rest_joints()[:1], num_frames, axis=0)
    return forward_kinematics(rest_joints(), rotations, roots).positions


def bone_discs(joints: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Part and centre of the discs of one pose (54, 3)."""
    discs = []
    for joint, parent in enumerate(PARENTS[:24]):
        name = JOINT_NAMES[joint]
        if parent < 0 or "collar" in name:
            continue
        part = "torso"
        if any(word in name for word in ("elbow", "wrist", "hand")):
            part = "arms"
        elif any(word in name for word in ("knee", "ankle", "foot")):
            part = "legs"
        elif name == "head":
            part = "head"
        for share in np.linspace(0, 1, 6):
            discs.append((part, (1 - share) * joints[parent] + share * joints[joint]))
    return discs


def film(
    joints: np.ndarray, path: CameraPath, colours: dict[str, np.ndarray], floor: np.ndarray
) -> FilmedClip:
    """Draw a person before a wall that is darker below."""
    size, num_frames = path.width, len(joints)
    rows, columns = np.mgrid[:size, :size] + 0.5
    ramp = np.linspace(1.0, 0.6, size)[:, None, None]
    frames = np.repeat((floor * ramp * np.ones((size, size, 1)))[None], num_frames, axis=0)
    silhouette = np.zeros((num_frames, size, size), bool)
    for frame in range(num_frames):
        seen = []
        for part, point in bone_discs(joints[frame]):
            x, y, depth = (point - path.positions[frame]) @ path.rotations[frame]
            seen.append((depth, part, x, y))
        for depth, part, x, y in sorted(seen, reverse=True):
            focal = path.intrinsics[frame, 0, 0] / depth
            u, v = focal * x + size / 2, focal * y + size / 2
            disc = (columns - u) ** 2 + (rows - v) ** 2 < (DISC_M[part] * focal) ** 2
            frames[frame, disc] = colours[part] * (1 - 0.05 * (depth - 3))
            silhouette[frame] |= disc
    return FilmedClip(
        frames=frames.clip(0, 255).round().astype(np.uint8),
        person_id=f"stick-{int(colours['torso'][0])}",
        text=describe(path),
        path=path,
        silhouette=silhouette,
        joints_world=joints.astype(np.float32),
    )


def stick_camera(rng: np.random.Generator, move: str, num_frames: int, size: int, fps: float) -> CameraPath:
    view = View.around(
        CENTRE, distance_m=3.4, azimuth_deg=float(rng.uniform(-180, 180)), width=size, height=size
    )
    amount = 60.0 if move.startswith("arc") else None
    return MOVES[move](view, num_frames, fps, amount)


def stick_sample(
    rng: np.random.Generator, role: str, *, size: int = 32, num_frames: int = 9, held_out: bool = True
) -> Sample:
    joints = stick_joints(rng, num_frames)
    move = str(rng.choice(["arc_left", "arc_right"])) if role == "moving_camera" else "static"
    path = stick_camera(rng, move, num_frames, size, 8.0)
    driving_path = path if role == "same_view" else stick_camera(rng, "static", num_frames, size, 8.0)
    clips = []
    for each in (driving_path, path):
        colours = {part: rng.uniform(20, 235, 3) for part in DISC_M}
        clips.append(film(joints, each, colours, rng.uniform(60, 200, 3)))
    return Sample(
        sample_id=f"stick-{role}",
        role=role,
        driving=clips[0],
        target=clips[1],
        fps=8.0,
        motion_id=f"sway-{int(joints[0, 20, 0] * 1e6)}",
        held_out=held_out,
        seed=0,
        source="synthetic",
    )


@pytest.fixture(scope="session")
def draw() -> Callable[[np.random.Generator, str], Sample]:
    """A drawer of held-out clips for the tiny model: 9 frames of 32x32 at 8 fps."""
    return stick_sample


@pytest.fixture(scope="session")
def numbered() -> Callable[[bool], Callable[[int], Sample]]:
    """Samples by number, of 4 frames, for the probe."""

    def source(held_out: bool) -> Callable[[int], Sample]:
        def sample(index: int) -> Sample:
            rng = np.random.default_rng([int(held_out), index])
            role = ("same_view", "cross_view", "moving_camera")[index % 3]
            return stick_sample(rng, role, num_frames=4, held_out=held_out)

        return sample

    return source
