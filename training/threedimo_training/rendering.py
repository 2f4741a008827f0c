"""A small CPU ray caster for people made of rounded cones, standing in a textured room.

Every part is intersected only inside its own bounds on the picture; the nearest hit is kept per sample and
shaded once. Floor and walls carry patterns in world space, because without them camera motion is invisible.
Four samples per pixel. One core renders hundreds of frames a second; the loops release the GIL.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np

from threedimo_training.bodies import CHECKS, DOTS, LOGO, RINGS, STRIPES, Body, Posed

_SAMPLES = 2  # per pixel and axis
_NEAR_M = 0.05
_LOGO_HALF_M = 0.075
_LOGO_HEIGHT_M = 0.02
_PLAIN, _TILES, _PLANKS, _DISCS = range(4)
_BLANK, _PANELS, _BRICKS, _WINDOWS = range(4)
_JIT = {"fastmath": True, "nogil": True, "cache": True}


@dataclass(frozen=True, eq=False)
class Scene:
    """Room and light of a shot.

    Attributes:
        floor: (8,) pattern, size_m, two RGB colours.
        walls: (27,) pattern, size_m, half width of the room in metres, four RGB wall colours, two RGB sky
            colours (low, high), the texture's RGB second colour's blend weight and the wall's height.
        light: (5,) direction towards the lamp (unit, world), its strength, strength of the ambient light.
    """

    floor: np.ndarray
    walls: np.ndarray
    light: np.ndarray


@dataclass(frozen=True, eq=False)
class Rendered:
    """Frames and what the renderer knows about them.

    Attributes:
        frames: (F, S, S, 3) uint8 RGB.
        silhouettes: (F, S, S) uint8, the share of the pixel that the person covers, 0 to 255.
        hand_cover: (F, 2) share of the picture that each hand (left, right) covers.
    """

    frames: np.ndarray
    silhouettes: np.ndarray
    hand_cover: np.ndarray


def make_scene(seed: int) -> Scene:
    """The room and the light of a seed."""
    rng = np.random.default_rng([11, seed])
    base = rng.uniform(0.25, 0.85) + rng.uniform(-0.12, 0.12, 3)
    contrast = rng.choice([-1, 1]) * rng.uniform(0.15, 0.3) + rng.uniform(-0.1, 0.1, 3)
    floor = np.concatenate([[rng.integers(1, 4), rng.uniform(0.35, 0.8)], base, base + contrast])
    tone = rng.uniform(0.3, 0.9) + rng.uniform(-0.15, 0.15, 3)
    sides = tone + rng.uniform(-0.14, 0.14, (4, 3))
    sky = rng.uniform(0.5, 0.95, 3), rng.uniform(0.25, 0.9, 3)
    walls = [[rng.integers(0, 4), rng.uniform(0.5, 1.2), rng.uniform(4.5, 8.0)], sides.ravel(), *sky]
    walls += [[rng.uniform(0.12, 0.35), rng.uniform(2.6, 6.0)]]
    azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.2)
    lamp = np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)
    light = np.array([*lamp, rng.uniform(0.35, 0.7), rng.uniform(0.5, 0.72)], np.float32)
    return Scene(
        np.clip(floor, 0.05, 3).astype(np.float32), np.concatenate(walls).clip(0.05).astype(np.float32), light
    )


def render(
    body: Body, posed: Posed, scene: Scene, world_from_camera: np.ndarray, intrinsics: np.ndarray, size: int
) -> Rendered:
    """Render a square picture for every pose.

    Args:
        body: Parts and paint.
        posed: F poses of that body.
        scene: The surroundings.
        world_from_camera: (F, 4, 4), OpenCV camera axes, world z up, metres.
        intrinsics: (F, 3, 3) in pixels of the picture of `size`.
        size: Width and height in pixels.
    """
    num_frames = len(world_from_camera)
    frames = np.empty((num_frames, size, size, 3), np.uint8)
    silhouettes = np.empty((num_frames, size, size), np.uint8)
    hand_samples = np.zeros((num_frames, 2), np.int64)
    contacts = posed.positions[:, [0, 7, 8, 10, 11, 22, 23]].astype(np.float32)
    linear, offset, bounds = _place_parts(body, posed, world_from_camera)
    slopes = _sample_slopes(intrinsics)
    boxes = _sample_boxes(bounds, slopes, size * _SAMPLES)
    _render_frames(
        np.ascontiguousarray(linear), np.ascontiguousarray(offset), boxes, body.shapes.astype(np.float32), _widths(body.frames), body.colours,
        body.patterns, body.hands, contacts, scene.floor, scene.walls, scene.light,
        np.ascontiguousarray(world_from_camera, np.float32), slopes, frames, silhouettes, hand_samples,
    )  # fmt: skip
    return Rendered(frames, silhouettes, hand_samples / (size * _SAMPLES) ** 2)


def _widths(part_frames: np.ndarray) -> np.ndarray:
    """(P,) how much each part is flattened along its first axis."""
    return np.linalg.norm(part_frames[:, :, 0], axis=-1).astype(np.float32)


def _place_parts(
    body: Body, posed: Posed, world_from_camera: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Camera-to-local transform of every part (F, P, 3, 3) and (F, P, 3), and its bounds as ray slopes.

    Bounds (F, P, 4) are left, right, top, bottom in x / z and y / z; empty (left > right) behind the camera.
    """
    turn = np.swapaxes(world_from_camera[:, None, :3, :3], -1, -2)
    rotations = posed.rotations[:, body.bones]
    centres = posed.positions[:, body.bones] + np.einsum("fpij,pj->fpi", rotations, body.origins)
    centres = (turn @ (centres - world_from_camera[:, None, :3, 3])[..., None])[..., 0]
    local = turn @ rotations @ body.frames
    squared = (body.frames**2).sum(axis=1)  # columns are orthogonal: the inverse is a scaled transpose
    linear = np.swapaxes(local, -1, -2) / squared[..., None]
    offset = -np.einsum("fpij,fpj->fpi", linear, centres)
    flatten = np.sqrt(squared.max(axis=-1))
    low, high = [], []
    for end in range(2):
        points = centres + local[..., 2] * (body.shapes[:, 0] * end)[:, None]
        radii = body.shapes[:, 1 + end] * flatten
        depth = points[..., 2]
        inside = np.maximum(depth**2 - radii**2, 1e-6)[..., None]
        across = points[..., :2]
        middle = across * depth[..., None] / inside  # tangents to a sphere
        spread = radii[:, None] * np.sqrt(across**2 + inside) / inside
        near = (depth - radii < _NEAR_M)[..., None]
        low.append(np.where(near, -1e6, middle - spread))
        high.append(np.where(near, 1e6, middle + spread))
        low[-1][depth + radii < _NEAR_M] = 1e6
        high[-1][depth + radii < _NEAR_M] = -1e6
    low, high = np.minimum(*low), np.maximum(*high)
    bounds = np.stack([low[..., 0], high[..., 0], low[..., 1], high[..., 1]], axis=-1)
    return linear.astype(np.float32), offset.astype(np.float32), bounds


def _sample_slopes(intrinsics: np.ndarray) -> np.ndarray:
    """(F, 4) slopes x / z and y / z of the first sample and the steps between samples.

    Sample s lies at pixel coordinate (s + 0.5) / _SAMPLES, counted from the picture's edge.
    """
    focal, centre = intrinsics[:, [0, 1], [0, 1]], intrinsics[:, :2, 2]
    return np.concatenate([(0.5 / _SAMPLES - centre) / focal, 1 / (_SAMPLES * focal)], 1).astype(np.float32)


def _sample_boxes(bounds: np.ndarray, slopes: np.ndarray, wide: int) -> np.ndarray:
    """(F, P, 4) int32 half-open sample ranges x0, x1, y0, y1 of bounds given as slopes."""
    start, step = slopes[:, None, [0, 0, 1, 1]], slopes[:, None, [2, 2, 3, 3]]
    edges = np.floor((bounds - start) / step) + [0, 2, 0, 2]
    return np.clip(edges, 0, wide).astype(np.int32)


@numba.njit(**_JIT)
def _draw_part(index, a, o, shape, x0, x1, y0, y1, slopes, depth, ids):
    """Intersect one rounded cone with the rays of its bounds; keep nearer hits in `depth` and `ids`."""
    h, ra, rb = shape[0], shape[1], shape[2]
    near = np.float32(_NEAR_M)
    zero = np.float32(0.0)
    k = (ra - rb) / h if h > zero else zero
    cos2 = np.float32(1.0) - k * k
    has_cone = h > zero and cos2 > np.float32(1e-4)
    inv_cos2 = np.float32(1.0) / cos2 if has_cone else zero
    low, high = k * ra, h + k * rb
    ox, oy, oz = o[0], o[1], o[2]
    rho_o = ra - k * oz
    cone_c = ox * ox + oy * oy - rho_o * rho_o * inv_cos2
    sphere_c = ox * ox + oy * oy + oz * oz - ra * ra
    tip = oz - h
    tip_c = ox * ox + oy * oy + tip * tip - rb * rb
    for row in range(y0, y1):
        v = slopes[1] + np.float32(row) * slopes[3]
        bx, by, bz = a[0, 1] * v + a[0, 2], a[1, 1] * v + a[1, 2], a[2, 1] * v + a[2, 2]
        for column in range(x0, x1):
            u = slopes[0] + np.float32(column) * slopes[2]
            dx, dy, dz = a[0, 0] * u + bx, a[1, 0] * u + by, a[2, 0] * u + bz
            flat = dx * dx + dy * dy
            flat_b = ox * dx + oy * dy
            best = depth[row, column]
            hit = False
            if has_cone:
                # x² + y² = (ra - k z)² / cos², entered where the quadratic falls through zero
                slope = k * dz
                qa = flat - slope * slope * inv_cos2
                qb = flat_b + rho_o * slope * inv_cos2
                disc = qb * qb - qa * cone_c
                if disc > zero:
                    t = (-qb - math.sqrt(disc)) / qa
                    z = oz + t * dz
                    if z > low and z < high:
                        hit = True
                        if t > near and t < best:
                            depth[row, column] = t
                            ids[row, column] = index
            if not hit:
                qa = flat + dz * dz
                qb = flat_b + oz * dz
                disc = qb * qb - qa * sphere_c
                if disc > zero:
                    t = (-qb - math.sqrt(disc)) / qa
                    if t > near and t < best:
                        best = t
                        depth[row, column] = t
                        ids[row, column] = index
                if has_cone:
                    qb = flat_b + tip * dz
                    disc = qb * qb - qa * tip_c
                    if disc > zero:
                        t = (-qb - math.sqrt(disc)) / qa
                        if t > near and t < best:
                            depth[row, column] = t
                            ids[row, column] = index


@numba.njit(**_JIT)
def _second_colour(pattern, period, x, y, z, radius):
    """Whether the pattern shows its second colour at a point in the part's own metres."""
    if pattern == RINGS:
        return z - period * math.floor(z / period) < 0.5 * period
    if pattern == STRIPES:
        return x - period * math.floor(x / period) < 0.4 * period
    if pattern == CHECKS:
        return (math.floor(x / period) + math.floor(z / period)) % 2 == 0
    if pattern == DOTS:
        u, v = x / period, z / period
        u, v = u - math.floor(u) - 0.5, v - math.floor(v) - 0.5
        return u * u + v * v < 0.09
    if pattern == LOGO:
        u, v = x / _LOGO_HALF_M, (z - _LOGO_HEIGHT_M) / _LOGO_HALF_M
        return y < 0 and u * u + v * v < 1.0
    return False


@numba.njit(**_JIT)
def _shade_part(a, o, width, shape, pattern, colours, t, u, v, light, up, lamp, ambient, colour):
    """Colour of a hit at depth t on the ray (u, v, 1)."""
    x = o[0] + t * (a[0, 0] * u + a[0, 1] * v + a[0, 2])
    y = o[1] + t * (a[1, 0] * u + a[1, 1] * v + a[1, 2])
    z = o[2] + t * (a[2, 0] * u + a[2, 1] * v + a[2, 2])
    h, ra, rb = shape[0], shape[1], shape[2]
    k = (ra - rb) / h if h > 0 else np.float32(0.0)
    rho = math.sqrt(x * x + y * y)
    foot = z + k * rho / math.sqrt(max(np.float32(1e-4), 1 - k * k)) if h > 0 else np.float32(0.0)
    foot = min(max(foot, np.float32(0.0)), max(h, np.float32(0.0)))
    nz = z - foot
    nx_c = a[0, 0] * x + a[1, 0] * y + a[2, 0] * nz
    ny_c = a[0, 1] * x + a[1, 1] * y + a[2, 1] * nz
    nz_c = a[0, 2] * x + a[1, 2] * y + a[2, 2] * nz
    inverse = 1 / math.sqrt(nx_c * nx_c + ny_c * ny_c + nz_c * nz_c + np.float32(1e-12))
    nx_c, ny_c, nz_c = nx_c * inverse, ny_c * inverse, nz_c * inverse
    facing = -(nx_c * u + ny_c * v + nz_c) / math.sqrt(u * u + v * v + 1)
    lambert = max(nx_c * light[0] + ny_c * light[1] + nz_c * light[2], np.float32(0.0))
    sky = nx_c * up[0] + ny_c * up[1] + nz_c * up[2]
    # darker towards the outline: limbs stay readable in front of each other
    bright = (ambient * (1 + np.float32(0.25) * sky) + lamp * lambert) * (
        np.float32(0.66) + np.float32(0.34) * min(max(facing, np.float32(0.0)), np.float32(1.0))
    )
    row = 2 if y > 0 else 0
    along = z + pattern[3]
    if y <= 0 or pattern[0] < CHECKS:
        if _second_colour(pattern[0], pattern[1], x * width, y, along, ra):
            row = 1
    if z > pattern[2]:
        row = 3
    for channel in range(3):
        colour[channel] = colours[row, channel] * bright


@numba.njit(**_JIT)
def _blend_pattern(first, second, amount, fade, colour):
    share = np.float32(0.5) + (amount - np.float32(0.5)) * fade
    for channel in range(3):
        colour[channel] = first[channel] + (second[channel] - first[channel]) * share


@numba.njit(**_JIT)
def _shade_floor(x, y, distance, floor, contacts, colour):
    """Floor pattern at (x, y), fading with distance, darkened under the person."""
    size = floor[1]
    u, v = x / size, y / size
    cell_u, cell_v = math.floor(u), math.floor(v)
    inside_u, inside_v = u - cell_u, v - cell_v
    if floor[0] == _TILES:
        amount = (cell_u + cell_v) % 2
    elif floor[0] == _PLANKS:
        board = math.floor(v * 2)
        shade = math.sin(board * np.float32(12.9898)) * np.float32(43.758)
        amount = shade - math.floor(shade)
    else:
        du, dv = inside_u - np.float32(0.5), inside_v - np.float32(0.5)
        amount = np.float32(1.0) if du * du + dv * dv < np.float32(0.14) else np.float32(0.0)
    fade = 1 / (1 + np.float32(0.02) * distance * distance)
    _blend_pattern(floor[2:5], floor[5:8], np.float32(amount), fade, colour)
    light = np.float32(1.0)
    for i in range(contacts.shape[0]):
        dx, dy = x - contacts[i, 0], y - contacts[i, 1]
        radius = np.float32(0.13) + np.float32(0.3) * contacts[i, 2]
        near = (dx * dx + dy * dy) / (radius * radius)
        strength = np.float32(0.5) / (1 + np.float32(3) * contacts[i, 2])
        light *= 1 - strength / (1 + near * near * near)
    for channel in range(3):
        colour[channel] *= light


@numba.njit(**_JIT)
def _shade_wall(side, along, z, elevation, walls, colour):
    """Wall or, above it, sky."""
    height = walls[22]
    if z > height or side < 0:
        share = min(max(elevation * 2, np.float32(0.0)), np.float32(1.0))
        for channel in range(3):
            colour[channel] = walls[15 + channel] + (walls[18 + channel] - walls[15 + channel]) * share
        return
    size = walls[1]
    u, v = along / size, z / size
    amount = np.float32(0.0)
    if walls[0] == _PANELS:
        amount = np.float32(1.0) if u - math.floor(u) < np.float32(0.5) else np.float32(0.0)
    elif walls[0] == _BRICKS:
        u += np.float32(0.5) * (math.floor(v * 2) % 2)
        inside_u, inside_v = u - math.floor(u), v * 2 - math.floor(v * 2)
        if inside_u < np.float32(0.1) or inside_v < np.float32(0.16):
            amount = np.float32(1.0)
    elif walls[0] == _WINDOWS:
        inside_u, inside_v = u * np.float32(0.5) - math.floor(u * np.float32(0.5)), z / height
        if inside_u > np.float32(0.3) and inside_u < np.float32(0.7) and inside_v > np.float32(0.35) and inside_v < np.float32(0.8):
            amount = np.float32(1.0)
    weight = amount * walls[21]
    # skirting board: the line where wall meets floor shows the room's turn and distance
    shade = np.float32(0.7) if z < np.float32(0.14) else np.float32(1.0)
    for channel in range(3):
        wall = walls[3 + 3 * side + channel]
        target = np.float32(1.0) if wall < np.float32(0.55) else np.float32(0.1)
        colour[channel] = (wall + (target - wall) * weight) * shade


@numba.njit(**_JIT)
def _shade_room(eye, dx, dy, dz, floor, walls, contacts, colour):
    """What a ray that misses the person sees: floor, wall or sky. (dx, dy, dz) has depth 1 along the view."""
    far = np.float32(1e9)
    half = walls[2]
    tx = (half * (1 if dx > 0 else -1) - eye[0]) / dx if abs(dx) > np.float32(1e-6) else far
    ty = (half * (1 if dy > 0 else -1) - eye[1]) / dy if abs(dy) > np.float32(1e-6) else far
    t = min(tx, ty)
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    if dz < 0:
        down = -eye[2] / dz
        if down > 0 and (down < t or t < 0):
            _shade_floor(eye[0] + down * dx, eye[1] + down * dy, down * length, floor, contacts, colour)
            return
    side = -1
    along = np.float32(0.0)
    if t > 0 and t < far:
        if tx < ty:
            side, along = (0 if dx > 0 else 1), eye[1] + t * dy
        else:
            side, along = (2 if dy > 0 else 3), eye[0] + t * dx
    _shade_wall(side, along, eye[2] + t * dz, dz / length, walls, colour)


@numba.njit(**_JIT)
def _shade_frame(
    place, place_o, widths, shapes, colours, patterns, hands, contacts, floor, walls, light, camera,
    slopes, depth, ids, frame, silhouette, hand_samples,
):  # fmt: skip
    size = frame.shape[0]
    turn, eye = camera[:3, :3], camera[:3, 3]
    lamp_camera, up = np.empty(3, np.float32), np.empty(3, np.float32)
    for i in range(3):
        lamp_camera[i] = turn[0, i] * light[0] + turn[1, i] * light[1] + turn[2, i] * light[2]
        up[i] = turn[2, i]
    colour, total = np.empty(3, np.float32), np.empty(3, np.float32)
    for row in range(size):
        for column in range(size):
            total[:] = 0
            covered = 0
            for sample in range(_SAMPLES * _SAMPLES):
                y, x = _SAMPLES * row + sample // _SAMPLES, _SAMPLES * column + sample % _SAMPLES
                u, v = slopes[0] + x * slopes[2], slopes[1] + y * slopes[3]
                part = ids[y, x]
                if part >= 0:
                    covered += 1
                    if hands[part] >= 0:
                        hand_samples[hands[part]] += 1
                    _shade_part(
                        place[part], place_o[part], widths[part], shapes[part], patterns[part],
                        colours[part], depth[y, x], u, v, lamp_camera, up, light[3], light[4], colour,
                    )  # fmt: skip
                else:
                    dx = turn[0, 0] * u + turn[0, 1] * v + turn[0, 2]
                    dy = turn[1, 0] * u + turn[1, 1] * v + turn[1, 2]
                    dz = turn[2, 0] * u + turn[2, 1] * v + turn[2, 2]
                    _shade_room(eye, dx, dy, dz, floor, walls, contacts, colour)
                for channel in range(3):
                    total[channel] += min(colour[channel], np.float32(1.0))
            for channel in range(3):
                frame[row, column, channel] = np.uint8(total[channel] * (255 / (_SAMPLES * _SAMPLES)) + 0.5)
            silhouette[row, column] = np.uint8(covered * 255 / (_SAMPLES * _SAMPLES))


@numba.njit(**_JIT)
def _render_frames(
    linear, offset, boxes, shapes, widths, colours, patterns, hands, contacts, floor, walls, light, cameras,
    slopes, frames, silhouettes, hand_samples,
):  # fmt: skip
    wide = frames.shape[1] * _SAMPLES
    depth, ids = np.empty((wide, wide), np.float32), np.empty((wide, wide), np.int16)
    for f in range(len(frames)):
        depth[:] = np.float32(1e9)
        ids[:] = -1
        for i in range(len(shapes)):
            x0, x1, y0, y1 = boxes[f, i, 0], boxes[f, i, 1], boxes[f, i, 2], boxes[f, i, 3]
            if x0 < x1 and y0 < y1:
                _draw_part(i, linear[f, i], offset[f, i], shapes[i], x0, x1, y0, y1, slopes[f], depth, ids)
        _shade_frame(
            linear[f], offset[f], widths, shapes, colours, patterns, hands, contacts[f], floor, walls, light,
            cameras[f], slopes[f], depth, ids, frames[f], silhouettes[f], hand_samples[f],
        )  # fmt: skip
