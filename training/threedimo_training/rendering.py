"""A small CPU ray caster for people made of rounded cones, standing in a textured room.

Every part is intersected only inside its own bounds on the picture; the nearest hit is kept per sample and
shaded once. Floor and walls carry patterns in world space, because without them camera motion is invisible.
Four samples per pixel. One core renders hundreds of frames a second; the loops release the GIL.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from threedimo_training.bodies import Body
from threedimo_training.parts import CHECKS, DOTS, LOGO, RINGS, STRIPES
from threedimo_training.scenes import Scene, around_camera, floor_shadows, kernel, shade_room
from threedimo_training.skeleton import JOINT, Posed

_SAMPLES = 2  # per pixel and axis
_NEAR_M = 0.05
_SHADOW_BONES = [
    JOINT[name]
    for name in ("pelvis", "left_ankle", "right_ankle", "left_foot", "right_foot", "left_hand", "right_hand")
]
_FAR_M = np.float32(1e9)
_HALF = np.float32(0.5)
_LOGO_HALF_M = 0.075
_LOGO_HEIGHT_M = 0.02


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
    scene = around_camera(scene, world_from_camera)
    shadows = floor_shadows(posed.positions[:, _SHADOW_BONES])
    linear, offset, bounds = _place_parts(body, posed, world_from_camera)
    slopes = _sample_slopes(intrinsics)
    boxes = _sample_boxes(bounds, slopes, size * _SAMPLES)
    cameras = np.ascontiguousarray(world_from_camera, np.float32)
    looks = _looks(body)
    _render_frames(
        looks, linear, offset, boxes, shadows, scene, cameras, slopes, frames, silhouettes, hand_samples
    )
    return Rendered(frames, silhouettes, hand_samples / (size * _SAMPLES) ** 2)


class _Looks(NamedTuple):
    """What of a body does not change with its pose, as compiled loops read it; see `Body`.

    `widths` (P,) says how much each part is flattened along its first axis.
    """

    shapes: np.ndarray
    widths: np.ndarray
    colours: np.ndarray
    patterns: np.ndarray
    hands: np.ndarray


def _looks(body: Body) -> _Looks:
    widths = np.linalg.norm(body.frames[:, :, 0], axis=-1).astype(np.float32)
    return _Looks(body.shapes.astype(np.float32), widths, body.colours, body.patterns, body.hands)


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
    linear = np.ascontiguousarray(linear, np.float32)
    return linear, np.ascontiguousarray(offset, np.float32), bounds


def _sample_slopes(intrinsics: np.ndarray) -> np.ndarray:
    """(F, 4) slopes x / z and y / z of the first sample and the steps between samples.

    Sample s lies at pixel coordinate (s + 0.5) / _SAMPLES, counted from the picture's edge.
    """
    focal, centre = intrinsics[:, [0, 1], [0, 1]], intrinsics[:, :2, 2]
    return np.concatenate([(0.5 / _SAMPLES - centre) / focal, 1 / (_SAMPLES * focal)], 1).astype(np.float32)


def _sample_boxes(bounds: np.ndarray, slopes: np.ndarray, wide: int) -> np.ndarray:
    """(F, P, 4) int32 half-open sample ranges x0, x1, y0, y1 of bounds given as slopes."""
    start, step = slopes[:, None, [0, 0, 1, 1]], slopes[:, None, [2, 2, 3, 3]]
    edges = np.floor((bounds - start) / step) + np.array([0, 2, 0, 2])
    return np.clip(edges, 0, wide).astype(np.int32)


@kernel
def _enter(qa, qb, qc):
    """Where qa t² + 2 qb t + qc falls through zero: where a ray enters; far away if it never does."""
    disc = qb * qb - qa * qc
    if disc <= np.float32(0.0) or abs(qa) < np.float32(1e-12):
        return _FAR_M
    return (-qb - math.sqrt(disc)) / qa


@kernel
def _draw_part(index, a, o, shape, box, slopes, depth, ids):
    """Intersect one rounded cone with the rays of its bounds; keep nearer hits in `depth` and `ids`."""
    h, ra, rb = shape[0], shape[1], shape[2]
    near, zero = np.float32(_NEAR_M), np.float32(0.0)
    k = (ra - rb) / h if h > zero else zero
    cos2 = np.float32(1.0) - k * k
    has_cone = h > zero and cos2 > np.float32(1e-4)
    inv_cos2 = np.float32(1.0) / cos2 if has_cone else zero
    low, high = k * ra, h + k * rb
    ox, oy, oz = o[0], o[1], o[2]
    rho_o, tip = ra - k * oz, oz - h
    flat_c = ox * ox + oy * oy
    cone_c = flat_c - rho_o * rho_o * inv_cos2
    first_c, last_c = flat_c + oz * oz - ra * ra, flat_c + tip * tip - rb * rb
    for row in range(box[2], box[3]):
        v = slopes[1] + np.float32(row) * slopes[3]
        bx, by, bz = a[0, 1] * v + a[0, 2], a[1, 1] * v + a[1, 2], a[2, 1] * v + a[2, 2]
        for column in range(box[0], box[1]):
            u = slopes[0] + np.float32(column) * slopes[2]
            dx, dy, dz = a[0, 0] * u + bx, a[1, 0] * u + by, a[2, 0] * u + bz
            flat, flat_b = dx * dx + dy * dy, ox * dx + oy * dy
            t = _FAR_M
            if has_cone:
                # the cone's side is x² + y² = (ra - k z)² / cos²
                slope = k * dz
                t = _enter(flat - slope * slope * inv_cos2, flat_b + rho_o * slope * inv_cos2, cone_c)
                z = oz + t * dz
                if z <= low or z >= high:
                    t = _FAR_M
            if t == _FAR_M:
                t = _enter(flat + dz * dz, flat_b + oz * dz, first_c)
                if has_cone:
                    t = min(t, _enter(flat + dz * dz, flat_b + tip * dz, last_c))
            if t > near and t < depth[row, column]:
                depth[row, column] = t
                ids[row, column] = index


@kernel
def _second_colour(pattern, period, x, y, z):
    """Whether the pattern shows its second colour at a point in the part's own metres."""
    if pattern == RINGS:
        return z - period * np.floor(z / period) < 0.5 * period
    if pattern == STRIPES:
        return x - period * np.floor(x / period) < 0.4 * period
    if pattern == CHECKS:
        cells = _HALF * (np.floor(x / period) + np.floor(z / period))
        return cells == np.floor(cells)
    if pattern == DOTS:
        u, v = x / period, z / period
        u, v = u - np.floor(u) - _HALF, v - np.floor(v) - _HALF
        return u * u + v * v < 0.09
    if pattern == LOGO:
        u, v = x / _LOGO_HALF_M, (z - _LOGO_HEIGHT_M) / _LOGO_HALF_M
        return y < 0 and u * u + v * v < 1.0
    return False


@kernel
def _shade_part(a, o, shape, pattern, width, t, u, v, lamp, up, scene):
    """Which of its four colours a part shows at depth t of the ray (u, v, 1), and how bright.

    All arguments are numbers and tuples: `a` the rows of the camera-to-local matrix, `o` the camera's place
    in the part's axes, `lamp` and `up` directions in the camera's axes.
    """
    x = o[0] + t * (a[0] * u + a[1] * v + a[2])
    y = o[1] + t * (a[3] * u + a[4] * v + a[5])
    z = o[2] + t * (a[6] * u + a[7] * v + a[8])
    h = shape[0]
    k = (shape[1] - shape[2]) / h if h > 0 else np.float32(0.0)
    cosine = math.sqrt(max(np.float32(1e-4), 1 - k * k))
    foot = min(max(z - k * math.sqrt(x * x + y * y) / cosine, np.float32(0.0)), h)
    rise = z - foot
    nx = a[0] * x + a[3] * y + a[6] * rise
    ny = a[1] * x + a[4] * y + a[7] * rise
    nz = a[2] * x + a[5] * y + a[8] * rise
    inverse = 1 / math.sqrt(nx * nx + ny * ny + nz * nz + np.float32(1e-12))
    lambert = max((nx * lamp[0] + ny * lamp[1] + nz * lamp[2]) * inverse, np.float32(0.0))
    sky = (nx * up[0] + ny * up[1] + nz * up[2]) * inverse
    facing = -(nx * u + ny * v + nz) * inverse / math.sqrt(u * u + v * v + 1)
    # darker towards the outline: limbs stay readable in front of each other
    outline = np.float32(0.66) + np.float32(0.34) * min(max(facing, np.float32(0.0)), np.float32(1.0))
    bright = (scene.ambient_light * (1 + np.float32(0.25) * sky) + scene.lamp_light * lambert) * outline
    row = 2 if y > 0 else 0
    # rings and stripes go all around, the other patterns are in front only
    in_reach = y <= 0 or pattern[0] < CHECKS
    if in_reach and _second_colour(pattern[0], pattern[1], x * width, y, z + pattern[3]):
        row = 1
    return 3 if z > pattern[2] else row, bright


@kernel
def _part_colour(looks, linear, offset, part, t, u, v, lamp, up, scene):
    """RGB of a part where the ray (u, v, 1) meets it."""
    a = (
        linear[part, 0, 0], linear[part, 0, 1], linear[part, 0, 2], linear[part, 1, 0], linear[part, 1, 1],
        linear[part, 1, 2], linear[part, 2, 0], linear[part, 2, 1], linear[part, 2, 2],
    )  # fmt: skip
    o = offset[part, 0], offset[part, 1], offset[part, 2]
    shape = looks.shapes[part, 0], looks.shapes[part, 1], looks.shapes[part, 2]
    pattern = (
        looks.patterns[part, 0], looks.patterns[part, 1], looks.patterns[part, 2], looks.patterns[part, 3],
    )  # fmt: skip
    row, bright = _shade_part(a, o, shape, pattern, looks.widths[part], t, u, v, lamp, up, scene)
    red, green, blue = (
        looks.colours[part, row, 0],
        looks.colours[part, row, 1],
        looks.colours[part, row, 2],
    )
    return red * bright, green * bright, blue * bright


@kernel
def _shade_frame(
    looks, linear, offset, shadows, scene, camera, slopes, depth, ids, frame, silhouette, hand_samples
):
    one, share = np.float32(1.0), np.float32(255 / _SAMPLES**2)
    size, light = frame.shape[0], scene.lamp
    r00, r01, r02, ex = camera[0, 0], camera[0, 1], camera[0, 2], camera[0, 3]
    r10, r11, r12, ey = camera[1, 0], camera[1, 1], camera[1, 2], camera[1, 3]
    r20, r21, r22, ez = camera[2, 0], camera[2, 1], camera[2, 2], camera[2, 3]
    eye, up = (ex, ey, ez), (r20, r21, r22)
    lamp = (
        r00 * light[0] + r10 * light[1] + r20 * light[2],
        r01 * light[0] + r11 * light[1] + r21 * light[2],
        r02 * light[0] + r12 * light[1] + r22 * light[2],
    )
    for row in range(size):
        for column in range(size):
            red, green, blue = np.float32(0.5), np.float32(0.5), np.float32(0.5)
            covered = 0
            for sample in range(_SAMPLES * _SAMPLES):
                y, x = _SAMPLES * row + sample // _SAMPLES, _SAMPLES * column + sample % _SAMPLES
                u, v = slopes[0] + np.float32(x) * slopes[2], slopes[1] + np.float32(y) * slopes[3]
                part = ids[y, x]
                if part >= 0:
                    covered += 1
                    if looks.hands[part] >= 0:
                        hand_samples[looks.hands[part]] += 1
                    t = depth[y, x]
                    colour = _part_colour(looks, linear, offset, part, t, u, v, lamp, up, scene)
                else:
                    dx, dy, dz = r00 * u + r01 * v + r02, r10 * u + r11 * v + r12, r20 * u + r21 * v + r22
                    colour = shade_room(eye, dx, dy, dz, scene, shadows)
                red += share * min(colour[0], one)
                green += share * min(colour[1], one)
                blue += share * min(colour[2], one)
            frame[row, column, 0] = np.uint8(red)
            frame[row, column, 1] = np.uint8(green)
            frame[row, column, 2] = np.uint8(blue)
            silhouette[row, column] = np.uint8(covered * 255 // (_SAMPLES * _SAMPLES))


@kernel
def _render_frames(
    looks, linear, offset, boxes, shadows, scene, cameras, slopes, frames, silhouettes, hand_samples
):
    wide = frames.shape[1] * _SAMPLES
    depth, ids = np.empty((wide, wide), np.float32), np.empty((wide, wide), np.int16)
    for f in range(len(frames)):
        depth[:] = _FAR_M
        ids[:] = -1
        for i in range(len(looks.shapes)):
            _draw_part(i, linear[f, i], offset[f, i], looks.shapes[i], boxes[f, i], slopes[f], depth, ids)
        _shade_frame(
            looks, linear[f], offset[f], shadows[f], scene, cameras[f], slopes[f], depth, ids, frames[f],
            silhouettes[f], hand_samples[f],
        )  # fmt: skip
