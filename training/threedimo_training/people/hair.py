"""Hair and headgear: how thick the scalp's cover is, and the surfaces that hang from or stand on the head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from threedimo_training.motion.skeleton import JOINT
from threedimo_training.people.bare_body import BareBody
from threedimo_training.people.regions import REGION
from threedimo_training.people.shells import Shell, ellipsoid, rigid, slab, tube

HairStyle = Literal["bald", "short", "full", "afro", "bob", "long", "ponytail", "bun", "cap", "beanie"]
HAIR_STYLES: tuple[HairStyle, ...] = (
    *("bald", "short", "full", "afro", "bob", "long", "ponytail", "bun", "cap", "beanie"),
)
# Thickness on the scalp, metres.
_THICKNESS_M: dict[HairStyle, float] = {
    "bald": 0.0, "short": 0.008, "full": 0.026, "afro": 0.075, "bob": 0.02, "long": 0.018, "ponytail": 0.01,
    "bun": 0.01, "cap": 0.016, "beanie": 0.02,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Head:
    """Measures of a head at rest: centre of the skull and half extents (x, y, z), metres."""

    centre: np.ndarray
    half: np.ndarray

    @classmethod
    def of(cls, body: BareBody) -> Head:
        """Measure the scalp of a body."""
        regions = body.vertex_regions()
        scalp = body.points[body.vertex_points[(regions == REGION["head"]) & (body.along > 0.5)]]
        low, high = scalp.min(axis=0), scalp.max(axis=0)
        face = body.points[body.vertex_points[regions == REGION["head"]]]
        front = np.percentile(face[:, 1], 8)
        centre = np.array([0.0, 0.5 * (front + high[1]), high[2] - 0.62 * (high[0] - low[0])])
        return cls(centre, np.array([0.5 * (high[0] - low[0]), high[1] - centre[1], high[2] - centre[2]]))


def hair_thickness(style: HairStyle, along: np.ndarray, hairline: float) -> np.ndarray:
    """(V,) metres by which hair stands off the head, from `along` of the head's vertices."""
    sharpness = 4.0 if style == "afro" else 12.0
    return (
        _THICKNESS_M[style] * np.clip(sharpness * (along - hairline) + 0.15, 0, 1) * (along > hairline - 0.02)
    )


def hair_shells(style: HairStyle, body: BareBody, length: float, rng: np.random.Generator) -> list[Shell]:
    """Surfaces beside the scalp's own.

    Args:
        style: Which hair.
        body: Whose head.
        length: 0 to 1, for hair that hangs.
        rng: For small irregularities.
    """
    head = Head.of(body)
    if style in ("bob", "long"):
        return [_curtain(style == "long", body, head, length, rng)]
    if style == "ponytail":
        return [_ponytail(body, head, length)]
    if style == "bun":
        at = head.centre + head.half * [0, 0.92, 0.62]
        vertices, faces = ellipsoid(at, head.half[0] * np.array([0.46, 0.42, 0.42]))
        return [rigid(vertices, faces, JOINT["head"], np.full(len(vertices), 0.8), "hair")]
    if style == "cap":
        return [_brim(head)]
    return []


def _curtain(to_back: bool, body: BareBody, head: Head, length: float, rng: np.random.Generator) -> Shell:
    """Hair that hangs at the sides and behind, down to the jaw or the shoulder blades."""
    joints = body.rest_joints
    top = head.centre[2] + 0.35 * head.half[2]
    chin = joints[JOINT["head"]][2]
    shoulder = joints[JOINT["left_collar"]][2]
    lowest = shoulder - (0.05 + 0.22 * length) * body.rest_joints[0, 2] if to_back else chin - 0.06 * length
    rows, columns = 14, 25
    t = np.linspace(0, 1, rows)[:, None]
    # 0 looks to the front; temples at either end
    turn = np.radians(np.linspace(72, 288, columns))[None]
    heights = top + (lowest - top) * t
    out = 1.16 + 0.05 * np.sin(9 * turn + rng.uniform(0, 6)) * t
    below = np.clip((chin - heights) / 0.1, 0, 1)
    across = head.half[0] * out * np.sin(turn) * (1 + 0.12 * below)
    depth = -head.half[1] * (1.06 * np.cos(turn)) + head.centre[1]
    back = _back_surface(body, heights[:, 0])[:, None] + 0.014
    sideways = np.abs(np.sin(turn)) ** 3
    depth = depth + below * np.maximum(back - depth, 0) * (1 - 0.5 * sideways)
    if to_back:
        # below the chin everything gathers behind the shoulders
        depth = np.where(below > 0, np.maximum(depth, depth + below * (back - depth)), depth)
    outer = np.stack([across, depth, heights + 0 * turn], -1)
    inward = np.stack([np.sin(turn), -np.cos(turn), 0 * turn], -1) * 0.016
    vertices, faces = slab(outer[:, ::-1], (outer - inward)[:, ::-1])
    share = np.tile(np.repeat(np.clip(1.6 * (chin - 0.04 - heights[:, 0]) / 0.25, 0, 0.85), columns), 2)
    bones = np.tile([JOINT["head"], JOINT["spine3"], 0, 0], (len(vertices), 1))
    weights = np.stack([1 - share, share, 0 * share, 0 * share], 1)
    return Shell(vertices, faces, bones, weights, np.full(len(vertices), 0.8), "hair")


def _back_surface(body: BareBody, heights: np.ndarray) -> np.ndarray:
    """How far back (y) neck and back reach at some heights."""
    regions = np.isin(body.vertex_regions(), [REGION["neck"], REGION["torso"]])
    points = body.points[body.vertex_points[regions]]
    points = points[np.abs(points[:, 0]) < 0.12]
    near = np.abs(points[:, 2][None] - heights[:, None]) < 0.035
    return np.where(near, points[:, 1][None], -1.0).max(axis=1)


def _ponytail(body: BareBody, head: Head, length: float) -> Shell:
    steps = np.linspace(0, 1, 9)
    reach = head.half[2] * (1.6 + 1.2 * length)
    start = head.centre + head.half * [0, 0.86, 0.55]
    path = start + np.stack([0 * steps, 0.075 * np.sin(2.2 * steps), 0.02 * steps - reach * steps**1.7], 1)
    back = _back_surface(body, path[:, 2])
    path[:, 1] = np.maximum(path[:, 1], back + 0.03)
    widths = head.half[0] * np.interp(steps, [0, 0.12, 0.5, 1], [0.2, 0.3, 0.33, 0.1])
    forward = np.gradient(path, axis=0)
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    side = np.tile([1.0, 0.0, 0.0], (len(path), 1))
    out = np.cross(forward, side)
    turn = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    ring = side[:, None] * np.cos(turn)[:, None] + out[:, None] * np.sin(turn)[:, None]
    vertices, faces = tube(path[:, None] + widths[:, None, None] * ring)
    return rigid(vertices, faces, JOINT["head"], np.full(len(vertices), 0.8), "hair")


def _brim(head: Head) -> Shell:
    turn = np.radians(np.linspace(-66, 66, 13))[None]
    out = np.linspace(0.0, 1.0, 5)[:, None]
    reach = 1.02 + 0.62 * out * np.cos(turn) ** 0.5
    x = head.half[0] * reach * np.sin(turn)
    y = head.centre[1] - head.half[1] * (reach * np.cos(turn)) - 0.006
    z = head.centre[2] + 0.3 * head.half[2] - 0.03 * out - 0.02 * np.abs(np.sin(turn)) + 0 * x
    outer = np.stack([x, y, z], -1)
    vertices, faces = slab(outer, outer - [0, 0, 0.007])
    return rigid(vertices, faces, JOINT["head"], np.full(len(vertices), 0.9), "accessory")
