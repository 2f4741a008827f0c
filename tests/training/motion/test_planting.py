"""People of other proportions on the floor: standing feet do not slide, nothing sinks in."""

from __future__ import annotations

import numpy as np
import pytest

from threedimo_training.motion.motion import Motion
from threedimo_training.motion.planting import place, runs
from threedimo_training.motion.procedural import procedural_motion
from threedimo_training.motion.rotations import rotation_vectors
from threedimo_training.motion.skeleton import PARENTS, forward_kinematics
from threedimo_training.motion.smpl_labels import local_rotations
from threedimo_training.people.looks import make_person


def _check(motion: Motion, person) -> float:
    """Largest slide of a standing foot in metres; heights are asserted on the way."""
    posed = place(motion, person)
    lowest = person.skinned(posed, person.contact_vertices)[..., 2].min(axis=1)
    assert lowest.min() > -1e-3, motion.motion_id
    standing = motion.planted.any(axis=1)
    if standing.any():
        assert lowest[standing].max() < 1e-3, motion.motion_id
    balls = person.skinned(posed, person.sole_vertices[:, 1])[..., :2]
    slides = [
        float(np.hypot(*np.ptp(balls[start:stop, side], axis=0)))
        for side in range(2)
        for start, stop in runs(motion.planted[:, side])
    ]
    return max(slides, default=0.0)


def test_feet_do_not_slide_whoever_performs(make_stand_in):
    for seed in range(60):
        assert _check(procedural_motion(seed, 25, 12.0), make_stand_in(seed % 12)) < 0.01, seed


def test_feet_of_the_baked_people_do_not_slide():
    for seed in range(20):
        assert _check(procedural_motion(seed, 17, 12.0), make_person(seed)) < 0.01, seed


@pytest.mark.slow
def test_feet_do_not_slide_in_a_thousand_motions(make_stand_in):
    slides = [_check(procedural_motion(seed, 17, 8.0), make_stand_in(seed % 12)) for seed in range(1000)]
    assert max(slides) < 0.01


def test_the_placed_pose_is_a_pose_and_close_to_the_motion(make_stand_in):
    differences = []
    for seed in range(20):
        motion, person = procedural_motion(seed, 17, 8.0), make_stand_in(seed % 12)
        posed = place(motion, person)
        local = local_rotations(posed)
        again = forward_kinematics(person.rest_joints, local, posed.positions[:, 0])
        np.testing.assert_allclose(again.positions, posed.positions, atol=1e-9)
        for joint, parent in enumerate(PARENTS[1:], start=1):
            lengths = np.linalg.norm(posed.positions[:, joint] - posed.positions[:, parent], axis=-1)
            rest = np.linalg.norm(person.rest_joints[joint] - person.rest_joints[parent])
            np.testing.assert_allclose(lengths, rest, atol=1e-9)
        turn = rotation_vectors(np.swapaxes(local, -1, -2) @ motion.joint_rotations)
        differences.append(np.degrees(np.linalg.norm(turn, axis=-1)))
    assert np.mean(differences) < 1.0
    assert np.percentile(differences, 99) < 15


def test_placing_makes_no_leg_jump(make_stand_in):
    for seed in range(24):
        motion, person = procedural_motion(seed, 61, 30.0), make_stand_in(seed % 12)
        steps = [
            np.degrees(np.linalg.norm(rotation_vectors(np.swapaxes(r[:-1], -1, -2) @ r[1:]), axis=-1))
            for r in (motion.joint_rotations[:, :12], local_rotations(place(motion, person))[:, :12])
        ]
        # degrees a frame more than the motion's own
        assert (steps[1] - steps[0]).max() < 12, seed


def test_a_jump_leaves_the_floor(make_stand_in):
    frames = 9
    height = 1.0 + 0.3 * np.sin(np.linspace(0, np.pi, frames))
    path = np.stack([np.zeros(frames), np.zeros(frames), height], axis=-1)
    motion = Motion("jump", 8.0, np.tile(np.eye(3), (frames, 54, 1, 1)), path, np.zeros((frames, 2), bool))
    person = make_stand_in(3)
    lowest = person.skinned(place(motion, person), person.contact_vertices)[..., 2].min(axis=1)
    assert abs(lowest[0]) < 1e-3
    assert lowest[frames // 2] > 0.25 * person.rest_joints[0, 2]
