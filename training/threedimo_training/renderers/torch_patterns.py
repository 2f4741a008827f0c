"""In tensors: patterns of floors, walls and blocks, each for a list of points; as in `cpu_surroundings`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from threedimo_training.renderers.scene import (
    BLANK,
    BOARDS,
    BRICKS,
    CARPET,
    DADO,
    DISCS,
    GRASS,
    NOISE_CELLS,
    PANELS,
    PANES,
    PAVING,
    PLANKS,
    SHELVES,
    SLATS,
    TILES,
    WINDOWS,
)

_LAST = NOISE_CELLS - 1


def fraction(value: Tensor) -> Tensor:
    """What exceeds the next lower whole number."""
    return value - value.floor()


def cell(noise: Tensor, u: Tensor, v: Tensor | float) -> Tensor:
    """A random number for each unit cell; `noise` is `scene.NOISE`, flat."""
    row = v.floor().long() & _LAST if isinstance(v, Tensor) else int(v)
    return noise[row * NOISE_CELLS + (u.floor().long() & _LAST)]


def smooth(noise: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Smooth noise in [0, 1)."""
    fu, fv = fraction(u), fraction(v)
    fu, fv = fu * fu * (3 - 2 * fu), fv * fv * (3 - 2 * fv)
    iu, iv = u.floor().long(), v.floor().long()
    i, j = iu & _LAST, (iv & _LAST) * NOISE_CELLS
    k, n = (iu + 1) & _LAST, ((iv + 1) & _LAST) * NOISE_CELLS
    low, high = noise[j + i], noise[n + i]
    low, high = torch.lerp(low, noise[j + k], fu), torch.lerp(high, noise[n + k], fu)
    return torch.lerp(low, high, fv)


def _tiles(noise: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    checks = 2 * fraction(0.5 * (u.floor() + v.floor()))
    return 0.85 * checks + 0.15 * cell(noise, u, v), (fraction(u) < 0.035) | (fraction(v) < 0.035)


def _planks(noise: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    board = (2 * v).floor()
    along = 0.3 * u + 5 * cell(noise, board, 7.0)
    line = (2 * v - board < 0.06) | (fraction(along) < 0.012)
    return 0.7 * cell(noise, along, board) + 0.3 * smooth(noise, 2 * u, 16 * v), line


def _discs(noise: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    reach = (fraction(u) - 0.5) ** 2 + (fraction(v) - 0.5) ** 2
    return (reach < 0.12).to(noise.dtype), (reach >= 0.12) & (reach < 0.16)


def _carpet(noise: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    pile = 0.55 * smooth(noise, 3 * u, 3 * v) + 0.45 * smooth(noise, 14 * u, 14 * v)
    return pile, fraction(0.4 * torch.maximum(u.abs(), v.abs()) + 0.5) < 0.1


def _grass(noise: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    mown = 0.7 * fraction(0.5 * (0.4 * v).floor())
    share = mown + 0.3 * smooth(noise, u, v) + 0.35 * smooth(noise, 6 * u, 6 * v)
    return share, torch.zeros_like(u, dtype=torch.bool)


def _paving(noise: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    row = v.floor()
    along = 0.5 * u + fraction(0.5 * row)
    line = (v - row < 0.05) | (fraction(along) < 0.025)
    return 0.75 * cell(noise, along, row) + 0.25 * smooth(noise, 7 * u, 7 * v), line


# (noise, u, v) with u and v in tiles: share of the second colour, and whether a line shows.
FLOORS: dict[int, Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    TILES: _tiles, PLANKS: _planks, DISCS: _discs, CARPET: _carpet, GRASS: _grass, PAVING: _paving,
}  # fmt: skip


def _blank(noise: Tensor, u: Tensor, v: Tensor, z: Tensor, up: Tensor) -> Tensor:  # noqa: ARG001
    return 0.25 * smooth(noise, 2 * u, 2 * v)


def _panels(noise: Tensor, u: Tensor, v: Tensor, z: Tensor, up: Tensor) -> Tensor:  # noqa: ARG001
    return (fraction(u) < 0.5).to(noise.dtype)


def _bricks(noise: Tensor, u: Tensor, v: Tensor, z: Tensor, up: Tensor) -> Tensor:  # noqa: ARG001
    row = (4 * v).floor()
    along = 1.6 * u + 0.5 * row
    joint = (fraction(along) < 0.06) | (4 * v - row < 0.14)
    return torch.where(joint, 1.0, 0.45 * cell(noise, along, row))


def _windows(noise: Tensor, u: Tensor, v: Tensor, z: Tensor, up: Tensor) -> Tensor:  # noqa: ARG001
    across = fraction(0.5 * u)
    inside = (across > 0.25) & (across < 0.75) & (up > 0.36) & (up < 0.82)
    bar = ((across - 0.5).abs() < 0.015) | ((up - 0.6).abs() < 0.012)
    return (inside & ~bar).to(noise.dtype)


def _boards(noise: Tensor, u: Tensor, v: Tensor, z: Tensor, up: Tensor) -> Tensor:  # noqa: ARG001
    return torch.where(fraction(3 * v) < 0.09, 1.0, 0.3 * cell(noise, 3 * v, 5.0))


def _dado(noise: Tensor, u: Tensor, v: Tensor, z: Tensor, up: Tensor) -> Tensor:  # noqa: ARG001
    return (z < 1.05).to(noise.dtype)


# (noise, u, v, z, z as a share of the wall) with u and v in pattern sizes: share of the mark's colour.
WALLS: dict[int, Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    BLANK: _blank, PANELS: _panels, BRICKS: _bricks, WINDOWS: _windows, BOARDS: _boards, DADO: _dado,
}  # fmt: skip


def block_pattern(
    noise: Tensor, kind: Tensor, period: Tensor, along: Tensor, z: Tensor, height: Tensor
) -> Tensor:
    """Share of the mark's colour on sides of blocks; few points, so all kinds are computed for all."""
    across, up = fraction(along / period), fraction(z / period)
    books = torch.where(up < 0.12, 0.0, 0.35 + 0.65 * cell(noise, along / 0.07, (z / period).floor()))
    pane = (across > 0.25) & (across < 0.75) & (up > 0.3) & (up < 0.8) & (z < height - 0.3)
    marked = ((kind == SLATS) & (across < 0.14)) | ((kind == PANES) & pane)
    return torch.where(kind == SHELVES, books, marked.to(z.dtype))
