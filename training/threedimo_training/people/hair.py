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
    "bald": 0.0, "short": 0.007, "full": 0.022, "afro": 0.06, "bob": 0.014, "long": 0.014, "ponytail": 0.008,
    "bun": 0.008, "cap": 0.001, "beanie": 0.001,
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
    # along rises by 1 over 12 cm: hair rises from its edge at about 50 degrees
    return np.clip(0.15 * (along - hairline), 0, _THICKNESS_M[style])


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
        return [_dome(head, 1.14, front=0.3, back=-0.05), _brim(head)]
    return [_dome(head, 1.17, front=0.22, back=-0.35)] if style == "beanie" else []


def _curtain(to_back: bool, body: BareBody, head: Head, length: float, rng: np.random.Generator) -> Shell:
    """Hair that hangs at the sides and behind, down to the jaw or the shoulder blades."""
    joints = body.rest_joints
    top = head.centre[2] + 0.62 * head.half[2]
    chin, shoulder = joints[JOINT["head"]][2], joints[JOINT["left_collar"]][2]
    lowest = shoulder - (0.05 + 0.2 * length) * joints[0, 2] if to_back else chin - 0.05 * length
    rows, columns = 16, 27
    t = np.linspace(0, 1, rows)[:, None]
    heights = top + (lowest - top) * t
    # how far above (1) or below (0, then negative) the jaw
    level = (heights - chin) / (top - chin)
    # the front edge runs from the forehead over the temple to the cheek; 0 degrees is the front
    edge = np.interp(level[:, 0], [-0.4, 0.1, 0.55, 1], [84, 76, 66, 40])[:, None]
    turn = np.radians(edge + (360 - 2 * edge) * np.linspace(0, 1, columns)[None])
    width = np.interp(level[:, 0], [-0.6, 0.0, 0.45, 0.8, 1], [1.12, 1.2, 1.27, 1.17, 0.95])[:, None]
    width = width + 0.03 * np.sin(8 * turn + rng.uniform(0, 6)) * np.clip(1 - level, 0, 1)
    across = head.half[0] * width * np.sin(turn)
    depth = head.centre[1] - head.half[1] * np.minimum(width, 1.14) * np.cos(turn)
    below = np.clip(-level / 0.4, 0, 1)
    back = _back_surface(body, heights[:, 0])[:, None] + 0.014
    # below the jaw it lies on the neck, and what is long gathers behind the shoulders
    depth = depth + below * np.maximum(back - depth, 0) * (1.0 if to_back else 0.3)
    outer = np.stack([across, depth, heights + 0 * turn], -1)
    inward = np.stack([np.sin(turn), -np.cos(turn), 0 * turn], -1) * 0.016
    vertices, faces = slab(outer, outer - inward)
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
    out = np.cross(side, forward)
    turn = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    ring = side[:, None] * np.cos(turn)[:, None] + out[:, None] * np.sin(turn)[:, None]
    vertices, faces = tube(path[:, None] + widths[:, None, None] * ring)
    return rigid(vertices, faces, JOINT["head"], np.full(len(vertices), 0.8), "hair")


def _dome(head: Head, width: float, front: float, back: float) -> Shell:
    """A hat on the skull; its rim lies at `front` and `back`, in half heights above the skull's centre."""
    rows, columns = 8, 24
    turn = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    rim = 0.5 * (front + back) + 0.5 * (front - back) * np.cos(turn)
    polar = np.linspace(0.06, 1, rows)[:, None] * np.arccos(rim / 1.1)
    # skulls are a little boxier than ellipsoids
    out, up = np.sin(polar) ** 0.8, np.sign(np.cos(polar)) * np.abs(np.cos(polar)) ** 0.8
    ring = np.stack([out * np.sin(turn), -out * np.cos(turn), up], -1)
    vertices, faces = tube(head.centre + ring * head.half * [width, width, 1.13])
    return rigid(vertices, faces, JOINT["head"], np.full(len(vertices), 0.9), "accessory")


def _brim(head: Head) -> Shell:
    turn = np.radians(np.linspace(-62, 62, 13))[None]
    out = np.linspace(0.0, 1.0, 5)[:, None]
    reach = 1.0 + 0.7 * out * np.sqrt(np.maximum(np.cos(1.4 * turn), 0))
    x = head.half[0] * 1.05 * np.sin(turn) * (1 + 0.04 * out)
    y = head.centre[1] - head.half[1] * 1.02 * reach * np.cos(turn)
    z = head.centre[2] + 0.52 * head.half[2] - 0.02 * out - 0.014 * np.abs(np.sin(turn))
    outer = np.stack([x, y, z], -1)
    vertices, faces = slab(outer, outer - [0, 0, 0.007])
    return rigid(vertices, faces, JOINT["head"], np.full(len(vertices), 0.9), "accessory")
