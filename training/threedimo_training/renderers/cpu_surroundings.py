"""Compiled: the colour of each sample that misses the person: floor, walls, blocks, sky.

The scene is a numpy record (`cpu.SCENE_DTYPE`), which is passed as a pointer; a tuple of its numbers would be
copied at every call.
`torch_surroundings` says the same in tensors, function by function.
"""

from __future__ import annotations

import math

import numpy as np
from numpy import float32 as f32

from threedimo_training.renderers.compiled import kernel
from threedimo_training.renderers.picture import (
    COARSE_DETAIL,
    CONTACT_STRENGTH,
    FINE_DETAIL,
    HAZE_LIMIT,
    HAZE_M,
    SAMPLES,
    SHADOW_CELLS,
)
from threedimo_training.renderers.scene import (
    BOARDS,
    BRICKS,
    CARPET,
    DADO,
    DISCS,
    GRASS,
    NOISE,
    NOISE_CELLS,
    PANELS,
    PANES,
    PLANKS,
    SHELVES,
    SLATS,
    TILES,
    WINDOWS,
)

_HALF, _ONE, _ZERO = f32(0.5), f32(1.0), f32(0.0)
_SHARE = f32(1 / SAMPLES**2)
_LAST = NOISE_CELLS - 1
_LEAST = f32(1e-9)
_FINE, _COARSE = f32(FINE_DETAIL), f32(COARSE_DETAIL)
_CONTACT_STRENGTH, _HAZE_M, _HAZE_LIMIT = f32(CONTACT_STRENGTH), f32(HAZE_M), f32(HAZE_LIMIT)


@kernel
def _fraction(value):
    return value - np.floor(value)


@kernel
def _mix(first, second, share):
    return (
        first[0] + (second[0] - first[0]) * share,
        first[1] + (second[1] - first[1]) * share,
        first[2] + (second[2] - first[2]) * share,
    )


@kernel
def _colour(table, row):
    return table[row, 0], table[row, 1], table[row, 2]


@kernel
def _cell(u, v):
    """A random number for each unit cell."""
    return NOISE[int(np.floor(v)) & _LAST, int(np.floor(u)) & _LAST]


@kernel
def _noise(u, v):
    """Smooth noise in [0, 1)."""
    iu, iv = np.floor(u), np.floor(v)
    fu, fv = u - iu, v - iv
    fu, fv = fu * fu * (f32(3) - f32(2) * fu), fv * fv * (f32(3) - f32(2) * fv)
    i, j = int(iu) & _LAST, int(iv) & _LAST
    k, n = (i + 1) & _LAST, (j + 1) & _LAST
    low = NOISE[j, i] + (NOISE[j, k] - NOISE[j, i]) * fu
    high = NOISE[n, i] + (NOISE[n, k] - NOISE[n, i]) * fu
    return low + (high - low) * fv


@kernel
def _planks(u, v):
    board = np.floor(f32(2) * v)
    along = f32(0.3) * u + f32(5) * _cell(board, f32(7))
    grain = _noise(f32(2) * u, f32(16) * v)
    line = f32(2) * v - board < f32(0.06) or _fraction(along) < f32(0.012)
    return f32(0.7) * _cell(along, board) + f32(0.3) * grain, line


@kernel
def _floor_pattern(kind, u, v):
    """Share of the second colour, and whether a line shows, at (u, v) in tiles."""
    if kind == TILES:
        cells = _HALF * (np.floor(u) + np.floor(v))
        checks = f32(2) * (cells - np.floor(cells))
        line = _fraction(u) < f32(0.035) or _fraction(v) < f32(0.035)
        return f32(0.85) * checks + f32(0.15) * _cell(u, v), line
    if kind == PLANKS:
        return _planks(u, v)
    if kind == DISCS:
        du, dv = _fraction(u) - _HALF, _fraction(v) - _HALF
        reach = du * du + dv * dv
        return (_ONE if reach < f32(0.12) else _ZERO), reach >= f32(0.12) and reach < f32(0.16)
    if kind == CARPET:
        ring = f32(0.4) * max(abs(u), abs(v)) + _HALF
        pile = f32(0.55) * _noise(f32(3) * u, f32(3) * v) + f32(0.45) * _noise(f32(14) * u, f32(14) * v)
        return pile, _fraction(ring) < f32(0.1)
    if kind == GRASS:
        band = np.floor(f32(0.4) * v)
        mown = f32(0.35) * (band - f32(2) * np.floor(_HALF * band))
        return mown + f32(0.3) * _noise(u, v) + f32(0.35) * _noise(f32(6) * u, f32(6) * v), False
    row = np.floor(v)
    along = _HALF * u + _HALF * (row - f32(2) * np.floor(_HALF * row))
    line = v - row < f32(0.05) or _fraction(along) < f32(0.025)
    return f32(0.75) * _cell(along, row) + f32(0.25) * _noise(f32(7) * u, f32(7) * v), line


@kernel
def _on_floor(x, y, place, grid, layer):
    """A grid's value at a place of the floor, 0 outside."""
    u, v = (x - place[0]) / place[2] - _HALF, (y - place[1]) / place[2] - _HALF
    last = f32(SHADOW_CELLS - 1)
    if not (u >= _ZERO and v >= _ZERO and u < last and v < last):
        return _ZERO
    i, j = int(u), int(v)
    fu, fv = u - f32(i), v - f32(j)
    low = grid[layer, j, i] + (grid[layer, j, i + 1] - grid[layer, j, i]) * fu
    high = grid[layer, j + 1, i] + (grid[layer, j + 1, i + 1] - grid[layer, j + 1, i]) * fu
    return low + (high - low) * fv


@kernel
def _corner_shade(distance):
    """Less light reaches the corners of a room."""
    ratio = distance / f32(0.35)
    return _ONE - f32(0.28) / (_ONE + ratio * ratio)


@kernel
def _shade_floor(x, y, depth, footprint, half, scene, place, grid):
    size = scene.floor_size_m
    share, line = _floor_pattern(scene.floor_kind, x / size, y / size)
    blur = footprint / (f32(0.45) * size)
    fade = _ONE / (_ONE + blur * blur)
    colours = scene.floor_colours
    tone = _mix(_colour(colours, 0), _colour(colours, 1), _HALF + (share - _HALF) * fade)
    if line:
        tone = _mix(tone, _colour(colours, 2), f32(0.8) * fade)
    lamp = scene.lamp_light * scene.lamp[2]
    light = _ONE - lamp * _on_floor(x, y, place, grid, 0)
    light *= _ONE - _CONTACT_STRENGTH * _on_floor(x, y, place, grid, 1)
    if scene.outdoors:
        haze = min(depth / _HAZE_M, _HAZE_LIMIT)
        tone = tone[0] * light, tone[1] * light, tone[2] * light
        return _mix(tone, _colour(scene.sky_colours, 0), haze)
    light *= _corner_shade(half - max(abs(x), abs(y)))
    return tone[0] * light, tone[1] * light, tone[2] * light


@kernel
def _sky(dx, dy, dz, scene):
    level = math.sqrt(dx * dx + dy * dy) + _LEAST
    share = min(max(f32(1.4) * dz / level, _ZERO), _ONE)
    colour = _mix(_colour(scene.sky_colours, 0), _colour(scene.sky_colours, 1), share)
    if dz <= f32(0.02) * level:
        return colour
    u, v = f32(1.5) * dx / dz, f32(1.5) * dy / dz
    puff = f32(0.65) * _noise(u, v) + f32(0.35) * _noise(f32(3) * u, f32(3) * v)
    cover = min(max(f32(3) * (puff - f32(0.45)), _ZERO), _ONE) * scene.clouds * min(f32(2.5) * share, _ONE)
    return _mix(colour, (_ONE, _ONE, _ONE), f32(0.8) * cover)


@kernel
def _ridge(around, row):
    """Height of a chain of hills, 0 to 1, along the horizon."""
    return f32(0.7) * _noise(around, row) + f32(0.3) * _noise(f32(4) * around, row + f32(3))


@kernel
def _shade_hills(side, along, z, half, dx, dy, dz, scene):
    """Two chains of hills; above them, the sky."""
    # counted around the square, so that chains go on around the corners
    if side == 0:
        around = along + half
    elif side == 2:
        around = f32(3) * half - along
    elif side == 1:
        around = f32(5) * half - along
    else:
        around = f32(7) * half + along
    # eight half sides hold a whole number of repeats of the noise
    cells = f32(NOISE_CELLS) * max(
        np.floor(f32(8) * half / (scene.wall_size_m * f32(NOISE_CELLS)) + _HALF), _ONE
    )
    u = around * cells / (f32(8) * half)
    height = scene.wall_height_m
    near, far = (
        f32(0.55) * height * _ridge(u, f32(11.5)),
        height * (f32(0.25) + f32(0.75) * _ridge(u, f32(30.5))),
    )
    if z < near:
        tone = f32(0.75) + f32(0.35) * _noise(f32(6) * u, z)
        colour = _colour(scene.wall_colours, 0)
        return _mix(
            (colour[0] * tone, colour[1] * tone, colour[2] * tone), _colour(scene.sky_colours, 0), f32(0.25)
        )
    if z < far:
        return _mix(_colour(scene.mark_colours, 0), _colour(scene.sky_colours, 0), f32(0.5))
    return _sky(dx, dy, dz, scene)


@kernel
def _wall_pattern(kind, u, v, z, height):
    """Share of the mark's colour at (u, v) in pattern sizes."""
    if kind == PANELS:
        return _ONE if _fraction(u) < _HALF else _ZERO
    if kind == BRICKS:
        row = np.floor(f32(4) * v)
        along = f32(1.6) * u + _HALF * row
        joint = _fraction(along) < f32(0.06) or f32(4) * v - row < f32(0.14)
        return _ONE if joint else f32(0.45) * _cell(along, row)
    if kind == WINDOWS:
        across, up = _fraction(_HALF * u), z / height
        inside = across > f32(0.25) and across < f32(0.75) and up > f32(0.36) and up < f32(0.82)
        bar = abs(across - _HALF) < f32(0.015) or abs(up - f32(0.6)) < f32(0.012)
        return _ONE if inside and not bar else _ZERO
    if kind == BOARDS:
        return _ONE if _fraction(f32(3) * v) < f32(0.09) else f32(0.3) * _cell(f32(3) * v, f32(5))
    if kind == DADO:
        return _ONE if z < f32(1.05) else _ZERO
    return f32(0.25) * _noise(f32(2) * u, f32(2) * v)


@kernel
def _shade_wall(side, along, z, footprint, half, scene):
    size = scene.wall_size_m
    kind = scene.wall_kinds[side]
    share = _wall_pattern(kind, along / size, z / size, z, scene.wall_height_m)
    blur = footprint / ((_FINE if kind in (BRICKS, BOARDS) else _COARSE) * size)
    tone = _mix(
        _colour(scene.wall_colours, side), _colour(scene.mark_colours, side), share / (_ONE + blur * blur)
    )
    place = scene.picture_places
    across, low, high = abs(along - place[side, 0]), place[side, 2], place[side, 3]
    if across < place[side, 1] and z > low and z < high:
        frame = across > place[side, 1] - f32(0.06) or z < low + f32(0.06) or z > high - f32(0.06)
        colour = _colour(scene.picture_colours, side)
        tone = (f32(0.4) * colour[0], f32(0.4) * colour[1], f32(0.4) * colour[2]) if frame else colour
    elif z < f32(0.12):
        # skirting board: the line where wall meets floor shows the room's turn and distance
        tone = (f32(0.55) * tone[0], f32(0.55) * tone[1], f32(0.55) * tone[2])
    light = scene.side_lights[side ^ 1] * _corner_shade(z) * _corner_shade(half - abs(along))
    return tone[0] * light, tone[1] * light, tone[2] * light


@kernel
def _block_pattern(kind, period, along, z, height):
    """Share of the mark's colour on a block's side."""
    if kind == SHELVES:
        board = _fraction(z / period) < f32(0.12)
        return _ZERO if board else f32(0.35) + f32(0.65) * _cell(along / f32(0.07), np.floor(z / period))
    if kind == SLATS:
        return _ONE if _fraction(along / period) < f32(0.14) else _ZERO
    if kind == PANES:
        across, up = _fraction(along / period), _fraction(z / period)
        pane = across > f32(0.25) and across < f32(0.75) and up > f32(0.3) and up < f32(0.8)
        return _ONE if pane and z < height - f32(0.3) else _ZERO
    return _ZERO


@kernel
def _meet_block(blocks, i, ex, ey, ez, dx, dy, dz):
    """Where a ray enters a block and through which axis; negative where it passes by."""
    ix, iy, iz = _ONE / dx, _ONE / dy, _ONE / dz
    xa, xb = (blocks[i, 0] - ex) * ix, (blocks[i, 1] - ex) * ix
    ya, yb = (blocks[i, 2] - ey) * iy, (blocks[i, 3] - ey) * iy
    za, zb = -ez * iz, (blocks[i, 4] - ez) * iz
    x_in, y_in, z_in = min(xa, xb), min(ya, yb), min(za, zb)
    enter, leave = max(x_in, y_in, z_in), min(max(xa, xb), max(ya, yb), max(za, zb))
    if enter >= leave:
        return -_ONE, 0
    return enter, (0 if x_in == enter else (1 if y_in == enter else 2))


@kernel
def _shade_block(blocks, i, axis, x, y, z, dx, dy, depth, scene):
    colour = blocks[i, 5], blocks[i, 6], blocks[i, 7]
    if axis == 2:
        light = _ONE
    else:
        along, start = (y, blocks[i, 2]) if axis == 0 else (x, blocks[i, 0])
        kind = int(blocks[i, 11])
        share = _block_pattern(kind, blocks[i, 12], along - start, z, blocks[i, 4])
        colour = _mix(colour, (blocks[i, 8], blocks[i, 9], blocks[i, 10]), share)
        side = (0 if dx < _ZERO else 1) if axis == 0 else (2 if dy < _ZERO else 3)
        light = scene.side_lights[side] * _corner_shade(z)
    colour = colour[0] * light, colour[1] * light, colour[2] * light
    return (
        _mix(colour, _colour(scene.sky_colours, 0), min(depth / _HAZE_M, _HAZE_LIMIT))
        if scene.outdoors
        else colour
    )


@kernel
def _look(ex, ey, ez, dx, dy, dz, spread, half, scene, blocks, boxes, row, column, place, grid):
    """What a ray that misses the person sees."""
    dx = dx if abs(dx) > _LEAST else _LEAST
    dy = dy if abs(dy) > _LEAST else _LEAST
    dz = dz if abs(dz) > _LEAST else _LEAST
    tx = (half - ex) / dx if dx > _ZERO else (-half - ex) / dx
    ty = (half - ey) / dy if dy > _ZERO else (-half - ey) / dy
    t, on_floor = min(tx, ty), False
    if dz < _ZERO and -ez / dz < t:
        t, on_floor = -ez / dz, True
    hit, hit_axis = -1, 0
    for i in range(len(blocks)):
        if boxes[i, 0] <= column and column <= boxes[i, 1] and boxes[i, 2] <= row and row <= boxes[i, 3]:
            enter, axis = _meet_block(blocks, i, ex, ey, ez, dx, dy, dz)
            if enter > _ZERO and enter < t:
                t, hit, hit_axis = enter, i, axis
    x, y, z = ex + t * dx, ey + t * dy, ez + t * dz
    if hit >= 0:
        return _shade_block(blocks, hit, hit_axis, x, y, z, dx, dy, t, scene)
    # a sample's size where it meets the surface, lengthened by the slant
    reach = t * spread * math.sqrt(dx * dx + dy * dy + dz * dz)
    if on_floor:
        return _shade_floor(x, y, t, reach / -dz, half, scene, place, grid)
    if tx < ty:
        side, along, slant = (0 if dx > _ZERO else 1), y, abs(dx)
    else:
        side, along, slant = (2 if dy > _ZERO else 3), x, abs(dy)
    if scene.outdoors:
        return _shade_hills(side, along, z, half, dx, dy, dz, scene)
    if z > scene.wall_height_m:
        return _sky(dx, dy, dz, scene)
    return _shade_wall(side, along, z, reach / slant, half, scene)


@kernel
def shade_surroundings(scenes, blocks, boxes, eye, rays, place, grid, ids, picture):
    """Add the samples that miss the person (`ids` below 0) to `picture` (H, W, 3) float32.

    `boxes` (NUM_BLOCKS, 4) int32 says between which columns and rows of samples each block can be seen;
    `grid` (2, cells, cells) holds the shadow and the contact darkening at `place` (corner and cell size).
    """
    scene = scenes[0]
    rows, columns = ids.shape
    ex, ey, ez = eye[0], eye[1], eye[2]
    spread = math.sqrt(rays[0, 0] * rays[0, 0] + rays[1, 0] * rays[1, 0] + rays[2, 0] * rays[2, 0])
    half = scene.clear_m + scene.margin_m
    for row in range(rows):
        y = f32(row) + _HALF
        for column in range(columns):
            if ids[row, column] >= 0:
                continue
            x = f32(column) + _HALF
            dx = rays[0, 0] * x + rays[0, 1] * y + rays[0, 2]
            dy = rays[1, 0] * x + rays[1, 1] * y + rays[1, 2]
            dz = rays[2, 0] * x + rays[2, 1] * y + rays[2, 2]
            red, green, blue = _look(
                ex, ey, ez, dx, dy, dz, spread, half, scene, blocks, boxes, row, column, place, grid
            )
            i, j = row // SAMPLES, column // SAMPLES
            picture[i, j, 0] += _SHARE * min(red, _ONE)
            picture[i, j, 1] += _SHARE * min(green, _ONE)
            picture[i, j, 2] += _SHARE * min(blue, _ONE)
