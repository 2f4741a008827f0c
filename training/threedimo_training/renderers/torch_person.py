"""In tensors: the colour of each sample that sees the person. `cpu_person` says the same in loops."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from threedimo_training.people.person import CHECKS, DOTS, LOGO, RINGS, STRIPES
from threedimo_training.renderers.picture import DOT_RADIUS2, LOGO_RADIUS2, OUTLINE, STRIPE_WIDTH, WRAP
from threedimo_training.renderers.torch_raster import edge_functions
from threedimo_training.renderers.torch_surroundings import Places


class Paint(NamedTuple):
    """Cloths of S people, their materials one after the other: those of person s begin at `first[s]`.

    Attributes:
        first: (S,) int64.
        colours: (M, 3 bands, 3, 3).
        patterns: (M, 3 bands) int64.
        periods_m: (M, 3 bands).
        cuts: (M, 2).
        places: (S, 3), see `geometry.pattern_places`.
    """

    first: Tensor
    colours: Tensor
    patterns: Tensor
    periods_m: Tensor
    cuts: Tensor
    places: Tensor


class Hits(NamedTuple):
    """N samples that see a person.

    Attributes:
        shot: (N,) int64.
        material: (N,) int64, within the person.
        x: (N,) in samples.
        y: (N,) in samples.
        screen: (N, 3, 3) corners of the face, see `torch_raster.Posed`.
        turned: (N, 3, 3) normals at the corners.
        surface: (N, 3, 7) at the corners: rest position, tint, along.
        ray: (N, 3) the direction that reaches a depth of 1 m.
    """

    shot: Tensor
    material: Tensor
    x: Tensor
    y: Tensor
    screen: Tensor
    turned: Tensor
    surface: Tensor
    ray: Tensor


def shade_person(hits: Hits, paint: Paint, places: Places) -> Tensor:
    """(N, 3) colours, at most 1."""
    edges = torch.stack(edge_functions(hits.screen, hits.x, hits.y), dim=-1)
    total = edges.sum(-1, keepdim=True)
    shares = (edges / total)[..., None]
    normal = (shares * hits.turned).sum(1)
    normal = torch.where(total > 0, -normal, normal)
    surface = (shares * hits.surface).sum(1)
    colour = _painted(hits, paint, surface[:, :3], surface[:, 6]) * surface[:, 3:6]
    return (colour * _light(normal, hits.ray, hits.shot, places)).clamp(max=1.0)


def _light(normal: Tensor, ray: Tensor, shot: Tensor, places: Places) -> Tensor:
    """(N, 3) RGB of the light on surfaces, outline included."""
    normal = normal * ((normal * normal).sum(-1, keepdim=True) + 1e-12).rsqrt()
    facing = -(normal * ray).sum(-1, keepdim=True) * (ray * ray).sum(-1, keepdim=True).rsqrt()
    outline = 1 - OUTLINE * (1 - facing.clamp(0.0, 1.0)) ** 2
    lamp = (normal * places.lamp[shot]).sum(-1, keepdim=True)
    lamp = places.lamp_light[shot, None] * (lamp + WRAP).clamp(min=0.0) / (1 + WRAP)
    low = places.bounce_light[shot]
    return outline * (lamp + low + (places.sky_light[shot] - low) * (0.5 + 0.5 * normal[:, 2:]))


def _painted(hits: Hits, paint: Paint, rest: Tensor, along: Tensor) -> Tensor:
    """(N, 3) colours of the cloth at points of the rest pose."""
    material = paint.first[hits.shot] + hits.material
    cuts = paint.cuts[material]
    band = torch.where(along < cuts[:, 0], 0, torch.where(along < cuts[:, 1], 1, 2))
    cell = material * 3 + band
    pattern, period = paint.patterns.reshape(-1)[cell], paint.periods_m.reshape(-1)[cell]
    arms_from, chest, back_from = paint.places[hits.shot].unbind(-1)
    at_back = rest[:, 1] > back_from
    marked = _marked(pattern, period, rest[:, 0], rest[:, 2], arms_from, chest)
    marked &= ~at_back | (pattern == RINGS) | (pattern == STRIPES)
    row = torch.where(marked, 1, torch.where(at_back, 2, 0))
    return paint.colours.reshape(-1, 3)[cell * 3 + row]


def _marked(
    pattern: Tensor, period: Tensor, x: Tensor, z: Tensor, arms_from: Tensor, chest: Tensor
) -> Tensor:
    """(N,) bool, whether a pattern shows its second colour."""
    on_arm = x.abs() > arms_from
    u, v = x / period, z / period
    ring = torch.where(on_arm, x.abs(), z) / period
    stripe = torch.where(on_arm, z, x) / period
    cells = 0.5 * (u.floor() + v.floor())
    du, dv = u - u.floor() - 0.5, v - v.floor() - 0.5
    logo = v - chest / period
    return (
        ((pattern == RINGS) & (ring - ring.floor() < 0.5))
        | ((pattern == STRIPES) & (stripe - stripe.floor() < STRIPE_WIDTH))
        | ((pattern == CHECKS) & (cells == cells.floor()))
        | ((pattern == DOTS) & (du * du + dv * dv < DOT_RADIUS2))
        | ((pattern == LOGO) & (u * u + logo * logo < LOGO_RADIUS2))
    )
