"""Part of `bake_bodies`: fewer triangles for all identities at once, and what each of them belongs to.

Everything happens on the left half of the body, which ends in a line at x = 0; the right half is its mirror
image, so that surface and weights are exactly symmetric.
"""

from __future__ import annotations

from dataclasses import dataclass

import fast_simplification  # pyright: ignore[reportMissingImports]
import numpy as np
from bake_t_pose import MIRRORED_JOINT
from scipy.sparse import coo_matrix  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]
from scipy.sparse.csgraph import connected_components  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]
from scipy.spatial import cKDTree  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]

from threedimo_training.motion.skeleton import JOINT, MIRROR

# Distances count more or less when triangles are merged: eyes look at faces and hands, toes are in shoes.
_HAND_SCALE, _HEAD_SCALE, _FOOT_SCALE = 2.4, 1.9, 0.5
# Coarse enough that no ray slips between the points of a face.
_CELL_M = 0.004
_BROW_OFFSET_M = (0.0, -0.0028, 0.0008)


@dataclass(frozen=True, eq=False)
class Surface:
    """A reduced, symmetric surface as a linear map of the full one.

    Vertices are ordered: the left half with the middle line, then the right ones. `corners` (L, 3) and
    `shares` (L, 3) make the left vertices from the full surface's; `mirrors` (R,) are the left vertices whose
    images the right ones are; `middle` (L,) tells the vertices at x = 0. Brows lie on the face with `offsets`
    (L, 3) in metres. `parts` names the part of each of the left faces.
    """

    corners: np.ndarray
    shares: np.ndarray
    middle: np.ndarray
    mirrors: np.ndarray
    faces: np.ndarray
    offsets: np.ndarray
    parts: np.ndarray

    def part_faces(self, part: str) -> np.ndarray:
        """(T,) whether faces are of a part: "skin", "eyes" or "brows"."""
        return np.tile(self.parts == part, 2)

    def of(self, full: np.ndarray) -> np.ndarray:
        """(V, 3) reduced surface of one identity's full vertices."""
        left = np.einsum("vk,vkd->vd", self.shares, full[self.corners]) + self.offsets
        left[self.middle, 0] = 0.0
        return np.concatenate([left, left[self.mirrors] @ MIRROR])

    def spread(self, values: np.ndarray) -> np.ndarray:
        """(V, ...) of values per full vertex that are equal on both sides."""
        left = np.einsum("vk,vk...->v...", self.shares, values[self.corners])
        return np.concatenate([left, left[self.mirrors]])

    def weights(self, full: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The four strongest joints of every vertex (V, 4) and their shares (V, 4)."""
        left = np.einsum("vk,vkj->vj", self.shares, full[self.corners])
        left[self.middle] = 0.5 * (left[self.middle] + left[self.middle][:, MIRRORED_JOINT])
        right = left[self.mirrors][:, MIRRORED_JOINT]
        dense = np.concatenate([left, right])
        order = np.argsort(-dense, axis=1, kind="stable")
        strengths = np.take_along_axis(dense, order, axis=1)
        # a left joint must not stay where its equally strong right twin is dropped
        tied = strengths[:, 3] - strengths[:, 4] < 1e-9
        strengths[tied, 3] = 0.0
        kept = strengths[:, :4]
        return order[:, :4], kept / kept.sum(axis=1, keepdims=True)


def seen_faces(vertices: np.ndarray, faces: np.ndarray, num_directions: int = 160) -> np.ndarray:
    """Which faces of a closed-mouthed head can be seen from anywhere outside.

    Points spread over the faces are sorted into a depth grid for each direction of sight.
    """
    rng = np.random.default_rng(0)
    samples = 14
    first, second = rng.random((2, len(faces), samples, 1))
    fold = first + second > 1
    first, second = np.where(fold, 1 - first, first), np.where(fold, 1 - second, second)
    a, b, c = (vertices[faces[:, corner], None] for corner in range(3))
    points = (a + first * (b - a) + second * (c - a)).reshape(-1, 3)
    normals = np.repeat(np.cross(b - a, c - a)[:, 0], samples, axis=0)
    turns = np.arange(num_directions) * np.pi * (3 - np.sqrt(5))
    heights = np.linspace(-0.9, 0.98, num_directions)
    count = np.zeros(len(points))
    for turn, height in zip(turns, heights, strict=True):
        flat = np.sqrt(1 - height**2)
        towards = np.array([flat * np.cos(turn), flat * np.sin(turn), height])
        right = np.cross([0, 0, 1.0], towards) / flat
        grid = (np.stack([points @ right, points @ np.cross(towards, right)], 1) / _CELL_M).astype(int)
        grid -= grid.min(axis=0)
        cell = grid[:, 0] * (grid[:, 1].max() + 1) + grid[:, 1]
        depth = points @ towards
        nearest = np.full(cell.max() + 1, -np.inf)
        np.maximum.at(nearest, cell, depth)
        count += (depth > nearest[cell] - 1.5 * _CELL_M) & (normals @ towards > 0)
    return count.reshape(-1, samples).sum(axis=1) >= 0.02 * num_directions * samples


def largest_piece(faces: np.ndarray) -> np.ndarray:
    """The faces that hang together with most others."""
    start, end = faces[:, [0, 1, 2]].ravel(), faces[:, [1, 2, 0]].ravel()
    count = int(faces.max()) + 1
    _, piece = connected_components(
        coo_matrix((np.ones(len(start)), (start, end)), (count, count)), directed=False
    )
    of_face = piece[faces[:, 0]]
    return faces[of_face == np.bincount(of_face).argmax()]


def mouth_cap(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Triangles between the lips of the left half, where the inner mouth was taken out.

    The edge of the lips is the one border in the head that runs from the middle line to the middle line.
    """
    directed = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    keys = directed[:, 0] * (faces.max() + 1) + directed[:, 1]
    border = directed[~np.isin(keys, directed[:, 1] * (faces.max() + 1) + directed[:, 0])]
    middle = np.abs(vertices[:, 0]) < 1e-6
    following = {int(a): int(b) for a, b in border if not (middle[a] and middle[b])}
    starts = [a for a in following if middle[a]]
    assert len(starts) == 1, "the head's only hole on the middle line is the mouth"
    chain = [starts[0]]
    while chain[-1] in following:
        chain.append(following[chain[-1]])
    # from the corner's side: thin triangles from the upper to the lower lip
    first, last, cap = 0, len(chain) - 1, []
    while last - first > 1:
        cap.append([chain[first], chain[last], chain[first + 1]])
        first += 1
        if last - first > 1:
            cap.append([chain[first], chain[last], chain[last - 1]])
            last -= 1
    return np.array(cap)


def _closest(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Face (P,) and barycentric shares (P, 3) of the nearest points on a surface."""
    _, near = cKDTree(vertices[faces].mean(axis=1)).query(points, k=24)
    a, b, c = (vertices[faces[near, corner]] for corner in range(3))
    u, v, w = b - a, c - a, points[:, None] - a
    uu, uv, vv = (u * u).sum(-1), (u * v).sum(-1), (v * v).sum(-1)
    wu, wv = (w * u).sum(-1), (w * v).sum(-1)
    det = np.maximum(uu * vv - uv * uv, 1e-20)
    s, t = (vv * wu - uv * wv) / det, (uu * wv - uv * wu) / det
    inside = np.stack([1 - s - t, s, t], -1)
    options = [np.where(np.all(inside >= 0, axis=-1, keepdims=True), inside, np.nan)]
    for start, end, along in ((0, 1, wu / uu), (0, 2, wv / vv), (1, 2, None)):
        if along is None:
            edge, rest = c - b, points[:, None] - b
            along = (rest * edge).sum(-1) / (edge * edge).sum(-1)
        share = np.zeros_like(inside)
        share[..., end] = np.clip(along, 0, 1)
        share[..., start] = 1 - share[..., end]
        options.append(share)
    shares = np.stack(options)  # (4, P, near, 3)
    placed = shares[..., :1] * a + shares[..., 1:2] * b + shares[..., 2:] * c
    distance = np.nan_to_num(((placed - points[:, None]) ** 2).sum(-1), nan=np.inf)
    best = distance.transpose(1, 2, 0).reshape(len(points), -1).argmin(axis=1)
    rows = np.arange(len(points))
    return near[rows, best // 4], shares.transpose(1, 2, 0, 3).reshape(len(points), -1, 3)[rows, best]


def _exaggerated(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray) -> np.ndarray:
    hand = [index for name, index in JOINT.items() if name.startswith("left_wrist")]
    hand += range(JOINT["left_index1"], JOINT["left_thumb3"] + 1)
    hands = weights[:, hand].sum(axis=1, keepdims=True)
    head = weights[:, [JOINT["head"]]]
    feet = weights[:, [JOINT["left_ankle"], JOINT["left_foot"]]].sum(axis=1, keepdims=True)
    grown = vertices + feet * (_FOOT_SCALE - 1) * (vertices - joints[JOINT["left_ankle"]])
    grown = grown + hands * (_HAND_SCALE - 1) * (vertices - joints[JOINT["left_wrist"]])
    return grown + head * (_HEAD_SCALE - 1) * (vertices - joints[JOINT["head"]])


@dataclass(frozen=True, eq=False)
class LeftHalf:
    """What is reduced: full vertices (N, 3) of a standard adult in the T-pose and triangles of its left half.

    `skin` is reduced, `eyes` stays as it is, and a brow (points near the face and triangles of them) is laid
    onto the skin.
    """

    vertices: np.ndarray
    skin: np.ndarray
    eyes: np.ndarray
    brow_points: np.ndarray
    brow_faces: np.ndarray


def reduce_half(half: LeftHalf, joints: np.ndarray, weights: np.ndarray, num_faces: int) -> Surface:
    """Reduce the left half to about `num_faces` triangles, chosen on one body for all.

    Args:
        half: What to reduce.
        joints: (54, 3) of that body.
        weights: (N, 54) dense, of the full vertices.
        num_faces: Of the left half, eyes and brows included.
    """
    used, compact = np.unique(half.skin, return_inverse=True)
    compact = compact.reshape(-1, 3)
    big = _exaggerated(half.vertices, joints, weights)[used]
    num_skin = num_faces - len(half.eyes) - len(half.brow_faces)
    points, skin = fast_simplification.simplify(big, compact, target_count=num_skin, agg=3)
    face, shares = _closest(np.asarray(points, float), big, compact)
    brow_face, brow_shares = _closest(half.brow_points, half.vertices[used], compact)
    alone, eyes = np.unique(half.eyes, return_inverse=True)
    corners = [used[compact[face]], np.repeat(alone[:, None], 3, axis=1), used[compact[brow_face]]]
    starts = np.cumsum([0, *map(len, corners)])
    faces = [skin, eyes.reshape(-1, 3) + starts[1], half.brow_faces + starts[2]]
    offsets = np.zeros((starts[3], 3))
    offsets[starts[2] :] = _BROW_OFFSET_M
    shares = np.concatenate([shares, np.tile([1.0, 0.0, 0.0], (len(alone), 1)), brow_shares])
    corners, joined = np.concatenate(corners), np.concatenate(faces)
    x = np.einsum("vk,vk->v", shares, half.vertices[corners][..., 0])
    middle = (np.abs(x) < 1e-3) & _on_border(joined, len(corners))
    mirrors = np.flatnonzero(~middle)
    image = np.arange(len(corners))
    image[mirrors] = len(corners) + np.arange(len(mirrors))
    parts = np.repeat(["skin", "eyes", "brows"], [len(part) for part in faces])
    both = np.concatenate([joined, image[joined][:, ::-1]])
    return Surface(corners, shares, middle, mirrors, both, offsets, parts)


def _on_border(faces: np.ndarray, count: int) -> np.ndarray:
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, times = np.unique(edges, axis=0, return_counts=True)
    border = np.zeros(count, bool)
    border[unique[times == 1]] = True
    return border
