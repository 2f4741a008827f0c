"""Stand-ins for licensed body models: the same keys and shapes, filled from the body that we may share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from threedimo_training.motion.skeleton import BODY_JOINTS, FINGERS, JOINT, PARENTS, SIDES
from threedimo_training.motion.smpl_labels import SMPL_AXES
from threedimo_training.people.baked import load_bodies

_FINGERS = [f"{side}_{finger}{part}" for side in SIDES for finger in FINGERS for part in (1, 2, 3)]
_BODY = list(BODY_JOINTS[:22])
_KINDS = {
    "SMPL": (6890, [*_BODY, "left_hand", "right_hand"]),
    "SMPLH": (6890, [*_BODY, *_FINGERS]),
    "SMPLX": (10475, [*_BODY, "jaw", "left_eye", "right_eye", *_FINGERS]),
}
MakeModel = Callable[..., Path]


def _refined(points: np.ndarray, faces: np.ndarray, weights: np.ndarray, size: int):
    """Put a point into the largest faces until there are `size` points."""
    corners = points[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    split = np.argsort(-area)[: size - len(points)]
    middle = len(points) + np.arange(len(split))
    a, b, c = faces[split].T
    thirds = [np.stack(corner, 1) for corner in ((a, b, middle), (b, c, middle), (c, a, middle))]
    return (
        np.concatenate([points, corners[split].mean(axis=1)]),
        np.concatenate([np.delete(faces, split, axis=0), *thirds]),
        np.concatenate([weights, weights[faces[split]].mean(axis=1)]),
    )


@pytest.fixture(scope="session")
def refined_bodies() -> dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    body = load_bodies().body(0)
    dense = np.zeros((len(body.points), len(JOINT)))
    np.put_along_axis(dense, body.bones, body.weights, axis=1)
    small = _refined(body.points, body.point_faces, dense, 6890)
    return {6890: small, 10475: _refined(*small, 10475)}


@pytest.fixture(scope="session")
def make_model(refined_bodies, tmp_path_factory: pytest.TempPathFactory) -> MakeModel:
    """Write a stand-in of a kind; keyword arguments replace arrays, None leaves them out."""

    def make(kind: str, name: str = "", **changes: np.ndarray | None) -> Path:
        size, names = _KINDS[kind]
        points, faces, dense = refined_bodies[size]
        ours = [JOINT.get(joint, JOINT["head"]) for joint in names]
        weights = dense[:, ours].copy()
        weights[:, [index for index, joint in enumerate(names) if joint not in JOINT]] = 0
        if kind == "SMPL":
            for side in SIDES:
                fingers = [JOINT[joint] for joint in _FINGERS if joint.startswith(side)]
                weights[:, names.index(f"{side}_hand")] += dense[:, fingers].sum(axis=1)
        weights /= weights.sum(axis=1, keepdims=True)
        joints = load_bodies().rest_joints[0][ours]
        parents = [
            names.index(_named(PARENTS[JOINT[j]])) if j in JOINT else names.index("head") for j in names[1:]
        ]
        rng = np.random.default_rng(5)
        arrays: dict[str, np.ndarray | None] = {
            "v_template": (points @ SMPL_AXES).astype(np.float32),
            "f": faces.astype(np.uint32),
            # a shape direction scales the body a little; the others bend it hardly
            "shapedirs": np.concatenate(
                [0.02 * (points @ SMPL_AXES)[..., None], 1e-5 * rng.normal(size=(size, 3, 19))], axis=-1
            ).astype(np.float32),
            "posedirs": np.zeros((size, 3, 9 * (len(names) - 1)), np.float32),
            "J_regressor": _regressor(points, joints),
            "weights": weights,
            "kintree_table": np.array([[2**32 - 1, *parents], range(len(names))], np.int64),
            "hands_componentsl": np.eye(45), "hands_componentsr": np.eye(45),
            "hands_meanl": np.full(45, 0.1), "hands_meanr": np.full(45, 0.1),
            "lmk_faces_idx": np.zeros(51, np.int64), "lmk_bary_coords": np.full((51, 3), 1 / 3),
        }  # fmt: skip
        arrays |= changes
        path = tmp_path_factory.mktemp("licensed") / f"{name or kind + '_NEUTRAL'}.npz"
        np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
        return path

    return make


def _named(joint: int) -> str:
    return next(name for name, index in JOINT.items() if index == joint)


def _regressor(points: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Each joint as a combination of its 40 nearest points that is exact and sums to 1."""
    regressor = np.zeros((len(joints), len(points)))
    for row, joint in zip(regressor, joints, strict=True):
        near = np.argsort(np.linalg.norm(points - joint, axis=1))[:40]
        system = np.concatenate([points[near].T, np.ones((1, 40))])
        row[near] = np.linalg.lstsq(system, np.append(joint, 1.0), rcond=None)[0]
    return regressor
