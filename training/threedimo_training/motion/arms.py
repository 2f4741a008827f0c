"""Arms, trunk and head over time: keyed poses on clocks of their own, the movement's own wishes on top."""

from __future__ import annotations

import numpy as np

from threedimo_training.motion.angles import ARM, HEAD, TRUNK, Angles
from threedimo_training.motion.curves import key_times, spline, table, wandering, with_anticipation
from threedimo_training.motion.performance import Performance
from threedimo_training.motion.poses import ARM_POSES, HEAD_POSES, REST_ARM, TRUNK_POSES
from threedimo_training.motion.skeleton import SIDES

_BOTH_ALIKE = 0.3
# Free keys keep away from the moments that the movement dictates.
_CLEAR_S = 0.35


def upper_body_angles(times: np.ndarray, rng: np.random.Generator, performance: Performance) -> Angles:
    """(F,) degrees for every name of `angles.upper_body_names`, before limits."""
    angles: Angles = {}
    trunk = performance.calm * _keyed(times, rng, TRUNK_POSES, TRUNK)
    head = rng.choice([0.35, 1.0]) * _keyed(times, rng, HEAD_POSES, HEAD)
    trunk = trunk + performance.spine + wandering(times, rng, [1.2] * 3)
    head = head + wandering(times, rng, [2.0] * 3)
    # the eyes stay up while the trunk leans
    head[:, 0] -= 0.35 * np.clip(trunk[:, 0] + performance.pelvis_tilt[:, 0], 0, None)
    angles |= {name: trunk[:, index] for index, name in enumerate(TRUNK)}
    angles |= {name: head[:, index] for index, name in enumerate(HEAD)}
    alike = rng.random() < _BOTH_ALIKE
    shared = int(rng.integers(2**31))
    for which, side in enumerate(SIDES):
        own = np.random.default_rng(shared if alike else rng.integers(2**31))
        arm = _one_arm(times, own, performance, which) + wandering(times, rng, [1.0] + [2.2] * (len(ARM) - 1))
        arm[:, ARM.index("arm_forward")] += performance.swing[:, which]
        arm[:, ARM.index("elbow")] += 0.5 * np.clip(performance.swing[:, which] + 10, 0, None)
        angles |= {f"{name}.{side}": arm[:, index] for index, name in enumerate(ARM)}
    return angles


def _keyed(times: np.ndarray, rng: np.random.Generator, poses: dict, names: tuple[str, ...]) -> np.ndarray:
    keys = key_times(rng, 1.7)
    rows = table([poses[str(name)] for name in rng.choice(list(poses), len(keys))], names, {})
    return spline(times, keys, rows * rng.uniform(0.5, 1.1, (len(keys), 1)))


def _one_arm(times: np.ndarray, rng: np.random.Generator, performance: Performance, which: int) -> np.ndarray:
    rest = {**REST_ARM, **performance.arm_base}
    keys = key_times(rng, 1.3)
    menu = [str(name) for name in rng.choice(list(ARM_POSES), size=4, replace=False)]
    busy = rng.random() < performance.free_arms
    menu = [*menu, "rest"] if busy else ["rest"]
    chosen = table([ARM_POSES[menu[i]] for i in rng.integers(0, len(menu), len(keys))], ARM, rest)
    chosen = chosen * rng.uniform(0.85, 1.1, (len(keys), 1)) + rng.normal(
        0, 3.0 if busy else 0.5, chosen.shape
    )
    pause = rng.uniform(0.0, 0.45, len(keys)) * np.diff(keys, append=keys[-1] + 1.0)
    keys = np.stack([keys, keys + pause + 1e-3], axis=1).reshape(-1)
    chosen = np.repeat(chosen, 2, axis=0)
    if performance.arm_keys:
        keys, chosen = _dictated(keys, chosen, rest, performance, which)
    keys, chosen = with_anticipation(keys, chosen, 0.05)
    arm = spline(times, keys, chosen)
    if busy and rng.random() < 0.3:
        # waving, shaking, conducting
        waving = np.sin(2 * np.pi * rng.uniform(1.2, 2.6) * times + rng.uniform(0, 6))
        raised = np.clip((arm[:, ARM.index("elbow")] - 25) / 60, 0, 1)
        arm[:, ARM.index("elbow")] += 22 * waving * raised
        arm[:, ARM.index("forearm_twist")] += 10 * waving * raised
    return arm


def _dictated(
    keys: np.ndarray, chosen: np.ndarray, rest: dict[str, float], performance: Performance, which: int
) -> tuple[np.ndarray, np.ndarray]:
    """Puts the movement's moments in the place of the free keys around them."""
    wanted = performance.arm_keys
    moments = np.array([key.time_s for key in wanted])
    rows = table([ARM_POSES[key.right if which else key.left] for key in wanted], ARM, rest)
    free = (np.abs(keys[:, None] - moments) > _CLEAR_S).all(axis=1)
    # within a move, nothing comes between two dictated moments close to each other
    after = np.searchsorted(moments, keys)
    inside = (after > 0) & (after < len(moments))
    near = np.clip(after, 1, len(moments) - 1) if len(moments) > 1 else None
    if near is not None:
        free &= ~(inside & (moments[near] - moments[near - 1] < 1.6))
    keys, chosen = np.concatenate([keys[free], moments]), np.concatenate([chosen[free], rows])
    order = np.argsort(keys, kind="stable")
    return np.maximum.accumulate(keys[order] + 1e-4 * np.arange(len(order))), chosen[order]
