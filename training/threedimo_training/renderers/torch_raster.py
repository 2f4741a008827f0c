"""In tensors: skinning, which face each sample sees, and the person's shadow on the floor.

Whole batches of frames of several people at once: a frame knows its shot, people are padded to the largest.
No step is a matrix product, because a training may run those at lower precision. `cpu_raster` says the same
in loops.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from threedimo_training.renderers.picture import (
    CONTACT_M,
    CONTACT_SHARES,
    NEAR_M,
    SHADOW_BORDER,
    SHADOW_CELLS,
    SHADOW_GAIN,
)

NOTHING = torch.iinfo(torch.int64).max
_FACE_BITS = 32
# Areas are summed as whole numbers: the sum of floats would depend on the order in which a device adds them.
_STEPS = 1 << 20


class Posed(NamedTuple):
    """Vertices of F frames; V is the largest number of vertices.

    Attributes:
        world: (F, V, 3).
        turned: (F, V, 3) normals, not of unit length.
        screen: (F, V, 3) x depth, y depth, depth; x and y in samples.
    """

    world: Tensor
    turned: Tensor
    screen: Tensor


class Shadow(NamedTuple):
    """Grids on the floor below F people.

    Attributes:
        layers: (F, 2, cells, cells) lamp taken away; darkening from above.
        corner: (F, 2) x and y of the lower corner, metres.
        cell: (F,) size of a cell, metres.
    """

    layers: Tensor
    corner: Tensor
    cell: Tensor


def transform(matrices: Tensor, points: Tensor) -> Tensor:
    """Product of matrices (..., 3, 3 or 4) and points (..., 3); a fourth column is added."""
    moved = (matrices[..., :3] * points[..., None, :]).sum(-1)
    return moved + matrices[..., 3] if matrices.shape[-1] == 4 else moved


def skin(
    bones: Tensor, vertices: Tensor, normals: Tensor, bone_ids: Tensor, weights: Tensor, projection: Tensor
) -> Posed:
    """Linear blend skinning.

    Args:
        bones: (F, 54, 3, 4).
        vertices: (F, V, 3) of each frame's person at rest.
        normals: (F, V, 3).
        bone_ids: (F, V, 4) int64.
        weights: (F, V, 4).
        projection: (F, 3, 4).
    """
    num_frames, num_bones = bones.shape[:2]
    rows = bones.reshape(num_frames * num_bones, 12)
    index = bone_ids + num_bones * torch.arange(num_frames, device=bones.device)[:, None, None]
    blended = torch.zeros((*vertices.shape[:2], 12), dtype=vertices.dtype, device=vertices.device)
    for slot in range(bone_ids.shape[-1]):
        blended.addcmul_(rows[index[..., slot]], weights[..., slot, None])
    matrices = blended.unflatten(-1, (3, 4))
    world = transform(matrices, vertices)
    return Posed(world, transform(matrices[..., :3], normals), transform(projection[:, None], world))


def corners(values: Tensor, faces: Tensor) -> Tensor:
    """(F, T, 3, C) values at the corners of faces (F, T, 3), from (F, V, C)."""
    num_frames, num_vertices = values.shape[:2]
    index = faces + num_vertices * torch.arange(num_frames, device=faces.device)[:, None, None]
    return values.reshape(-1, values.shape[-1])[index]


def _bounds(corner: Tensor) -> tuple[Tensor, Tensor]:
    """Least and greatest x and y (..., 2) of what of the triangles (..., 3, 3) is before the near plane."""
    following = corner.roll(-1, dims=-2)
    depth, next_depth = corner[..., 2:], following[..., 2:]
    ahead = depth >= NEAR_M
    crossing = ahead != (next_depth >= NEAR_M)
    share = (NEAR_M - depth) / torch.where(crossing, next_depth - depth, 1.0)
    cut = (corner[..., :2] + share * (following[..., :2] - corner[..., :2])) / NEAR_M
    seen = corner[..., :2] / torch.where(ahead, depth, 1.0)
    inf = torch.inf
    low = torch.minimum(torch.where(ahead, seen, inf), torch.where(crossing, cut, inf)).amin(-2)
    high = torch.maximum(torch.where(ahead, seen, -inf), torch.where(crossing, cut, -inf)).amax(-2)
    # a sample of slack: what lies at the near plane itself is decided by depth
    slack = crossing.any(-2).to(low.dtype)
    return low - slack, high + slack


def edge_functions(corner: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The triple products of two corners and the ray (x, y, 1); see `cpu_raster`. Corners (..., 3, 3)."""
    ax, ay = corner[..., 0, 0] - corner[..., 0, 2] * x, corner[..., 0, 1] - corner[..., 0, 2] * y
    bx, by = corner[..., 1, 0] - corner[..., 1, 2] * x, corner[..., 1, 1] - corner[..., 1, 2] * y
    cx, cy = corner[..., 2, 0] - corner[..., 2, 2] * x, corner[..., 2, 1] - corner[..., 2, 2] * y
    return bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx


def draw(screen: Tensor, faces: Tensor, rows: int, columns: int, pieces_of: int) -> Tensor:
    """The nearest face of each sample, (F, rows x columns) int64; `NOTHING` where there is none.

    Every pair of a face and a sample within its bounds becomes one element: faces of all sizes cost what they
    cover, without a loop over faces. Depth and face are packed into one number, whose minimum wins.

    Args:
        screen: (F, V, 3), see `Posed`.
        faces: (F, T, 3) int64.
        rows: Rows of samples.
        columns: Columns of samples.
        pieces_of: How many pairs to test at once, about; bounds the memory.
    """
    num_frames, num_faces = faces.shape[:2]
    corner = corners(screen, faces)
    low, high = _bounds(corner)
    limit = torch.tensor([columns, rows], dtype=screen.dtype, device=screen.device)
    first = (low - 0.5).ceil().clamp(min=0.0).minimum(limit)
    last = (high - 0.5).floor().minimum(limit - 1).clamp(min=-1.0)
    span = (last - first + 1).clamp(min=0.0)
    reached = (span.prod(-1) > 0).reshape(-1).nonzero()[:, 0]
    corner, first, span = (
        corner.reshape(-1, 3, 3)[reached],
        first.reshape(-1, 2)[reached],
        span.reshape(-1, 2)[reached],
    )
    nearest = torch.full((num_frames * rows * columns,), NOTHING, dtype=torch.int64, device=screen.device)
    setup = _setup(corner, first, span, reached, num_faces, rows * columns, columns)
    ends = span.prod(-1).long().cumsum(0)
    for start, stop, total in _pieces(ends, pieces_of):
        _test(_Setup(*(part[start:stop] for part in setup)), columns, total, nearest)
    return nearest.reshape(num_frames, -1)


class _Setup(NamedTuple):
    """N faces that may cover samples.

    Attributes:
        edges: (N, 9) the three edge functions at the first sample, their steps in x, their steps in y.
        volume: (N,).
        width: (N,) int64 columns of their bounds.
        size: (N,) int64 samples of their bounds.
        first: (N,) int64 place of the first sample among all frames' samples.
        face: (N,) int64 number within the frame.
    """

    edges: Tensor
    volume: Tensor
    width: Tensor
    size: Tensor
    first: Tensor
    face: Tensor


def _setup(
    corner: Tensor, first: Tensor, span: Tensor, reached: Tensor, num_faces: int, samples: int, columns: int
) -> _Setup:
    z = corner[..., 2]
    x = corner[..., 0] - z * (first[:, :1] + 0.5)
    y = corner[..., 1] - z * (first[:, 1:] + 0.5)
    # of each edge: the two corners that follow the one opposite
    x1, y1, z1 = x.roll(-1, -1), y.roll(-1, -1), z.roll(-1, -1)
    x2, y2, z2 = x.roll(-2, -1), y.roll(-2, -1), z.roll(-2, -1)
    start = x1 * y2 - y1 * x2
    volume = (z * start).sum(-1)
    edges = torch.cat([start, y1 * z2 - z1 * y2, z1 * x2 - x1 * z2], dim=-1) * volume.sign()[:, None]
    frame = reached // num_faces
    place = frame * samples + first[:, 1].long() * columns + first[:, 0].long()
    return _Setup(
        edges, volume.abs(), span[:, 0].long(), span.prod(-1).long(), place, reached - frame * num_faces
    )


def _pieces(ends: Tensor, pieces_of: int) -> list[tuple[int, int, int]]:
    """Ranges of faces whose bounds hold about `pieces_of` samples: start, stop, samples."""
    if len(ends) == 0:
        return []
    total = int(ends[-1])
    if total <= pieces_of:
        return [(0, len(ends), total)]
    marks = torch.arange(pieces_of, total, pieces_of, device=ends.device)
    stops = torch.unique(torch.searchsorted(ends, marks) + 1)
    reached = [0, *ends[stops - 1].tolist(), total]
    borders = [0, *stops.tolist(), len(ends)]
    return [
        (borders[i], borders[i + 1], reached[i + 1] - reached[i])
        for i in range(len(borders) - 1)
        if borders[i] < borders[i + 1]
    ]


def _test(setup: _Setup, columns: int, total: int, nearest: Tensor) -> None:
    """Test all samples within the bounds of these faces and keep nearer hits in `nearest`."""
    numbers = torch.arange(len(setup.size), device=nearest.device)
    owner = torch.repeat_interleave(numbers, setup.size, output_size=total)
    begin = setup.size.cumsum(0) - setup.size
    offset = torch.arange(total, device=nearest.device) - begin[owner]
    width = setup.width[owner]
    down = offset // width
    right = offset - down * width
    edges = setup.edges[owner]
    u, v = right.to(edges.dtype)[:, None], down.to(edges.dtype)[:, None]
    values = edges[:, :3] + v * edges[:, 6:] + u * edges[:, 3:6]
    depth = setup.volume[owner] / values.sum(-1)
    hit = ((values.amin(-1) >= 0) & (depth >= NEAR_M) & (depth < torch.inf)).nonzero()[:, 0]
    owner = owner[hit]
    # positive floats are ordered as their bits are
    key = (depth[hit].view(torch.int32).long() << _FACE_BITS) | setup.face[owner]
    place = setup.first[owner] + down[hit] * columns + right[hit]
    nearest.scatter_reduce_(0, place, key, "amin")


def face_of(nearest: Tensor) -> Tensor:
    """Numbers of the faces that `draw` packed, where it is not `NOTHING`."""
    return nearest & ((1 << _FACE_BITS) - 1)


def cast_shadow(world: Tensor, faces: Tensor, present: Tensor, lamp: Tensor) -> Shadow:
    """Shadow and contact darkening on the floor; see `cpu_raster.cast_shadow`.

    Args:
        world: (F, V, 3); padding repeats a vertex of the person.
        faces: (F, T, 3) int64; padding repeats one vertex and has no area.
        present: (F, V) bool, False for padding.
        lamp: (F, 3) unit vectors towards the lamp.
    """
    slope = (lamp[:, :2] / lamp[:, 2:])[:, None]
    height = world[..., 2:].clamp(min=0.0)
    beside = world[..., :2] - slope * height
    points = torch.cat([world[..., :2], beside], dim=1)
    known = torch.cat([present, present], dim=1)[..., None]
    low = torch.where(known, points, torch.inf).amin(1)
    high = torch.where(known, points, -torch.inf).amax(1)
    cell = (high - low).amax(-1).clamp(min=0.1) / (SHADOW_CELLS - 2 * SHADOW_BORDER)
    corner = low - SHADOW_BORDER * cell[:, None]
    a, b, c = corners(world, faces).unbind(2)
    e, p = b - a, c - a
    middle = (a + b + c) / 3
    z = middle[..., 2:].clamp(min=0.0)
    gain = (SHADOW_GAIN / cell**2)[:, None]
    seen = (e[..., 2:] * slope, p[..., 2:] * slope)
    shadow = 0.5 * gain * _crossed(e[..., :2] - seen[0], p[..., :2] - seen[1]).abs()
    weight = sum(
        share / (1 + (z[..., 0] / metres) ** 2)
        for share, metres in zip(CONTACT_SHARES, CONTACT_M, strict=True)
    )
    contact = 0.5 * gain * weight * _crossed(e[..., :2], p[..., :2]).abs()
    at = (middle[..., :2] - corner[:, None]) / cell[:, None, None]
    at_shadow = (middle[..., :2] - slope * z - corner[:, None]) / cell[:, None, None]
    layers = torch.stack([_splat(at_shadow, shadow), _blur(_splat(at, contact))], dim=1)
    return Shadow(_blur(layers), corner, cell)


def _crossed(first: Tensor, second: Tensor) -> Tensor:
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]


def _splat(at: Tensor, amounts: Tensor) -> Tensor:
    """(F, cells, cells) sums, at most 1, of amounts (F, T) spread over four cells around places (F, T, 2)."""
    num_frames = len(at)
    low = (at - 0.5).floor()
    share = at - 0.5 - low
    frame = torch.arange(num_frames, device=at.device)[:, None]
    index = (frame * SHADOW_CELLS + low[..., 1].long()) * SHADOW_CELLS + low[..., 0].long()
    sums = torch.zeros(num_frames * SHADOW_CELLS**2, dtype=torch.int64, device=at.device)
    u, v = share.unbind(-1)
    for step, part in (
        (0, (1 - u) * (1 - v)),
        (1, u * (1 - v)),
        (SHADOW_CELLS, (1 - u) * v),
        (SHADOW_CELLS + 1, u * v),
    ):
        whole = (part * amounts * _STEPS).round().long()
        sums.scatter_add_(0, (index + step).reshape(-1), whole.reshape(-1))
    layer = (sums.to(at.dtype) / _STEPS).clamp(max=1.0)
    return layer.reshape(num_frames, SHADOW_CELLS, SHADOW_CELLS)


def _blur(layers: Tensor) -> Tensor:
    """Binomial blur of five cells each way; the border is empty anyway."""
    for dim in (-1, -2):
        near = layers.roll(1, dim) + layers.roll(-1, dim)
        far = layers.roll(2, dim) + layers.roll(-2, dim)
        layers = (6 * layers + 4 * near + far) / 16
    return layers
