"""A stand-in person: the standard skeleton in other proportions, with a few points of skin on every joint."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from threedimo_training.motion.skeleton import JOINT, NUM_JOINTS, PARENTS, SIDES
from threedimo_training.motion.standard_body import REST_JOINTS
from threedimo_training.people.person import Cloth, Person


def _stretched(seed: int) -> np.ndarray:
    """Joints of other proportions: legs, arms and trunk differ by up to a tenth, statures by a third."""
    rng = np.random.default_rng(seed)
    factors = np.ones(NUM_JOINTS)
    for names, spread in (
        (("hip",), 0.15), (("knee",), 0.06), (("ankle",), 0.06), (("foot",), 0.08), (("shoulder",), 0.12),
        (("elbow", "wrist"), 0.08),
    ):  # fmt: skip
        factor = rng.uniform(1 - spread, 1 + spread)
        for name in names:
            factors[[JOINT[f"{side}_{name}"] for side in SIDES]] = factor
    joints = np.zeros((NUM_JOINTS, 3))
    for joint, parent in enumerate(PARENTS[1:], start=1):
        joints[joint] = joints[parent] + factors[joint] * (REST_JOINTS[joint] - REST_JOINTS[parent])
    return joints * rng.uniform(0.7, 1.15)


@pytest.fixture(scope="session")
def make_stand_in() -> Callable[[int], Person]:
    return stand_in


def stand_in(seed: int) -> Person:
    joints = _stretched(seed)
    points: list[np.ndarray] = []
    bones: list[list[int]] = []
    weights: list[list[float]] = []
    soles = np.zeros((2, 2), np.int32)

    def add(point: np.ndarray, joint: int, second: int | None = None) -> int:
        points.append(point)
        bones.append([joint, joint if second is None else second, joint, joint])
        weights.append([0.6, 0.4, 0.0, 0.0] if second is not None else [1.0, 0.0, 0.0, 0.0])
        return len(points) - 1

    for joint in range(1, NUM_JOINTS):
        radius = 0.012 if joint >= 24 else 0.05
        for corner in np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]):
            if joint not in [JOINT[f"{side}_{name}"] for side in SIDES for name in ("ankle", "foot")]:
                add(joints[joint] + radius * corner, joint)
    for side, name in enumerate(SIDES):
        ankle, ball = JOINT[f"{name}_ankle"], JOINT[f"{name}_foot"]
        drop = joints[ball, 2] - 0.025
        for dx in (-0.03, 0.03):
            add(np.array([joints[ball, 0] + dx, joints[ball, 1] - 0.06, drop]), ball)
            add(np.array([joints[ball, 0] + dx, joints[ball, 1], drop]), ball, ankle)
            add(np.array([joints[ankle, 0] + dx, joints[ankle, 1] + 0.05, drop]), ankle)
        soles[side] = (
            add(np.array([joints[ankle, 0], joints[ankle, 1] + 0.05, drop]), ankle),
            add(np.array([joints[ball, 0], joints[ball, 1], drop]), ball, ankle),
        )
    vertices = np.array(points)
    floor = vertices[:, 2].min()
    vertices[:, 2] -= floor
    joints = joints - [0.0, 0.0, floor]
    count = len(vertices)
    nothing = np.zeros((0, 3), np.int32)
    cloth = Cloth(
        np.zeros((1, 3, 3, 3), np.float32),
        np.zeros((1, 3), np.int32),
        np.ones((1, 3), np.float32),
        np.ones((1, 2), np.float32),
    )
    return Person(
        identity=f"stand-in-{seed}",
        vertices=vertices.astype(np.float32),
        normals=np.tile(np.array([0, 0, 1], np.float32), (count, 1)),
        faces=nothing,
        bones=np.array(bones, np.int16),
        weights=np.array(weights, np.float32),
        rest_joints=joints,
        materials=np.zeros(0, np.int16),
        along=np.zeros(count, np.float32),
        tints=np.ones((count, 3), np.float32),
        hands=np.zeros(0, np.int8),
        cloth=cloth,
        back_from_m=0.0,
        contact_vertices=np.arange(count, dtype=np.int32),
        sole_vertices=soles,
    )
