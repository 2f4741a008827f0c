"""In tensors: what rays that miss the person see; `cpu_surroundings` says the same in loops, same names.

One shot at a time: its kinds of patterns are known before any kernel runs, so only those are computed.
All tensors are (F, N): frames and samples of a frame.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from threedimo_training.renderers.picture import CONTACT_STRENGTH, HAZE_LIMIT, HAZE_M, SHADOW_CELLS
from threedimo_training.renderers.scene import (
    BOARDS,
    BRICKS,
    CARPET,
    DADO,
    DISCS,
    GRASS,
    NOISE,
    NOISE_CELLS,
    NUM_BLOCKS,
    PANELS,
    PANES,
    PLANKS,
    SHELVES,
    SLATS,
    TILES,
    WINDOWS,
    Scene,
)
from threedimo_training.renderers.torch_raster import Shadow

_LAST = NOISE_CELLS - 1
_LEAST = 1e-9


class Rays(NamedTuple):
    """Eyes (F, 1) each in x, y, z, directions (F, N) each, and a sample's slope (F, 1)."""

    ex: Tensor
    ey: Tensor
    ez: Tensor
    dx: Tensor
    dy: Tensor
    dz: Tensor
    spread: Tensor


def palette(scene: Scene) -> np.ndarray:
    """(27, 3) float32, all colours of a place: one upload for many places instead of many for each."""
    own, marks = zip(*(block.colours for block in scene.blocks), strict=True)
    parts = (
        scene.floor_colours, scene.wall_colours, scene.mark_colours, scene.picture_colours, scene.sky_colours,
        own, marks,
    )  # fmt: skip
    return np.concatenate([np.array(part, np.float32) for part in parts])


def noise_table(device: torch.device) -> Tensor:
    """`scene.NOISE` on a device, flat."""
    return torch.from_numpy(NOISE).to(device).reshape(-1)


class Colours(NamedTuple):
    """One place's `palette` on the device, and the noise."""

    palette: Tensor
    noise: Tensor


def shade_surroundings(
    scene: Scene, colours: Colours, eyes: Tensor, rays: Tensor, shadow: Shadow, rows: int, columns: int
) -> Tensor:
    """(F, rows x columns, 3) colours, at most 1, of all samples as if nobody were there but a shadow.

    Args:
        scene: The place, wide enough.
        colours: Its colours.
        eyes: (F, 3) cameras.
        rays: (F, 3, 3), see `geometry.ray_matrices`.
        shadow: Of these F frames.
        rows: Rows of samples.
        columns: Columns of samples.
    """
    paint = _Painter(scene, colours)
    x = torch.arange(columns, device=eyes.device, dtype=eyes.dtype) + 0.5
    y = torch.arange(rows, device=eyes.device, dtype=eyes.dtype) + 0.5
    directions = [
        (rays[:, i, 0, None, None] * x + rays[:, i, 1, None, None] * y[:, None] + rays[:, i, 2, None, None])
        for i in range(3)
    ]
    # no direction is exactly level: it would divide by zero
    dx, dy, dz = (torch.where(d.abs() > _LEAST, d, _LEAST).flatten(1) for d in directions)
    spread = (rays[:, :, 0] ** 2).sum(1, keepdim=True).sqrt()
    return paint.look(Rays(eyes[:, :1], eyes[:, 1:2], eyes[:, 2:], dx, dy, dz, spread), shadow)


def _fraction(value: Tensor) -> Tensor:
    return value - value.floor()


def _corner_shade(distance: Tensor) -> Tensor:
    return 1 - 0.28 / (1 + (distance / 0.35) ** 2)


def _choose(condition: Tensor, chosen: Tensor, other: Tensor) -> Tensor:
    """Of two (3, F, N) pictures."""
    return torch.where(condition[None], chosen, other)


class _Painter:
    """The colours of one scene as (3, F, N) pictures."""

    def __init__(self, scene: Scene, colours: Colours):
        self.scene = scene
        self.device = colours.noise.device
        self.half = float(scene.clear_m + scene.margin_m)
        self.noise_table = colours.noise
        counts = (3, 4, 4, 4, 2, NUM_BLOCKS, NUM_BLOCKS)
        (
            self.floor_colours, self.wall_colours, self.mark_colours, self.picture_colours, self.sky_colours,
            self.block_colours, self.block_marks,
        ) = colours.palette[..., None, None].split(counts)  # fmt: skip

    def mix(self, first: Tensor, second: Tensor, share: Tensor | float) -> Tensor:
        return first + (second - first) * share

    def cell(self, u: Tensor, v: Tensor) -> Tensor:
        i, j = u.floor().long() & _LAST, v.floor().long() & _LAST
        return self.noise_table[j * NOISE_CELLS + i]

    def noise(self, u: Tensor, v: Tensor | float) -> Tensor:
        v = v if isinstance(v, Tensor) else torch.full((1, 1), v, device=self.device)
        iu, iv = u.floor(), v.floor()
        fu, fv = u - iu, v - iv
        fu, fv = fu * fu * (3 - 2 * fu), fv * fv * (3 - 2 * fv)
        i, j = iu.long() & _LAST, (iv.long() & _LAST) * NOISE_CELLS
        k, n = (i + 1) & _LAST, ((iv.long() + 1) & _LAST) * NOISE_CELLS
        table = self.noise_table
        low, high = table[j + i], table[n + i]
        low = low + (table[j + k] - low) * fu
        high = high + (table[n + k] - high) * fu
        return low + (high - low) * fv

    def look(self, rays: Rays, shadow: Shadow) -> Tensor:
        """(F, N, 3) colours."""
        ex, ey, ez, dx, dy, dz, spread = rays
        half = self.half
        tx = torch.where(dx > 0, half - ex, -half - ex) / dx
        ty = torch.where(dy > 0, half - ey, -half - ey) / dy
        wall = torch.minimum(tx, ty)
        down = -ez / dz
        on_floor = (dz < 0) & (down < wall)
        t = torch.where(on_floor, down, wall)
        reach = t * spread * (dx * dx + dy * dy + dz * dz).sqrt()
        x, y, z = ex + t * dx, ey + t * dy, ez + t * dz
        picture = _choose(
            on_floor,
            self.floor(x, y, t, reach / dz.abs(), shadow),
            self.beyond(rays, tx < ty, x, y, z, reach),
        )
        return self.with_blocks(picture, rays, t).clamp(max=1.0).movedim(0, -1)

    def beyond(self, rays: Rays, through_x: Tensor, x: Tensor, y: Tensor, z: Tensor, reach: Tensor) -> Tensor:
        """Walls or hills, and the sky above."""
        sky = self.sky(rays.dx, rays.dy, rays.dz)
        side = torch.where(through_x, torch.where(rays.dx > 0, 0, 1), torch.where(rays.dy > 0, 2, 3))
        along = torch.where(through_x, y, x)
        if self.scene.outdoors:
            return self.hills(side, along, z, sky)
        slant = torch.where(through_x, rays.dx, rays.dy).abs()
        return _choose(z > float(self.scene.wall_height_m), sky, self.walls(side, along, z, reach / slant))

    def planks(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        board = (2 * v).floor()
        along = 0.3 * u + 5 * self.cell(board, torch.full((1, 1), 7.0, device=self.device))
        line = (2 * v - board < 0.06) | (_fraction(along) < 0.012)
        return 0.7 * self.cell(along, board) + 0.3 * self.noise(2 * u, 16 * v), line

    def floor_pattern(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor | None]:
        kind = self.scene.floor_kind
        if kind == TILES:
            checks = 2 * _fraction(0.5 * (u.floor() + v.floor()))
            return 0.85 * checks + 0.15 * self.cell(u, v), (_fraction(u) < 0.035) | (_fraction(v) < 0.035)
        if kind == PLANKS:
            return self.planks(u, v)
        if kind == DISCS:
            reach = (_fraction(u) - 0.5) ** 2 + (_fraction(v) - 0.5) ** 2
            return (reach < 0.12).to(u.dtype), (reach >= 0.12) & (reach < 0.16)
        if kind == CARPET:
            pile = 0.55 * self.noise(3 * u, 3 * v) + 0.45 * self.noise(14 * u, 14 * v)
            return pile, _fraction(0.4 * torch.maximum(u.abs(), v.abs())) < 0.1
        if kind == GRASS:
            mown = 0.7 * _fraction(0.5 * (0.4 * v).floor())
            return mown + 0.3 * self.noise(u, v) + 0.35 * self.noise(6 * u, 6 * v), None
        row = v.floor()
        along = 0.5 * u + _fraction(0.5 * row)
        line = (v - row < 0.05) | (_fraction(along) < 0.025)
        return 0.75 * self.cell(along, row) + 0.25 * self.noise(7 * u, 7 * v), line

    def on_floor(self, x: Tensor, y: Tensor, shadow: Shadow) -> tuple[Tensor, Tensor]:
        """Both layers' values at places of the floor, 0 outside of the grid."""
        u = (x - shadow.corner[:, :1]) / shadow.cell[:, None] - 0.5
        v = (y - shadow.corner[:, 1:]) / shadow.cell[:, None] - 0.5
        last = SHADOW_CELLS - 1
        inside = (u >= 0) & (v >= 0) & (u < last) & (v < last)
        u, v = torch.where(inside, u, 0.0), torch.where(inside, v, 0.0)
        i, j = u.floor(), v.floor()
        fu, fv = u - i, v - j
        start = (j.long() * SHADOW_CELLS + i.long())[:, None].expand(-1, 2, -1)
        layers, fu, fv = shadow.layers.flatten(2), fu[:, None], fv[:, None]
        corner = layers.gather(2, start)
        low = corner + (layers.gather(2, start + 1) - corner) * fu
        corner = layers.gather(2, start + SHADOW_CELLS)
        high = corner + (layers.gather(2, start + SHADOW_CELLS + 1) - corner) * fu
        values = (low + (high - low) * fv) * inside[:, None]
        return values[:, 0], values[:, 1]

    def floor(self, x: Tensor, y: Tensor, depth: Tensor, footprint: Tensor, shadow: Shadow) -> Tensor:
        scene, size = self.scene, float(self.scene.floor_size_m)
        share, line = self.floor_pattern(x / size, y / size)
        fade = 1 / (1 + (footprint / (0.45 * size)) ** 2)
        first, second, third = self.floor_colours
        tone = self.mix(first, second, 0.5 + (share - 0.5) * fade)
        if line is not None:
            tone = self.mix(tone, third, 0.8 * fade * line)
        taken, dark = self.on_floor(x, y, shadow)
        light = (1 - float(scene.lamp_light * scene.lamp[2]) * taken) * (1 - CONTACT_STRENGTH * dark)
        if scene.outdoors:
            return self.hazy(tone * light, depth)
        return tone * (light * _corner_shade(self.half - torch.maximum(x.abs(), y.abs())))

    def hazy(self, colour: Tensor, depth: Tensor) -> Tensor:
        return self.mix(colour, self.sky_colours[0], (depth / HAZE_M).clamp(max=HAZE_LIMIT))

    def sky(self, dx: Tensor, dy: Tensor, dz: Tensor) -> Tensor:
        level = (dx * dx + dy * dy).sqrt() + _LEAST
        share = (1.4 * dz / level).clamp(0.0, 1.0)
        colour = self.mix(self.sky_colours[0], self.sky_colours[1], share)
        high = dz > 0.02 * level
        rise = torch.where(high, dz, 1.0)
        u, v = 1.5 * dx / rise, 1.5 * dy / rise
        puff = 0.65 * self.noise(u, v) + 0.35 * self.noise(3 * u, 3 * v)
        cover = (3 * (puff - 0.45)).clamp(0.0, 1.0) * float(self.scene.clouds) * (2.5 * share).clamp(max=1.0)
        return self.mix(colour, torch.ones_like(colour), 0.8 * cover * high)

    def ridge(self, around: Tensor, row: float) -> Tensor:
        return 0.7 * self.noise(around, row) + 0.3 * self.noise(4 * around, row + 3)

    def hills(self, side: Tensor, along: Tensor, z: Tensor, sky: Tensor) -> Tensor:
        scene, half = self.scene, self.half
        rising = (side == 0) | (side == 3)
        start = torch.where(side == 0, 1.0, torch.where(side == 2, 3.0, torch.where(side == 1, 5.0, 7.0)))
        around = start * half + torch.where(rising, along, -along)
        cells = NOISE_CELLS * max(math.floor(8 * half / (float(scene.wall_size_m) * NOISE_CELLS) + 0.5), 1)
        u = around * (cells / (8 * half))
        height = float(scene.wall_height_m)
        near, far = 0.55 * height * self.ridge(u, 11.5), height * (0.25 + 0.75 * self.ridge(u, 30.5))
        horizon = self.sky_colours[0]
        tone = 0.75 + 0.35 * self.noise(6 * u, z)
        front = self.mix(self.wall_colours[0] * tone, horizon, 0.25)
        back = self.mix(self.mark_colours[0], horizon, 0.5)
        return _choose(z < near, front, _choose(z < far, back, sky))

    def wall_pattern(self, kind: int, u: Tensor, v: Tensor, z: Tensor) -> Tensor:
        if kind == PANELS:
            return (_fraction(u) < 0.5).to(u.dtype)
        if kind == BRICKS:
            row = (4 * v).floor()
            along = 1.6 * u + 0.5 * row
            joint = (_fraction(along) < 0.06) | (4 * v - row < 0.14)
            return torch.where(joint, 1.0, 0.45 * self.cell(along, row))
        if kind == WINDOWS:
            across, up = _fraction(0.5 * u), z / float(self.scene.wall_height_m)
            inside = (across > 0.25) & (across < 0.75) & (up > 0.36) & (up < 0.82)
            bar = ((across - 0.5).abs() < 0.015) | ((up - 0.6).abs() < 0.012)
            return (inside & ~bar).to(u.dtype)
        if kind == BOARDS:
            tone = 0.3 * self.cell(3 * v, torch.full((1, 1), 5.0, device=self.device))
            return torch.where(_fraction(3 * v) < 0.09, 1.0, tone)
        if kind == DADO:
            return (z < 1.05).to(u.dtype)
        return 0.25 * self.noise(2 * u, 2 * v)

    def walls(self, side: Tensor, along: Tensor, z: Tensor, footprint: Tensor) -> Tensor:
        scene, size = self.scene, float(self.scene.wall_size_m)
        u, v = along / size, z / size
        shares = {kind: self.wall_pattern(kind, u, v, z) for kind in set(scene.wall_kinds)}
        fade = 1 / (1 + (footprint / (0.3 * size)) ** 2)
        shade = _corner_shade(z) * _corner_shade(self.half - along.abs())
        # skirting board
        low = torch.where(z < 0.12, 0.55, 1.0)
        picture = torch.zeros((3, *z.shape), device=self.device)
        for wall in range(4):
            tone = self.mix(
                self.wall_colours[wall],
                self.mark_colours[wall],
                shares[scene.wall_kinds[wall]] * fade,
            )
            middle, half_width, bottom, top = (float(value) for value in scene.picture_places[wall])
            across = (along - middle).abs()
            hung = (across < half_width) & (z > bottom) & (z < top)
            frame = (across > half_width - 0.06) | (z < bottom + 0.06) | (z > top - 0.06)
            drawn = self.picture_colours[wall] * torch.where(frame, 0.4, 1.0)
            tone = _choose(hung, drawn, tone * low) * (shade * float(scene.side_lights[wall ^ 1]))
            picture = _choose(side == wall, tone, picture)
        return picture

    def block_pattern(self, kind: int, period: float, along: Tensor, z: Tensor, height: float) -> Tensor:
        if kind == SHELVES:
            book = 0.35 + 0.65 * self.cell(along / 0.07, (z / period).floor())
            return torch.where(_fraction(z / period) < 0.12, 0.0, book)
        if kind == SLATS:
            return (_fraction(along / period) < 0.14).to(z.dtype)
        if kind == PANES:
            across, up = _fraction(along / period), _fraction(z / period)
            pane = (across > 0.25) & (across < 0.75) & (up > 0.3) & (up < 0.8)
            return (pane & (z < height - 0.3)).to(z.dtype)
        return torch.zeros_like(z)

    def with_blocks(self, picture: Tensor, rays: Rays, t: Tensor) -> Tensor:
        """The picture with the blocks in front of it."""
        ex, ey, ez, dx, dy, dz, _ = rays
        ix, iy, iz = 1 / dx, 1 / dy, 1 / dz
        for number, block in enumerate(self.scene.block_table().tolist()):
            xa, xb, ya, yb = (
                (block[0] - ex) * ix,
                (block[1] - ex) * ix,
                (block[2] - ey) * iy,
                (block[3] - ey) * iy,
            )
            za, zb = -ez * iz, (block[4] - ez) * iz
            x_in, y_in = torch.minimum(xa, xb), torch.minimum(ya, yb)
            enter = torch.maximum(torch.maximum(x_in, y_in), torch.minimum(za, zb))
            leave = torch.minimum(
                torch.minimum(torch.maximum(xa, xb), torch.maximum(ya, yb)), torch.maximum(za, zb)
            )
            hit = (enter < leave) & (enter > 0) & (enter < t)
            picture = _choose(
                hit, self.block(number, block, rays, enter, x_in == enter, y_in == enter), picture
            )
            t = torch.where(hit, enter, t)
        return picture

    def block(
        self, number: int, block: list[float], rays: Rays, depth: Tensor, through_x: Tensor, through_y: Tensor
    ) -> Tensor:
        """Colours of one block's surface at these depths; looked at from above where through neither side."""
        scene = self.scene
        z = rays.ez + depth * rays.dz
        along = torch.where(
            through_x, rays.ey + depth * rays.dy - block[2], rays.ex + depth * rays.dx - block[0]
        )
        share = self.block_pattern(int(block[11]), block[12], along, z, block[4])
        own, mark = self.block_colours[number], self.block_marks[number]
        lights = [float(light) for light in scene.side_lights]
        side = torch.where(
            through_x,
            torch.where(rays.dx < 0, lights[0], lights[1]),
            torch.where(rays.dy < 0, lights[2], lights[3]),
        )
        upright = through_x | through_y
        colour = _choose(upright, self.mix(own, mark, share) * (side * _corner_shade(z)), own)
        return self.hazy(colour, depth) if scene.outdoors else colour
