"""An undressed body at rest in the form that `looks` dresses, whatever file it came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class BareBody:
    """N points make the surface; V vertices are the points, once for every region that they belong to.

    Attributes:
        name: Which body, for example "anny-17".
        points: (N, 3) float64 metres, axes as in `motion.skeleton`, soles at z = 0.
        vertex_points: (V,) the point of every vertex.
        faces: (T, 3) of vertices, counter-clockwise seen from outside.
        regions: (T,) indices into `people.regions.REGIONS`; a vertex is used by faces of one region only.
        along: (V,) position within the region, see `people.regions`.
        bones: (N, 4) joints that move a point.
        weights: (N, 4) their shares.
        rest_joints: (54, 3) metres.
        lips: (N,) 0 to 1.
        contact_vertices: (C,) vertices that can touch the floor.
        sole_vertices: (2, 2) heel and ball of the left and the right foot.
        age: 0.2 a child of six, 0.5 of fourteen, 0.67 a young adult, 1 very old.
        gender: 0 male to 1 female.
    """

    name: str
    points: np.ndarray
    vertex_points: np.ndarray
    faces: np.ndarray
    regions: np.ndarray
    along: np.ndarray
    bones: np.ndarray
    weights: np.ndarray
    rest_joints: np.ndarray
    lips: np.ndarray
    contact_vertices: np.ndarray
    sole_vertices: np.ndarray
    age: float
    gender: float

    @property
    def point_faces(self) -> np.ndarray:
        """(T, 3) faces of points: without the seams between regions."""
        return self.vertex_points[self.faces]

    def vertex_regions(self) -> np.ndarray:
        """(V,) region of every vertex."""
        regions = np.zeros(len(self.vertex_points), int)
        regions[self.faces.ravel()] = np.repeat(self.regions, 3)
        return regions


def smooth_normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(N, 3) unit normals of the points of a mesh, averaged over faces by area."""
    corners = points[faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    owners = faces.ravel()
    sums = [np.bincount(owners, np.repeat(flat[:, axis], 3), len(points)) for axis in range(3)]
    normals = np.stack(sums, axis=1)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def relaxed(values: np.ndarray, faces: np.ndarray, amounts: np.ndarray, rounds: int) -> np.ndarray:
    """Values (N, C) of points drawn towards their neighbours' mean by `amounts` (N,), several times."""
    # on a closed surface every neighbour follows a point in exactly one face
    start, end = faces.ravel(), faces[:, [1, 2, 0]].ravel()
    counts = np.maximum(np.bincount(start, minlength=len(values)), 1)[:, None]
    for _ in range(rounds):
        sums = [np.bincount(start, column[end], len(values)) for column in values.T]
        values = values + amounts[:, None] * (np.stack(sums, 1) / counts - values)
    return values
