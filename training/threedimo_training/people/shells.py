"""Extra closed surfaces that a body wears: long hair, brims, skirts, buttons of hair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Shell:
    """A surface with its own skinning.

    Attributes:
        vertices: (V, 3) metres in the rest pose.
        faces: (T, 3) counter-clockwise seen from outside.
        bones: (V, 4) joints.
        weights: (V, 4) their shares.
        along: (V,) 0 to 1.
        material: Name of the material in `looks`.
    """

    vertices: np.ndarray
    faces: np.ndarray
    bones: np.ndarray
    weights: np.ndarray
    along: np.ndarray
    material: str


def rigid(vertices: np.ndarray, faces: np.ndarray, joint: int, along: np.ndarray, material: str) -> Shell:
    """A shell that one joint moves."""
    bones = np.zeros((len(vertices), 4), int)
    bones[:, 0] = joint
    return Shell(vertices, faces, bones, np.tile([1.0, 0, 0, 0], (len(vertices), 1)), along, material)


def grid_faces(rows: int, columns: int, closed: bool = False) -> np.ndarray:
    """Triangles of a grid of points, row-major: seen from outside, rows run down and columns to the right.

    Args:
        rows: At least 2.
        columns: At least 2.
        closed: Whether the last column joins the first.
    """
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns - (not closed)), indexing="ij")
    following = (column + 1) % columns
    a, b = (row * columns + column).ravel(), (row * columns + following).ravel()
    c, d = a + columns, b + columns
    return np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])


def tube(rings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of a closed tube through rings (R, K, 3), with a point at either end.

    Each ring runs counter-clockwise seen from the path's start.
    """
    num_rings, columns = rings.shape[:2]
    ends = rings[[0, -1]].mean(axis=1)
    first, last = num_rings * columns, num_rings * columns + 1
    start, following = np.arange(columns), (np.arange(columns) + 1) % columns
    top = np.stack([np.full(columns, first), start, following], 1)
    bottom = (num_rings - 1) * columns
    lid = np.stack([np.full(columns, last), bottom + following, bottom + start], 1)
    faces = np.concatenate([grid_faces(num_rings, columns, closed=True), top, lid])
    return np.concatenate([rings.reshape(-1, 3), ends]), faces


def slab(outer: np.ndarray, inner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of a closed plate between two grids of points (R, K, 3)."""
    rows, columns = outer.shape[:2]
    count = rows * columns
    front = grid_faces(rows, columns)
    back = front[:, ::-1] + count
    index = np.arange(count).reshape(rows, columns)
    rim = np.concatenate([index[0, :-1], index[:-1, -1], index[-1, :0:-1], index[:0:-1, 0]])
    following = np.roll(rim, -1)
    walls = [
        np.stack([rim, following, rim + count], 1),
        np.stack([following, following + count, rim + count], 1),
    ]
    return np.concatenate([outer.reshape(-1, 3), inner.reshape(-1, 3)]), np.concatenate([front, back, *walls])


def ellipsoid(
    centre: np.ndarray, radii: np.ndarray, rows: int = 9, columns: int = 14
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of an ellipsoid."""
    polar = np.linspace(0.12, np.pi - 0.12, rows)[:, None]
    turn = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    ball = np.stack(
        [np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar) + 0 * turn], -1
    )
    return tube(centre + ball * radii)
