"""Start views and noise for the camera tests."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import strategies as st

from threedimo.camera import CameraPath, View
from threedimo.camera.rotations import rotations_from_vectors


def make_view(azimuth_deg=0.0, elevation_deg=0.0, distance_m=3.0, facing_deg=-90.0, subject=(0.0, 0.0, 0.9)):
    facing = math.radians(facing_deg)
    forward = (math.cos(facing), math.sin(facing), 0.0)
    return View.around(subject, azimuth_deg, elevation_deg, distance_m, subject_forward=forward)


@pytest.fixture(scope="session")
def view():
    """A function that makes a view around a subject."""
    return make_view


@pytest.fixture(scope="session")
def views():
    """Start views at any place, direction and scale from 0.1 to 100, within these elevations."""

    def strategy(lowest_deg=-35.0, highest_deg=50.0):
        return st.builds(
            make_view,
            azimuth_deg=st.floats(-180, 180),
            elevation_deg=st.floats(lowest_deg, highest_deg),
            distance_m=st.floats(-1, 2).map(lambda power: 3 * 10**power),
            facing_deg=st.floats(-180, 180),
            subject=st.tuples(st.floats(-50, 50), st.floats(-50, 50), st.floats(-50, 50)),
        )

    return strategy


@pytest.fixture(scope="session")
def add_noise():
    """A function that adds noise: 0.05 % of a distance, 0.015 degrees and 0.03 % of the lens."""

    def shaken(path: CameraPath, distance_m: float, seed: int) -> CameraPath:
        random, count = np.random.default_rng(seed), path.num_frames
        poses, intrinsics = path.world_from_camera.copy(), path.intrinsics.copy()
        poses[:, :3, 3] += random.normal(0, 0.0005 * distance_m, (count, 3))
        turns = rotations_from_vectors(random.normal(0, np.radians(0.015), (count, 3)))
        poses[:, :3, :3] = path.rotations @ turns
        intrinsics[:, [0, 1], [0, 1]] *= np.exp(random.normal(0, 0.0003, (count, 1)))
        return replace(path, world_from_camera=poses, intrinsics=intrinsics)

    return shaken


@pytest.fixture(scope="session")
def wild_path():
    """A function that makes a valid but senseless path from a seed."""

    def make(seed: int) -> CameraPath:
        random = np.random.default_rng(seed)
        count, scale = int(random.choice([1, 2, 3, 5, 8, 17, 60, 150])), 10.0 ** random.uniform(-6, 6)
        walks = random.random() < 0.8
        steps, turns = random.normal(0, 1, (count, 3)), random.normal(0, 1, (count, 3))
        still = np.zeros((count, 3))
        steps = still if random.random() < 0.2 else np.cumsum(steps, axis=0) / 10 if walks else steps
        turns = still if random.random() < 0.2 else np.cumsum(turns, axis=0) / 10 if walks else turns
        # Straight down or level to begin with: half turns and quarter turns are where formulas break.
        start = rotations_from_vectors(np.array([[np.pi, 0, 0], [np.pi / 2, 0, 0]]))[
            [int(random.integers(2))]
        ]
        poses = np.tile(np.eye(4), (count, 1, 1))
        poses[:, :3, :3] = start @ rotations_from_vectors(turns)
        poses[:, :3, 3] = np.clip(steps * scale, -1e7, 1e7)
        intrinsics = np.tile(np.diag([1.0, 1.0, 1.0]), (count, 1, 1))
        lens = random.normal(6, 3 if random.random() < 0.3 else 0.05, count)
        intrinsics[:, [0, 1], [0, 1]] = np.clip(np.exp(lens), 10, 1e6)[:, None]
        subjects = [None, np.zeros(3), poses[0, :3, 3], np.clip(scale * random.normal(0, 1, 3), -1e7, 1e7)]
        subject = subjects[int(random.integers(4))]
        forward = (0.0, -1.0, 0.0) if subject is not None and random.random() < 0.5 else None
        fps = float(10 ** random.uniform(-3, 3))
        return CameraPath(poses, intrinsics, 832, 480, fps, subject, forward)

    return make
