"""In tensors: what rays that miss the person see; `cpu_surroundings` says the same in loops.

Samples of all places of a batch are one list, which is sorted out by what it meets: floor, wall, block,
hills, sky. Each surface is computed for its own samples only, all places at once: neither the number of
kernels nor the memory they move grows with what is not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from threedimo_training.renderers.picture import (
    COARSE_DETAIL,
    CONTACT_STRENGTH,
    FINE_DETAIL,
    HAZE_LIMIT,
    HAZE_M,
    SHADOW_CELLS,
)
from threedimo_training.renderers.scene import BOARDS, BRICKS, HILLS, NOISE, NOISE_CELLS, Scene
from threedimo_training.renderers.torch_patterns import FLOORS, WALLS, block_pattern, smooth
from threedimo_training.renderers.torch_raster import Shadow

_LEAST = 1e-9


class Places(NamedTuple):
    """Numbers of S places, (S, ...) each, named as in `Scene`; then some that follow from them.

    Attributes:
        half_m: (S,) half the distance between walls.
        blocks: (S, NUM_BLOCKS, 13), see `Scene.block_table`.
        noise: `scene.NOISE`, flat.
    """

    outdoors: Tensor
    floor_kind: Tensor
    floor_size_m: Tensor
    floor_colours: Tensor
    wall_kinds: Tensor
    wall_size_m: Tensor
    wall_height_m: Tensor
    wall_colours: Tensor
    mark_colours: Tensor
    picture_places: Tensor
    picture_colours: Tensor
    sky_colours: Tensor
    clouds: Tensor
    lamp: Tensor
    lamp_light: Tensor
    sky_light: Tensor
    bounce_light: Tensor
    side_lights: Tensor
    half_m: Tensor
    blocks: Tensor
    noise: Tensor


def places_of(scenes: Sequence[Scene], device: torch.device) -> Places:
    """Places (wide enough) as tensors on a device."""
    derived = {
        "half_m": np.array([scene.clear_m + scene.margin_m for scene in scenes]),
        "blocks": np.stack([scene.block_table() for scene in scenes]),
        "noise": NOISE.reshape(-1),
    }
    columns = [
        derived[name] if name in derived else np.array([getattr(scene, name) for scene in scenes])
        for name in Places._fields
    ]
    return Places(*(torch.from_numpy(column).to(device) for column in columns))


class Looks(NamedTuple):
    """N samples.

    Attributes:
        frame: (N,) int64.
        shot: (N,) int64.
        eye: (N, 3) metres.
        ray: (N, 3) the direction that reaches a depth of 1 m; never 0 in any axis.
        spread: (N,) metres between neighbouring samples at a depth of 1 m.
        block_side: (N,) int64: five times the number of a block, plus 0 to 4 where it is met from -x, +x,
            -y, +y or above; -1 where no block is met.
    """

    frame: Tensor
    shot: Tensor
    eye: Tensor
    ray: Tensor
    spread: Tensor
    block_side: Tensor


def block_corners(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """The blocks' sides as triangles: corners (S, 8 blocks, 3), faces (10 blocks, 3) int64.

    Two faces for each side, in the order of `Looks.block_side`.
    """
    num_places, num_blocks = blocks.shape[:2]
    zero = torch.zeros_like(blocks[..., 4])
    spans = ((blocks[..., 0], blocks[..., 1]), (blocks[..., 2], blocks[..., 3]), (zero, blocks[..., 4]))
    corners = [
        torch.stack([spans[0][i], spans[1][j], spans[2][k]], dim=-1)
        for i in range(2)
        for j in range(2)
        for k in range(2)
    ]
    sides = [(0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (1, 3, 7, 5)]
    one = torch.tensor([corner for a, b, c, d in sides for corner in ((a, b, c), (a, c, d))])
    faces = (one + 8 * torch.arange(num_blocks)[:, None, None]).reshape(-1, 3)
    return torch.stack(corners, dim=2).reshape(num_places, 8 * num_blocks, 3), faces.to(blocks.device)


def shade_surroundings(looks: Looks, places: Places, scenes: Sequence[Scene], shadow: Shadow) -> Tensor:
    """(N, 3) colours, at most 1.

    Args:
        looks: Samples that miss the person.
        places: All places of the batch.
        scenes: Those that these samples may see: tell which kinds of patterns to compute.
        shadow: Of the frames.
    """
    picture = torch.empty_like(looks.ray)
    blocked = looks.block_side >= 0
    depth, on_floor, through_x = _meet_room(looks, places)
    height = looks.eye[:, 2] + depth * looks.ray[:, 2]
    outdoors = places.outdoors[looks.shot] > 0
    beyond = ~(blocked | on_floor)
    on_wall = beyond & ~outdoors & (height <= places.wall_height_m[looks.shot])
    at = blocked.nonzero()[:, 0]
    picture[at] = _shade_blocks(_taken(looks, at), places)
    at = (on_floor & ~blocked).nonzero()[:, 0]
    picture[at] = _shade_floor(_taken(looks, at), places, depth[at], scenes, shadow)
    at = on_wall.nonzero()[:, 0]
    picture[at] = _shade_walls(_taken(looks, at), places, depth[at], through_x[at], scenes)
    at = (beyond & ~on_wall).nonzero()[:, 0]
    picture[at] = _shade_sky(_taken(looks, at), places)
    if any(scene.outdoors for scene in scenes):
        at = (beyond & outdoors).nonzero()[:, 0]
        picture[at] = _shade_hills(_taken(looks, at), places, depth[at], through_x[at], picture[at])
    return picture.clamp_(max=1.0)


def _taken(looks: Looks, at: Tensor) -> Looks:
    return Looks(*(part[at] for part in looks))


def _meet_room(looks: Looks, places: Places) -> tuple[Tensor, Tensor, Tensor]:
    """Depth of floor or wall, whether it is the floor, whether the wall is one across x."""
    half = places.half_m[looks.shot, None]
    level_eye, level_ray = looks.eye[:, :2], looks.ray[:, :2]
    across = (torch.where(level_ray > 0, half, -half) - level_eye) / level_ray
    wall = across.amin(-1)
    down = -looks.eye[:, 2] / looks.ray[:, 2]
    on_floor = (looks.ray[:, 2] < 0) & (down < wall)
    return torch.where(on_floor, down, wall), on_floor, across[:, 0] < across[:, 1]


def _met(looks: Looks, depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where the rays are at these depths: x, y, z."""
    x, y, z = (looks.eye + depth[:, None] * looks.ray).unbind(-1)
    return x, y, z


def _reach(looks: Looks, depth: Tensor) -> Tensor:
    """A sample's size at these depths, across the ray; over its slant it is that on a surface."""
    return depth * looks.spread * (looks.ray * looks.ray).sum(-1).sqrt()


def _mix(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    return first + (second - first) * share[:, None]


def _hazy(colour: Tensor, looks: Looks, places: Places, depth: Tensor) -> Tensor:
    share = (depth / HAZE_M).clamp(max=HAZE_LIMIT) * places.outdoors[looks.shot]
    return _mix(colour, places.sky_colours[looks.shot, 0], share)


def _corner_shade(distance: Tensor) -> Tensor:
    return 1 - 0.28 / (1 + (distance / 0.35) ** 2)


def _shade_floor(
    looks: Looks, places: Places, depth: Tensor, scenes: Sequence[Scene], shadow: Shadow
) -> Tensor:
    shot = looks.shot
    x, y, _ = _met(looks, depth)
    size = places.floor_size_m[shot]
    u, v, kind = x / size, y / size, places.floor_kind[shot]
    share, line = torch.empty_like(u), torch.empty_like(u, dtype=torch.bool)
    for present in {scene.floor_kind for scene in scenes}:
        at = (kind == present).nonzero()[:, 0]
        share[at], line[at] = FLOORS[present](places.noise, u[at], v[at])
    blur = _reach(looks, depth) / looks.ray[:, 2].abs() / (0.45 * size)
    fade = 1 / (1 + blur * blur)
    first, second, third = places.floor_colours[shot].unbind(1)
    tone = _mix(first, second, 0.5 + (share - 0.5) * fade)
    tone = _mix(tone, third, 0.8 * fade * line)
    taken, dark = _on_floor(looks.frame, x, y, shadow)
    light = (1 - (places.lamp_light * places.lamp[:, 2])[shot] * taken) * (1 - CONTACT_STRENGTH * dark)
    corner = _corner_shade(places.half_m[shot] - torch.maximum(x.abs(), y.abs()))
    light = light * torch.where(places.outdoors[shot] > 0, 1.0, corner)
    return _hazy(tone * light[:, None], looks, places, depth)


def _on_floor(frame: Tensor, x: Tensor, y: Tensor, shadow: Shadow) -> tuple[Tensor, Tensor]:
    """Both layers' values at places of the floor, 0 outside of the grid."""
    cell = shadow.cell[frame]
    corner = shadow.corner[frame]
    u, v = (x - corner[:, 0]) / cell - 0.5, (y - corner[:, 1]) / cell - 0.5
    last = SHADOW_CELLS - 1
    inside = (u >= 0) & (v >= 0) & (u < last) & (v < last)
    at = inside.nonzero()[:, 0]
    u, v = u[at, None], v[at, None]
    i, j = u.long(), v.long()
    fu, fv = u - i, v - j
    # the two layers of a frame lie one behind the other
    layer = 2 * frame[at, None] + torch.arange(2, device=frame.device)
    start = (layer * SHADOW_CELLS + j) * SHADOW_CELLS + i
    values = shadow.layers.reshape(-1)
    low = torch.lerp(values[start], values[start + 1], fu)
    start = start + SHADOW_CELLS
    high = torch.lerp(values[start], values[start + 1], fu)
    full = torch.zeros((len(x), 2), dtype=x.dtype, device=x.device)
    full[at] = torch.lerp(low, high, fv)
    return full[:, 0], full[:, 1]


def _side(looks: Looks, through_x: Tensor) -> Tensor:
    """Which wall, 0 to 3, the rays meet."""
    return torch.where(
        through_x, torch.where(looks.ray[:, 0] > 0, 0, 1), torch.where(looks.ray[:, 1] > 0, 2, 3)
    )


def _shade_walls(
    looks: Looks, places: Places, depth: Tensor, through_x: Tensor, scenes: Sequence[Scene]
) -> Tensor:
    shot, side = looks.shot, _side(looks, through_x)
    x, y, z = _met(looks, depth)
    along = torch.where(through_x, y, x)
    size, kind = places.wall_size_m[shot], places.wall_kinds[shot, side]
    u, v, up = along / size, z / size, z / places.wall_height_m[shot]
    share = torch.empty_like(u)
    for present in {kind for scene in scenes for kind in scene.wall_kinds if kind != HILLS}:
        at = (kind == present).nonzero()[:, 0]
        share[at] = WALLS[present](places.noise, u[at], v[at], z[at], up[at])
    slant = torch.where(through_x, looks.ray[:, 0], looks.ray[:, 1]).abs()
    detail = torch.where((kind == BRICKS) | (kind == BOARDS), FINE_DETAIL, COARSE_DETAIL)
    blur = _reach(looks, depth) / slant / (detail * size)
    tone = _mix(places.wall_colours[shot, side], places.mark_colours[shot, side], share / (1 + blur * blur))
    middle, half_width, bottom, top = places.picture_places[shot, side].unbind(-1)
    across = (along - middle).abs()
    hung = (across < half_width) & (z > bottom) & (z < top)
    frame = (across > half_width - 0.06) | (z < bottom + 0.06) | (z > top - 0.06)
    # a picture's frame; elsewhere the skirting board
    darker = torch.where(hung, torch.where(frame, 0.4, 1.0), torch.where(z < 0.12, 0.55, 1.0))
    tone = torch.where(hung[:, None], places.picture_colours[shot, side], tone)
    light = places.side_lights[shot, side ^ 1] * _corner_shade(z)
    light = light * _corner_shade(places.half_m[shot] - along.abs())
    return tone * (darker * light)[:, None]


def _shade_sky(looks: Looks, places: Places) -> Tensor:
    dx, dy, dz = looks.ray.unbind(-1)
    level = (dx * dx + dy * dy).sqrt() + _LEAST
    share = (1.4 * dz / level).clamp(0.0, 1.0)
    horizon, zenith = places.sky_colours[looks.shot].unbind(1)
    colour = _mix(horizon, zenith, share)
    high = dz > 0.02 * level
    rise = torch.where(high, dz, 1.0)
    u, v = 1.5 * dx / rise, 1.5 * dy / rise
    puff = 0.65 * smooth(places.noise, u, v) + 0.35 * smooth(places.noise, 3 * u, 3 * v)
    cover = (3 * (puff - 0.45)).clamp(0.0, 1.0) * places.clouds[looks.shot] * (2.5 * share).clamp(max=1.0)
    return _mix(colour, torch.ones_like(colour), 0.8 * cover * high)


def _ridge(noise: Tensor, around: Tensor, row: float) -> Tensor:
    first = smooth(noise, around, torch.full_like(around, row))
    return 0.7 * first + 0.3 * smooth(noise, 4 * around, torch.full_like(around, row + 3))


def _shade_hills(looks: Looks, places: Places, depth: Tensor, through_x: Tensor, sky: Tensor) -> Tensor:
    """Two chains of hills before the sky."""
    shot, side = looks.shot, _side(looks, through_x)
    x, y, z = _met(looks, depth)
    along, half = torch.where(through_x, y, x), places.half_m[shot]
    rising = (side == 0) | (side == 3)
    start = torch.where(side == 0, 1.0, torch.where(side == 2, 3.0, torch.where(side == 1, 5.0, 7.0)))
    around = start * half + torch.where(rising, along, -along)
    repeats = (8 * half / (places.wall_size_m[shot] * NOISE_CELLS) + 0.5).floor().clamp(min=1.0)
    u = around * (NOISE_CELLS * repeats) / (8 * half)
    height = places.wall_height_m[shot]
    near = 0.55 * height * _ridge(places.noise, u, 11.5)
    far = height * (0.25 + 0.75 * _ridge(places.noise, u, 30.5))
    horizon = places.sky_colours[shot, 0]
    tone = 0.75 + 0.35 * smooth(places.noise, 6 * u, z)
    front = torch.lerp(places.wall_colours[shot, 0] * tone[:, None], horizon, 0.25)
    back = torch.lerp(places.mark_colours[shot, 0], horizon, 0.5)
    return torch.where((z < near)[:, None], front, torch.where((z < far)[:, None], back, sky))


def _shade_blocks(looks: Looks, places: Places) -> Tensor:
    side = looks.block_side % 5
    block = places.blocks[looks.shot, looks.block_side // 5]
    # the plane of the side that is met: its axis is its number over two
    axis = side // 2
    plane = block.gather(1, torch.where(side == 4, 4, side)[:, None])[:, 0]
    depth = (plane - looks.eye.gather(1, axis[:, None])[:, 0]) / looks.ray.gather(1, axis[:, None])[:, 0]
    x, y, z = _met(looks, depth)
    along = torch.where(axis == 0, y - block[:, 2], x - block[:, 0])
    share = block_pattern(places.noise, block[:, 11], block[:, 12], along, z, block[:, 4])
    # a side that is met from -x faces -x, whose light has number 1
    light = places.side_lights[looks.shot, (side ^ 1).clamp(max=3)] * _corner_shade(z)
    upright = (side < 4)[:, None]
    colour = torch.where(upright, _mix(block[:, 5:8], block[:, 8:11], share) * light[:, None], block[:, 5:8])
    return _hazy(colour, looks, places, depth)
