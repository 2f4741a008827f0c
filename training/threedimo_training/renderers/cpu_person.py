"""Compiled: the colour of each sample that sees the person."""

from __future__ import annotations

import math

import numpy as np
from numpy import float32 as f32

from threedimo_training.people.person import CHECKS, DOTS, LOGO, RINGS, STRIPES
from threedimo_training.renderers.compiled import kernel
from threedimo_training.renderers.picture import (
    DOT_RADIUS2,
    LOGO_RADIUS2,
    OUTLINE,
    SAMPLES,
    STRIPE_WIDTH,
    WRAP,
)

_HALF, _ONE, _ZERO = f32(0.5), f32(1.0), f32(0.0)
_SHARE = f32(1 / SAMPLES**2)
_DOT_RADIUS2, _LOGO_RADIUS2, _STRIPE_WIDTH = f32(DOT_RADIUS2), f32(LOGO_RADIUS2), f32(STRIPE_WIDTH)
_WRAP, _OUTLINE = f32(WRAP), f32(OUTLINE)


@kernel
def _marked(pattern, period, x, z, arms_from, chest):
    """Whether a pattern shows its second colour at a point of the rest pose."""
    on_arm = abs(x) > arms_from
    if pattern == RINGS:
        v = (abs(x) if on_arm else z) / period
        return v - np.floor(v) < _HALF
    if pattern == STRIPES:
        v = (z if on_arm else x) / period
        return v - np.floor(v) < _STRIPE_WIDTH
    u, v = x / period, z / period
    if pattern == CHECKS:
        cells = _HALF * (np.floor(u) + np.floor(v))
        return cells == np.floor(cells)
    if pattern == DOTS:
        u, v = u - np.floor(u) - _HALF, v - np.floor(v) - _HALF
        return u * u + v * v < _DOT_RADIUS2
    if pattern == LOGO:
        v -= chest / period
        return u * u + v * v < _LOGO_RADIUS2
    return False


@kernel
def _light(nx, ny, nz, dx, dy, dz, scene):
    """RGB of the light on a surface with normal n (towards the camera) seen along d, outline included."""
    inverse = _ONE / math.sqrt(nx * nx + ny * ny + nz * nz + f32(1e-12))
    facing = -(nx * dx + ny * dy + nz * dz) * inverse / math.sqrt(dx * dx + dy * dy + dz * dz)
    facing = min(max(facing, _ZERO), _ONE)
    outline = _ONE - _OUTLINE * (_ONE - facing) * (_ONE - facing)
    lamp = (nx * scene.lamp[0] + ny * scene.lamp[1] + nz * scene.lamp[2]) * inverse
    lamp = scene.lamp_light * max(lamp + _WRAP, _ZERO) / (_ONE + _WRAP)
    up = _HALF + _HALF * nz * inverse
    low, high = scene.bounce_light, scene.sky_light
    return (
        outline * (lamp + low[0] + (high[0] - low[0]) * up),
        outline * (lamp + low[1] + (high[1] - low[1]) * up),
        outline * (lamp + low[2] + (high[2] - low[2]) * up),
    )


@kernel
def _painted(cloth, material, along, x, y, z, places):
    """Which material's band and which of its three colours shows at a point of the rest pose."""
    band = 0
    if along >= cloth.cuts[material, 0]:
        band = 1 if along < cloth.cuts[material, 1] else 2
    pattern = cloth.patterns[material, band]
    at_back = y > places[2]
    row = 2 if at_back else 0
    if (not at_back or pattern in (RINGS, STRIPES)) and _marked(
        pattern, cloth.periods_m[material, band], x, z, places[0], places[1]
    ):
        row = 1
    return band, row


@kernel
def _shares(screen, a, b, c, x, y):
    """Perspective-correct shares of three corners at a sample, and whether the face turns its back."""
    za, zb, zc = screen[a, 2], screen[b, 2], screen[c, 2]
    xa, ya = screen[a, 0] - za * x, screen[a, 1] - za * y
    xb, yb = screen[b, 0] - zb * x, screen[b, 1] - zb * y
    xc, yc = screen[c, 0] - zc * x, screen[c, 1] - zc * y
    ea, eb, ec = xb * yc - yb * xc, xc * ya - yc * xa, xa * yb - ya * xb
    total = ea + eb + ec
    inverse = _ONE / total
    return ea * inverse, eb * inverse, ec * inverse, total > _ZERO


@kernel
def shade_person(body, cloth, places, screen, turned, rays, scenes, ids, picture, covered, hand_samples):
    """Add the person's samples to `picture` (H, W, 3) ; count them in `covered` (H, W) and per hand."""
    scene = scenes[0]
    rows, columns = ids.shape
    for row in range(rows):
        y = f32(row) + _HALF
        for column in range(columns):
            face = ids[row, column]
            if face < 0:
                continue
            x = f32(column) + _HALF
            a, b, c = body.faces[face, 0], body.faces[face, 1], body.faces[face, 2]
            wa, wb, wc, reverse = _shares(screen, a, b, c, x, y)
            dx = rays[0, 0] * x + rays[0, 1] * y + rays[0, 2]
            dy = rays[1, 0] * x + rays[1, 1] * y + rays[1, 2]
            dz = rays[2, 0] * x + rays[2, 1] * y + rays[2, 2]
            nx = wa * turned[a, 0] + wb * turned[b, 0] + wc * turned[c, 0]
            ny = wa * turned[a, 1] + wb * turned[b, 1] + wc * turned[c, 1]
            nz = wa * turned[a, 2] + wb * turned[b, 2] + wc * turned[c, 2]
            if reverse:
                nx, ny, nz = -nx, -ny, -nz
            light = _light(nx, ny, nz, dx, dy, dz, scene)
            rest, along, tints = body.vertices, body.along, body.tints
            px = wa * rest[a, 0] + wb * rest[b, 0] + wc * rest[c, 0]
            py = wa * rest[a, 1] + wb * rest[b, 1] + wc * rest[c, 1]
            pz = wa * rest[a, 2] + wb * rest[b, 2] + wc * rest[c, 2]
            material = body.materials[face]
            at = wa * along[a] + wb * along[b] + wc * along[c]
            band, kind = _painted(cloth, material, at, px, py, pz, places)
            for channel in range(3):
                tint = wa * tints[a, channel] + wb * tints[b, channel] + wc * tints[c, channel]
                colour = cloth.colours[material, band, kind, channel] * tint * light[channel]
                picture[row // SAMPLES, column // SAMPLES, channel] += _SHARE * min(colour, _ONE)
            covered[row // SAMPLES, column // SAMPLES] += 1
            if body.hands[face] >= 0:
                hand_samples[body.hands[face]] += 1
