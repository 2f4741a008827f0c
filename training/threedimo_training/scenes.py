"""Rooms: a patterned floor, four walls, a sky, a lamp; their random draw and their colour seen along a ray.

Floor and walls carry patterns in world space, because without them camera motion is invisible. The compiled
functions pass tuples: counting references to arrays would cost more than the shading itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numba
import numpy as np

# One thread a call, callable from many: whoever makes clips runs several workers.
kernel = numba.njit(fastmath=True, nogil=True, cache=True, error_model="numpy")

_TILES, _PLANKS, _DISCS = range(3)
_BLANK, _PANELS, _BRICKS, _WINDOWS = range(4)
_SHADOW_REACH2 = np.float32(2.5)
_LEAST = np.float32(-1e-9)
_HALF = np.float32(0.5)


Colour = tuple[np.float32, np.float32, np.float32]


class Scene(NamedTuple):
    """Room and light of a shot; a tuple, because compiled loops read it. Colours are RGB in [0, 1].

    Attributes:
        floor_pattern: Tiles, planks or discs.
        floor_size_m: Length of one tile.
        floor_colours: (2, 3).
        wall_pattern: Blank, panels, bricks or windows.
        wall_size_m: Width of the pattern.
        wall_colours: (4, 3), one for each wall, so that a turned camera is seen to be turned.
        wall_contrast: Share of the pattern's own colour.
        wall_height_m: Above it, there is sky.
        room_half_m: Half the width of the room.
        sky_colours: (2, 3) at the horizon and above.
        lamp: (3,) unit vector towards the lamp, in the world.
        lamp_light: Strength of the lamp.
        ambient_light: Strength of the light from everywhere.
    """

    floor_pattern: int
    floor_size_m: np.float32
    floor_colours: tuple[Colour, ...]
    wall_pattern: int
    wall_size_m: np.float32
    wall_colours: tuple[Colour, ...]
    wall_contrast: np.float32
    wall_height_m: np.float32
    room_half_m: np.float32
    sky_colours: tuple[Colour, ...]
    lamp: Colour
    lamp_light: np.float32
    ambient_light: np.float32


def make_scene(seed: int) -> Scene:
    """The room and the light of a seed."""
    rng = np.random.default_rng([11, seed])
    floor = rng.uniform(0.25, 0.85) + rng.uniform(-0.12, 0.12, 3)
    contrast = rng.choice([-1, 1]) * rng.uniform(0.15, 0.3) + rng.uniform(-0.1, 0.1, 3)
    walls = rng.uniform(0.3, 0.9) + rng.uniform(-0.15, 0.15, 3) + rng.uniform(-0.14, 0.14, (4, 3))
    azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.2)
    level = np.cos(elevation)
    return Scene(
        floor_pattern=int(rng.integers(3)),
        floor_size_m=np.float32(rng.uniform(0.35, 0.8)),
        floor_colours=_colours(np.stack([floor, floor + contrast])),
        wall_pattern=int(rng.integers(4)),
        wall_size_m=np.float32(rng.uniform(0.5, 1.2)),
        wall_colours=_colours(walls),
        wall_contrast=np.float32(rng.uniform(0.12, 0.35)),
        wall_height_m=np.float32(rng.uniform(2.6, 6.0)),
        room_half_m=np.float32(rng.uniform(4.5, 8.0)),
        sky_colours=_colours(np.stack([rng.uniform(0.5, 0.95, 3), rng.uniform(0.25, 0.9, 3)])),
        lamp=_floats([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)]),
        lamp_light=np.float32(rng.uniform(0.35, 0.7)),
        ambient_light=np.float32(rng.uniform(0.5, 0.72)),
    )


def around_camera(scene: Scene, world_from_camera: np.ndarray) -> Scene:
    """The same scene in a room that is wide enough for these cameras (F, 4, 4)."""
    widest = float(np.abs(world_from_camera[:, :2, 3]).max()) + 0.5
    return scene._replace(room_half_m=np.float32(max(float(scene.room_half_m), widest)))


def floor_shadows(points: np.ndarray) -> np.ndarray:
    """(F, C, 4) soft dark spots below points (F, C, 3) of the person: x, y, 1 / radius², strength."""
    height = points[..., 2].clip(0)
    radius = 0.13 + 0.3 * height
    spots = points[..., 0], points[..., 1], radius**-2, 0.5 / (1 + 3 * height)
    return np.stack(spots, axis=-1).astype(np.float32)


def _floats(values: Iterable[float]) -> Colour:
    red, green, blue = (np.float32(value) for value in values)
    return red, green, blue


def _colours(values: np.ndarray) -> tuple[Colour, ...]:
    return tuple(_floats(colour) for colour in values.clip(0.05, 1.0))


@kernel
def _mix(first, second, share):
    """Colour between two."""
    return (
        first[0] + (second[0] - first[0]) * share,
        first[1] + (second[1] - first[1]) * share,
        first[2] + (second[2] - first[2]) * share,
    )


@kernel
def _floor_amount(pattern, u, v):
    """0 or 1 (planks: between), which of the floor's two colours shows at (u, v) in tiles."""
    cell_u, cell_v = np.floor(u), np.floor(v)
    if pattern == _TILES:
        cells = _HALF * (cell_u + cell_v)
        return np.float32(2.0) * (cells - np.floor(cells))
    if pattern == _PLANKS:
        # a fraction of a large sine: a different tone for every board
        tone = math.sin(np.floor(v * 2) * np.float32(12.9898)) * np.float32(43.758)
        return np.float32(tone - np.floor(tone))
    du, dv = u - cell_u - _HALF, v - cell_v - _HALF
    return np.float32(1.0) if du * du + dv * dv < np.float32(0.14) else np.float32(0.0)


@kernel
def _shade_floor(x, y, depth, scene, shadows):
    """Floor pattern at (x, y), fading with depth, darkened under the person."""
    amount = _floor_amount(scene.floor_pattern, x / scene.floor_size_m, y / scene.floor_size_m)
    fade = 1 / (1 + np.float32(0.025) * depth * depth)
    light = np.float32(1.0)
    dx, dy = x - shadows[0, 0], y - shadows[0, 1]
    if dx * dx + dy * dy < _SHADOW_REACH2:
        for i in range(shadows.shape[0]):
            dx, dy = x - shadows[i, 0], y - shadows[i, 1]
            near = (dx * dx + dy * dy) * shadows[i, 2]
            light *= 1 - shadows[i, 3] / (1 + near * near * near)
    tone = _mix(scene.floor_colours[0], scene.floor_colours[1], _HALF + (amount - _HALF) * fade)
    return tone[0] * light, tone[1] * light, tone[2] * light


@kernel
def _wall_amount(pattern, u, v, z, height):
    """0 or 1: whether the wall's pattern shows at (u, v) in pattern widths."""
    if pattern == _PANELS:
        return u - np.floor(u) < _HALF
    if pattern == _BRICKS:
        row = np.floor(v * 2)
        u += _HALF * row
        return u - np.floor(u) < 0.1 or v * 2 - row < 0.16
    if pattern == _WINDOWS:
        inside = _HALF * u - np.floor(_HALF * u)
        return inside > 0.3 and inside < 0.7 and z > 0.35 * height and z < 0.8 * height
    return False


@kernel
def _contrast(value, weight):
    """A channel moved towards white if it is dark, towards black if it is light."""
    target = np.float32(1.0) if value < np.float32(0.55) else np.float32(0.1)
    return value + (target - value) * weight


@kernel
def _shade_wall(side, along, z, elevation, scene):
    """Wall or, above it, sky."""
    if z > scene.wall_height_m:
        share = min(max(elevation * 2, np.float32(0.0)), np.float32(1.0))
        return _mix(scene.sky_colours[0], scene.sky_colours[1], share)
    size = scene.wall_size_m
    marked = _wall_amount(scene.wall_pattern, along / size, z / size, z, scene.wall_height_m)
    weight = scene.wall_contrast if marked else np.float32(0.0)
    # skirting board: the line where wall meets floor shows the room's turn and distance
    shade = np.float32(0.7) if z < np.float32(0.14) else np.float32(1.0)
    wall = scene.wall_colours[side]
    return (
        _contrast(wall[0], weight) * shade,
        _contrast(wall[1], weight) * shade,
        _contrast(wall[2], weight) * shade,
    )


@kernel
def shade_room(eye, dx, dy, dz, scene, shadows):
    """What a ray that misses the person sees: the RGB of floor, wall or sky.

    Args:
        eye: The camera's place, a tuple, inside the room and above the floor.
        dx: With `dy` and `dz` the ray's direction in the world, one metre deep.
        dy: See `dx`.
        dz: See `dx`.
        scene: The room.
        shadows: See `floor_shadows`.
    """
    half = scene.room_half_m
    if dz < 0:
        down = -eye[2] / dz
        x, y = eye[0] + down * dx, eye[1] + down * dy
        if abs(x) < half and abs(y) < half:
            return _shade_floor(x, y, down, scene, shadows)
    tx = (half - eye[0]) / dx if dx > 0 else (-half - eye[0]) / min(dx, _LEAST)
    ty = (half - eye[1]) / dy if dy > 0 else (-half - eye[1]) / min(dy, _LEAST)
    t = min(tx, ty)
    if tx < ty:
        side, along = (0 if dx > 0 else 1), eye[1] + t * dy
    else:
        side, along = (2 if dy > 0 else 3), eye[0] + t * dx
    return _shade_wall(side, along, eye[2] + t * dz, dz / math.sqrt(dx * dx + dy * dy), scene)
