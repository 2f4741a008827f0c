"""Compiled: skinning, which face each sample sees, and the person's shadow on the floor."""

from __future__ import annotations

import math

from numpy import float32 as f32

from threedimo_training.renderers.compiled import kernel
from threedimo_training.renderers.picture import (
    CONTACT_M,
    CONTACT_SHARES,
    NEAR_M,
    SHADOW_BORDER,
    SHADOW_CELLS,
    SHADOW_GAIN,
)

_NEAR = f32(NEAR_M)
_FAR = f32(1e9)
_HALF = f32(0.5)
_ONE = f32(1.0)
_ZERO = f32(0.0)
_SHARP_M, _WIDE_M = f32(CONTACT_M[0]), f32(CONTACT_M[1])
_SHARP_SHARE, _WIDE_SHARE = f32(CONTACT_SHARES[0]), f32(CONTACT_SHARES[1])
_GAIN = f32(SHADOW_GAIN)
_INNER_CELLS = f32(SHADOW_CELLS - 2 * SHADOW_BORDER)
_BORDER = f32(SHADOW_BORDER)
_SIDE_TAP, _NEAR_TAP, _MIDDLE_TAP = f32(1 / 16), f32(4 / 16), f32(6 / 16)


@kernel
def skin(bones, vertices, normals, bone_ids, weights, projection, world, turned, screen):
    """Linear blend skinning of one frame.

    Fills `world` (V, 3) and `turned` (V, 3), the normals, not of unit length; `screen` (V, 5): x depth,
    y depth, depth, x, y in samples (x and y only in front of the near plane).
    """
    p = projection
    for i in range(len(vertices)):
        m00 = m01 = m02 = m03 = m10 = m11 = m12 = m13 = m20 = m21 = m22 = m23 = _ZERO
        for slot in range(4):
            share = weights[i, slot]
            if share == _ZERO:
                continue
            b = bones[bone_ids[i, slot]]
            m00 += share * b[0, 0]
            m01 += share * b[0, 1]
            m02 += share * b[0, 2]
            m03 += share * b[0, 3]
            m10 += share * b[1, 0]
            m11 += share * b[1, 1]
            m12 += share * b[1, 2]
            m13 += share * b[1, 3]
            m20 += share * b[2, 0]
            m21 += share * b[2, 1]
            m22 += share * b[2, 2]
            m23 += share * b[2, 3]
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        nx, ny, nz = normals[i, 0], normals[i, 1], normals[i, 2]
        turned[i, 0] = m00 * nx + m01 * ny + m02 * nz
        turned[i, 1] = m10 * nx + m11 * ny + m12 * nz
        turned[i, 2] = m20 * nx + m21 * ny + m22 * nz
        wx = m00 * x + m01 * y + m02 * z + m03
        wy = m10 * x + m11 * y + m12 * z + m13
        wz = m20 * x + m21 * y + m22 * z + m23
        world[i, 0], world[i, 1], world[i, 2] = wx, wy, wz
        sx = p[0, 0] * wx + p[0, 1] * wy + p[0, 2] * wz + p[0, 3]
        sy = p[1, 0] * wx + p[1, 1] * wy + p[1, 2] * wz + p[1, 3]
        depth = p[2, 0] * wx + p[2, 1] * wy + p[2, 2] * wz + p[2, 3]
        screen[i, 0], screen[i, 1], screen[i, 2] = sx, sy, depth
        if depth >= _NEAR:
            screen[i, 3], screen[i, 4] = sx / depth, sy / depth


@kernel
def _clipped_bounds(screen, a, b, c):
    """Left, right, top, bottom of the part of a triangle that lies in front of the near plane."""
    left, right, top, bottom = _FAR, -_FAR, _FAR, -_FAR
    for edge in range(3):
        i, j = (a, b) if edge == 0 else ((b, c) if edge == 1 else (c, a))
        zi, zj = screen[i, 2], screen[j, 2]
        if zi >= _NEAR:
            x, y = screen[i, 3], screen[i, 4]
            left, right, top, bottom = min(left, x), max(right, x), min(top, y), max(bottom, y)
        if (zi >= _NEAR) != (zj >= _NEAR):
            share = (_NEAR - zi) / (zj - zi)
            x = (screen[i, 0] + share * (screen[j, 0] - screen[i, 0])) / _NEAR
            y = (screen[i, 1] + share * (screen[j, 1] - screen[i, 1])) / _NEAR
            left, right, top, bottom = min(left, x), max(right, x), min(top, y), max(bottom, y)
    # a sample of slack: what lies at the near plane itself is decided by depth
    return left - _ONE, right + _ONE, top - _ONE, bottom + _ONE


@kernel
def _bounds(screen, a, b, c):
    if screen[a, 2] >= _NEAR and screen[b, 2] >= _NEAR and screen[c, 2] >= _NEAR:
        xa, xb, xc = screen[a, 3], screen[b, 3], screen[c, 3]
        ya, yb, yc = screen[a, 4], screen[b, 4], screen[c, 4]
        return min(xa, xb, xc), max(xa, xb, xc), min(ya, yb, yc), max(ya, yb, yc)
    return _clipped_bounds(screen, a, b, c)


@kernel
def _fill(screen, a, b, c, x_from, x_to, y_from, y_to, face, depth, ids):
    """Test the samples of a range against one triangle; keep nearer hits.

    With corners (x depth, y depth, depth) the triple product of two corners and a sample's ray (x, y, 1) is
    an edge function that stays right behind the camera; taken relative to the first sample (x0, y0), its
    numbers are small and exact. Edge functions over their sum are perspective-correct shares.
    """
    x0, y0 = f32(x_from) + _HALF, f32(y_from) + _HALF
    za, zb, zc = screen[a, 2], screen[b, 2], screen[c, 2]
    xa, ya = screen[a, 0] - za * x0, screen[a, 1] - za * y0
    xb, yb = screen[b, 0] - zb * x0, screen[b, 1] - zb * y0
    xc, yc = screen[c, 0] - zc * x0, screen[c, 1] - zc * y0
    ea, eb, ec = xb * yc - yb * xc, xc * ya - yc * xa, xa * yb - ya * xb
    volume = za * ea + zb * eb + zc * ec
    if volume == _ZERO:
        return
    sign = _ONE if volume > _ZERO else -_ONE
    volume *= sign
    ea, eb, ec = sign * ea, sign * eb, sign * ec
    ea_x, ea_y = sign * (yb * zc - zb * yc), sign * (zb * xc - xb * zc)
    eb_x, eb_y = sign * (yc * za - zc * ya), sign * (zc * xa - xc * za)
    ec_x, ec_y = sign * (ya * zb - za * yb), sign * (za * xb - xa * zb)
    for row in range(y_from, y_to + 1):
        v = f32(row - y_from)
        fa, fb, fc = ea + v * ea_y, eb + v * eb_y, ec + v * ec_y
        for column in range(x_from, x_to + 1):
            u = f32(column - x_from)
            ga, gb, gc = fa + u * ea_x, fb + u * eb_x, fc + u * ec_x
            if ga >= _ZERO and gb >= _ZERO and gc >= _ZERO:
                z = volume / (ga + gb + gc)
                if z >= _NEAR and z < depth[row, column]:
                    depth[row, column] = z
                    ids[row, column] = face


@kernel
def draw(screen, faces, depth, ids):
    """Overwrite `depth` (rows, columns) float32 and `ids` int32: the nearest face of each sample, or -1."""
    rows, columns = depth.shape
    depth[:] = _FAR
    ids[:] = -1
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        left, right, top, bottom = _bounds(screen, a, b, c)
        if not (right >= _ZERO and bottom >= _ZERO and left <= f32(columns) and top <= f32(rows)):
            continue
        x_from, x_to = max(math.ceil(left - _HALF), 0), min(math.floor(right - _HALF), columns - 1)
        y_from, y_to = max(math.ceil(top - _HALF), 0), min(math.floor(bottom - _HALF), rows - 1)
        if x_from <= x_to and y_from <= y_to:
            _fill(screen, a, b, c, x_from, x_to, y_from, y_to, face, depth, ids)


@kernel
def _shadow_place(world, slope_x, slope_y):
    """Lower corner and cell size of a grid that holds the person's shadow and what is below the person."""
    x_low, x_high, y_low, y_high = _FAR, -_FAR, _FAR, -_FAR
    for i in range(len(world)):
        x, y, z = world[i, 0], world[i, 1], max(world[i, 2], _ZERO)
        x_low, x_high = min(x_low, x, x - slope_x * z), max(x_high, x, x - slope_x * z)
        y_low, y_high = min(y_low, y, y - slope_y * z), max(y_high, y, y - slope_y * z)
    cell = max(x_high - x_low, y_high - y_low, f32(0.1)) / _INNER_CELLS
    return x_low - _BORDER * cell, y_low - _BORDER * cell, cell


@kernel
def _splat(layer, u, v, amount):
    u -= _HALF
    v -= _HALF
    column, row = math.floor(u), math.floor(v)
    fu, fv = u - f32(column), v - f32(row)
    layer[row, column] += (_ONE - fu) * (_ONE - fv) * amount
    layer[row, column + 1] += fu * (_ONE - fv) * amount
    layer[row + 1, column] += (_ONE - fu) * fv * amount
    layer[row + 1, column + 1] += fu * fv * amount


@kernel
def _blur(layer, spare):
    """Binomial blur of five cells each way; the border stays empty."""
    cells = len(layer)
    spare[:] = _ZERO
    for i in range(cells):
        for j in range(2, cells - 2):
            near, far = layer[i, j - 1] + layer[i, j + 1], layer[i, j - 2] + layer[i, j + 2]
            spare[i, j] = _MIDDLE_TAP * layer[i, j] + _NEAR_TAP * near + _SIDE_TAP * far
    layer[:] = _ZERO
    for i in range(2, cells - 2):
        for j in range(cells):
            near, far = spare[i - 1, j] + spare[i + 1, j], spare[i - 2, j] + spare[i + 2, j]
            layer[i, j] = _MIDDLE_TAP * spare[i, j] + _NEAR_TAP * near + _SIDE_TAP * far


@kernel
def cast_shadow(world, faces, lamp, grid, spare, place):
    """Fill the two layers of `grid` (2, SHADOW_CELLS, SHADOW_CELLS): lamp taken away; darkening from above.

    Each face leaves its area as seen along the lamp, or from above, at its middle. `place` (3,) receives x
    and y of the grid's lower corner and the size of a cell in metres.
    """
    shadow, contact = grid[0], grid[1]
    slope_x, slope_y = lamp[0] / lamp[2], lamp[1] / lamp[2]
    x0, y0, cell = _shadow_place(world, slope_x, slope_y)
    third, gain = f32(1 / 3), _GAIN / (cell * cell)
    shadow[:] = _ZERO
    contact[:] = _ZERO
    for face in range(len(faces)):
        a, b, c = world[faces[face, 0]], world[faces[face, 1]], world[faces[face, 2]]
        e, f, g = b[0] - a[0], b[1] - a[1], b[2] - a[2]
        p, q, r = c[0] - a[0], c[1] - a[1], c[2] - a[2]
        above = _HALF * abs(e * q - f * p)
        ee, ff, pp, qq = e - slope_x * g, f - slope_y * g, p - slope_x * r, q - slope_y * r
        beside = _HALF * abs(ee * qq - ff * pp)
        z = max((a[2] + b[2] + c[2]) * third, _ZERO)
        x, y = (a[0] + b[0] + c[0]) * third - x0, (a[1] + b[1] + c[1]) * third - y0
        _splat(shadow, (x - slope_x * z) / cell, (y - slope_y * z) / cell, gain * beside)
        sharp, wide = z / _SHARP_M, z / _WIDE_M
        weight = _SHARP_SHARE / (_ONE + sharp * sharp) + _WIDE_SHARE / (_ONE + wide * wide)
        _splat(contact, x / cell, y / cell, gain * above * weight)
    for i in range(SHADOW_CELLS):
        for j in range(SHADOW_CELLS):
            shadow[i, j] = min(shadow[i, j], _ONE)
            contact[i, j] = min(contact[i, j], _ONE)
    _blur(shadow, spare)
    _blur(contact, spare)
    _blur(contact, spare)
    place[0], place[1], place[2] = x0, y0, cell
