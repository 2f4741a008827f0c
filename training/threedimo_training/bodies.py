"""Synthetic people: a skeleton dressed in rounded cones, different for every seed.

A body is a list of rounded cones (two spheres and the cone that touches both, optionally flattened), each
fixed to one bone and painted with a small procedural pattern. Left and right, front and back of a person
are dressed differently on purpose: a generator can then learn which side it looks at.

Axes of the rest pose (arms stretched sideways): +x to the person's left, -y to the front, +z up, metres.
"""

from __future__ import annotations

import colorsys
import hashlib
from dataclasses import dataclass

import numpy as np

from threedimo_training.parts import CHECKS, DOTS, LOGO, RINGS, SIDES, SOLID, STRIPES, Paint, Parts
from threedimo_training.skeleton import (
    DIGITS,
    JOINT,
    MIRROR,
    NUM_BONES,
    NUM_JOINTS,
    THUMB_OUT,
    Posed,
    forward_kinematics,
)

_CONTACT_SOFTNESS_M = 0.012


def is_held_out(kind: str, seed: int) -> bool:
    """Whether a seed is kept for evaluation.

    The rule: the first byte of BLAKE2b-256 over the text ``"<kind>:<seed>"`` is below 26 (one seed in ten).

    Args:
        kind: "identity" or "motion".
        seed: The seed that makes the person or the motion.
    """
    return hashlib.blake2b(f"{kind}:{seed}".encode(), digest_size=32).digest()[0] < 26


@dataclass(frozen=True, eq=False)
class Body:
    """One person at rest: skeleton offsets and painted parts.

    Attributes:
        seed: The seed that made the person.
        offsets: (NUM_BONES, 3) from each bone's parent, metres.
        bones: (P,) bone of each part.
        origins: (P, 3) first sphere's centre in the bone's frame.
        frames: (P, 3, 3) bone from local; the third column is the part's axis (unit), the others may be
            scaled to flatten the part.
        shapes: (P, 3) axis length, first radius, second radius, metres.
        colours: (P, 4, 3) base, second, back, end.
        patterns: (P, 4) pattern, period_m, cut (metres along the axis), offset_m.
        hands: (P,) 0 for the left hand's parts, 1 for the right hand's, -1 elsewhere.
        contacts: (C, 5) points that can touch the floor: bone, offset in the bone's frame, radius.
    """

    seed: int
    offsets: np.ndarray
    bones: np.ndarray
    origins: np.ndarray
    frames: np.ndarray
    shapes: np.ndarray
    colours: np.ndarray
    patterns: np.ndarray
    hands: np.ndarray
    contacts: np.ndarray


def pose_body(
    body: Body, joint_rotations: np.ndarray, hand_curls: np.ndarray, lift_m: np.ndarray, travel: float = 1.0
) -> Posed:
    """Forward kinematics, then put the person on the floor.

    The lowest contact point touches z = 0 (plus `lift_m` in a jump). The root moves so that whatever touches
    the floor does not slide, which turns leg swings into walking for any leg length. The path is centred on
    the world's origin.

    Args:
        body: Whom to pose.
        joint_rotations: (F, 24, 3, 3) rotations relative to the parent; the pelvis's is global.
        hand_curls: (F, 2, 4) of the digits, 0 stretched to 1 in a fist; left hand first.
        lift_m: (F,) height above the floor.
        travel: Share of the root's horizontal movement that is kept; 0 keeps the person in place.
    """
    posed = forward_kinematics(body.offsets, joint_rotations, hand_curls)
    rotations, positions, num_frames = posed.rotations, posed.positions, len(joint_rotations)
    bones = body.contacts[:, 0].astype(int)
    points = positions[:, bones] + np.einsum("fcij,cj->fci", rotations[:, bones], body.contacts[:, 1:4])
    heights = points[..., 2] - body.contacts[:, 4]
    lowest = heights.min(axis=1, keepdims=True)
    root = np.zeros((num_frames, 3))
    root[:, 2] = lift_m - lowest[:, 0]
    weights = np.exp((lowest - heights) / _CONTACT_SOFTNESS_M)
    weights = weights[1:] * weights[:-1] + 1e-9
    steps = np.diff(points[..., :2], axis=0)
    slide = (weights[..., None] * steps).sum(1) / weights.sum(1)[..., None]
    root[1:, :2] = -travel * np.cumsum(slide, axis=0)
    root[:, :2] -= root[:, :2].mean(axis=0)
    return Posed(rotations, positions + root[:, None])


@dataclass(frozen=True)
class _Shape:
    """Proportions, as factors of an average adult of 1.75 m."""

    stature: float
    leg: float
    arm: float
    shoulders: float
    hips: float
    girth: float
    limb: float
    head: float
    bust: float
    belly: float


def make_body(seed: int) -> Body:
    """The person of a seed: always the same proportions, hair and clothes for the same seed."""
    rng = np.random.default_rng([7, seed])
    girth = float(np.clip(rng.normal(1.0, 0.15), 0.78, 1.45))
    shape = _Shape(
        stature=rng.uniform(0.86, 1.1),
        leg=rng.uniform(0.94, 1.06),
        arm=rng.uniform(0.94, 1.06),
        shoulders=rng.uniform(0.86, 1.14),
        hips=rng.uniform(0.9, 1.15),
        girth=girth,
        limb=float(np.clip(girth * rng.uniform(0.9, 1.12), 0.8, 1.4)),
        head=rng.uniform(0.96, 1.1),
        bust=rng.uniform(0.5, 1.0) if rng.random() < 0.45 else 0.0,
        belly=max(0.0, girth - 1.05) * rng.uniform(0.5, 1.5),
    )
    offsets = _skeleton(shape)
    parts = Parts(offsets)
    _dress(parts, shape, rng)
    return Body(seed=seed, **parts.arrays(shape.stature))


def _skeleton(shape: _Shape) -> np.ndarray:
    left = {
        "left_hip": (0.09 * shape.hips, 0.0, -0.06),
        "left_knee": (0.0, 0.0, -0.42 * shape.leg),
        "left_ankle": (0.0, 0.01, -0.41 * shape.leg),
        "left_foot": (0.015, -0.14, -0.05),
        "left_collar": (0.065 * shape.shoulders, 0.01, 0.13),
        "left_shoulder": (0.115 * shape.shoulders, 0.005, 0.02),
        "left_elbow": (0.28 * shape.arm, 0.0, 0.0),
        "left_wrist": (0.25 * shape.arm, 0.0, 0.0),
        "left_hand": (0.09, 0.0, 0.0),
    }
    offsets = np.zeros((NUM_BONES, 3))
    centre = {"spine1": (0.0, 0.015, 0.11), "spine2": (0.0, 0.0, 0.12), "spine3": (0.0, 0.0, 0.07)}
    for name, offset in (centre | {"neck": (0.0, 0.01, 0.21), "head": (0.0, -0.015, 0.085)}).items():
        offsets[JOINT[name]] = offset
    for name, offset in left.items():
        offsets[JOINT[name]] = offset
        offsets[JOINT[name.replace("left", "right")]] = MIRROR @ offset
    digit = {"thumb": (-0.055, -0.032, -0.004), "index": (0.0, -0.03, 0.0), "middle": (0.004, -0.008, 0.0)}
    lengths = {"thumb": 0.042, "index": 0.042, "middle": 0.046, "ring": 0.042}
    for side, sign in enumerate((1.0, -1.0)):
        for index, name in enumerate(DIGITS):
            bone = NUM_JOINTS + side * 2 * len(DIGITS) + 2 * index
            direction = THUMB_OUT if name == "thumb" else np.array([1.0, 0.0, 0.0])
            offsets[bone] = np.array(digit.get(name, (0.0, 0.025, 0.0))) * (sign, 1, 1)
            offsets[bone + 1] = direction * lengths[name] * (sign, 1, 1)
    return offsets


_SKINS = ("f6d7c3", "eec1a2", "dca982", "c98f62", "b0744a", "8d5836", "6b4027", "4a2c1c")
_HAIRS = ("17120f", "2e2019", "4f3420", "7a4f2a", "b98a4e", "e0c184", "9c3b1d", "8a8a8a", "dcdcdc", "3a5fb0")


def _hex(text: str) -> tuple[float, ...]:
    return tuple(int(text[i : i + 2], 16) / 255 for i in (0, 2, 4))


def _cloth(rng: np.random.Generator) -> tuple[float, ...]:
    """A random cloth colour: vivid, pastel, dark, or without colour."""
    hue = rng.random()
    kind = rng.choice(4, p=[0.5, 0.18, 0.17, 0.15])
    saturation = (rng.uniform(0.6, 1.0), rng.uniform(0.2, 0.45), rng.uniform(0.2, 0.8), 0.0)[kind]
    value = (rng.uniform(0.45, 0.95), rng.uniform(0.8, 1.0), rng.uniform(0.12, 0.3), rng.uniform(0.05, 1))[
        kind
    ]
    return colorsys.hsv_to_rgb(hue, saturation, value)


def _dress(parts: Parts, shape: _Shape, rng: np.random.Generator) -> None:
    skin = _hex(_SKINS[rng.integers(len(_SKINS))])
    skin = tuple(float(np.clip(c * rng.uniform(0.94, 1.06), 0, 1)) for c in skin)
    hair = _hex(
        _HAIRS[rng.choice(len(_HAIRS), p=[0.17, 0.17, 0.15, 0.13, 0.1, 0.08, 0.07, 0.05, 0.04, 0.04])]
    )
    _torso_and_arms(parts, shape, rng, skin)
    _legs(parts, shape, rng, skin)
    _hands(parts, skin)
    _head(parts, shape, rng, skin, hair)


def _torso_and_arms(parts: Parts, shape: _Shape, rng: np.random.Generator, skin: tuple) -> None:
    top, second = _cloth(rng), _cloth(rng)
    back = _cloth(rng) if rng.random() < 0.6 else top
    pattern = int(
        rng.choice([SOLID, RINGS, STRIPES, CHECKS, DOTS, LOGO], p=[0.1, 0.2, 0.15, 0.12, 0.08, 0.35])
    )
    period = rng.uniform(0.07, 0.14)
    g, wide = shape.girth, shape.shoulders

    def shirt(height_m: float) -> Paint:
        return Paint(top, second, back, None, pattern, period, offset_m=height_m)

    abdomen, chest = JOINT["spine1"], JOINT["spine3"]
    hips, waist = 1.3 * shape.hips, 1.18 * (0.6 * wide + 0.4 * shape.hips)
    parts.add(abdomen, (0, 0, -0.03), (0, 0, 0.13), (0.108 * g, 0.112 * g), shirt(-0.23), (waist, 0.92))
    parts.add(chest, (0, 0, -0.08), (0, 0.005, 0.12), (0.118 * g, 0.088), shirt(-0.08), (1.38 * wide, 0.95))
    if shape.belly > 0.02:
        parts.ball(abdomen, (0, -0.05 * g, 0.04), (0.11 * g, 0.07 + 0.25 * shape.belly, 0.12), shirt(0.0))
    if shape.bust > 0:
        for sign in (1, -1):
            centre = (0.062 * sign * wide, -0.075 * g, -0.01)
            parts.ball(chest, centre, (0.062, 0.06 * shape.bust, 0.062), shirt(0.0))
    sleeve = float(rng.choice([0.12, 0.55, 9.0], p=[0.2, 0.4, 0.4]))
    sleeves = (_cloth(rng) if rng.random() < 0.5 else top, top)
    sleeves = sleeves if rng.random() < 0.5 else sleeves[::-1]
    ringed = RINGS if rng.random() < 0.3 else SOLID
    upper = [Paint(c, second, None, skin, ringed, 0.1, sleeve) for c in sleeves]
    lower = [Paint(c, second, None, skin, ringed, 0.1) if sleeve > 1 else Paint(skin) for c in sleeves]
    limb, zero = shape.limb, np.zeros(3)
    shoulder, elbow, wrist = (parts.offsets[JOINT[f"left_{n}"]] for n in ("shoulder", "elbow", "wrist"))
    yoke = [Paint(c, c, back) for c in sleeves]
    parts.both("collar", np.array([0.0, 0.0, -0.015]), shoulder * 0.95, (0.058, 0.055 * limb), yoke)
    parts.both("shoulder", zero, elbow, (0.056 * limb, 0.042 * limb), upper, contact=True)
    parts.both("elbow", zero, wrist * 0.98, (0.043 * limb, 0.03 * limb), lower, contact=True)
    neck = parts.offsets[JOINT["head"]]
    parts.add(JOINT["neck"], (0, 0, -0.05), neck, (0.056, 0.05), Paint(skin, back=skin))
    parts.add(
        JOINT["pelvis"],
        (0, 0.01, -0.04),
        (0, 0.01, 0.07),
        (0.118 * g, 0.108 * g),
        shirt(-0.3),
        (hips, 0.95),
        contact=True,
    )


def _legs(parts: Parts, shape: _Shape, rng: np.random.Generator, skin: tuple) -> None:
    cloth, second = _cloth(rng), _cloth(rng)
    kind = rng.choice(["long", "short", "skirt"], p=[0.6, 0.25, 0.15])
    legs = (cloth, _cloth(rng)) if rng.random() < 0.3 else (cloth, cloth)
    ringed = RINGS if rng.random() < 0.15 else SOLID
    thigh_cut = 9.0 if kind == "long" else rng.uniform(0.4, 0.95)
    thighs = [Paint(c, second, None, skin, ringed, 0.16, thigh_cut) for c in legs]
    shins = [Paint(c, second, None, skin, ringed, 0.16) if kind == "long" else Paint(skin) for c in legs]
    shoe, limb, zero = _cloth(rng), shape.limb, np.zeros(3)
    shoes = [Paint(shoe), Paint(shoe if rng.random() < 0.8 else _cloth(rng))]
    knee, ankle, ball = (parts.offsets[JOINT[f"left_{n}"]] for n in ("knee", "ankle", "foot"))
    parts.both("hip", zero, knee, (0.088 * limb, 0.058 * limb), thighs, contact=True)
    parts.both("knee", zero, ankle, (0.059 * limb, 0.04 * limb), shins, contact=True)
    parts.both("ankle", np.array([0.0, 0.045, -0.046]), ball, (0.039, 0.034), shoes, contact=True)
    parts.both("ankle", zero, ball * 0.8, (0.043, 0.036), shoes)
    parts.both("foot", zero, np.array([0.0, -0.075, -0.004]), (0.035, 0.03), shoes, contact=True)
    belt = Paint(legs[0], back=_cloth(rng) if rng.random() < 0.3 else legs[0])
    g, pelvis = shape.girth, JOINT["pelvis"]
    parts.add(
        pelvis, (0, 0.012, -0.06), (0, 0.012, 0.02), (0.117 * g, 0.119 * g), belt, (1.33 * shape.hips, 0.98)
    )
    if kind == "skirt":
        flare = Paint(cloth, second, belt.back, None, int(rng.choice([SOLID, RINGS, STRIPES])), 0.08)
        parts.add(pelvis, (0, 0.01, 0.0), (0, 0.01, -0.26), (0.12 * g, 0.19), flare, (1.15, 0.9))


def _hands(parts: Parts, skin: tuple) -> None:
    paint, palm = Paint(skin), np.array([0.085, 0.0, 0.0])
    for side, sign in enumerate((1.0, -1.0)):
        mirror = np.array([sign, 1.0, 1.0])
        wrist = JOINT[f"{SIDES[side]}_wrist"]
        start = np.array([0.02, 0.0, 0.0])
        parts.add(
            wrist, start * mirror, palm * mirror, (0.03, 0.034), paint, (0.55, 1.25), side, contact=True
        )
        for index, name in enumerate(DIGITS):
            bone = NUM_JOINTS + side * 2 * len(DIGITS) + 2 * index
            reach = parts.offsets[bone + 1]
            radius = 0.0125 if name == "thumb" else 0.011
            flatten = (1.0, 1.9) if name == "ring" else (1.0, 1.0)
            parts.add(bone, np.zeros(3), reach, (radius, radius), paint, flatten, side)
            parts.add(bone + 1, np.zeros(3), reach * 0.85, (radius, radius * 0.8), paint, flatten, side)


def _head(parts: Parts, shape: _Shape, rng: np.random.Generator, skin: tuple, hair: tuple) -> None:
    head, s = JOINT["head"], shape.head
    white, dark, lips = Paint((0.95, 0.95, 0.95)), Paint((0.06, 0.05, 0.05)), tuple(c * 0.62 for c in skin)

    def ball(centre, radii, paint: Paint) -> None:
        parts.ball(head, np.array(centre) * s, np.array(radii) * s, paint)

    ball((0, -0.01, 0.1), (0.077, 0.095, 0.112), Paint(skin))
    ball((0, -0.032, 0.035), (0.06, 0.065, 0.055), Paint(skin))
    ball((0, -0.11, 0.08), (0.014, 0.022, 0.024), Paint(tuple(min(1.0, c * 1.05) for c in skin)))
    ball((0, -0.086, 0.03), (0.03, 0.012, 0.009), Paint((lips[0] * 1.1, lips[1] * 0.7, lips[2] * 0.7)))
    for sign in (1, -1):
        ball((0.033 * sign, -0.09, 0.108), (0.021, 0.014, 0.015), white)
        ball((0.033 * sign, -0.1, 0.108), (0.0115, 0.008, 0.0125), dark)
        ball((0.034 * sign, -0.095, 0.137), (0.023, 0.01, 0.006), Paint(tuple(c * 0.8 for c in hair)))
        ball((0.077 * sign, 0.0, 0.088), (0.014, 0.024, 0.032), Paint(skin))
    _hair(ball, parts, s, rng, Paint(hair))


def _hair(ball, parts: Parts, s: float, rng: np.random.Generator, hair: Paint) -> None:
    style = rng.choice(
        ["bald", "short", "bob", "long", "ponytail", "bun", "afro", "cap"],
        p=[0.06, 0.24, 0.13, 0.16, 0.12, 0.08, 0.08, 0.13],
    )
    head = JOINT["head"]
    if style != "bald":
        ball((0, 0.012, 0.122), (0.085, 0.1, 0.107), hair)
    if style == "bob":
        ball((0, 0.038, 0.07), (0.1, 0.078, 0.11), hair)
    elif style == "long":
        parts.add(head, np.array((0, 0.05, 0.1)) * s, (0, 0.085, -0.16), (0.082 * s, 0.06), hair, (1.15, 0.7))
    elif style == "ponytail":
        parts.add(head, np.array((0, 0.11, 0.13)) * s, (0, 0.17, -0.1), (0.035, 0.022), hair)
    elif style == "bun":
        ball((0, 0.075, 0.21), (0.05, 0.05, 0.045), hair)
    elif style == "afro":
        ball((0, 0.035, 0.14), (0.135, 0.125, 0.13), hair)
    elif style == "cap":
        cloth = Paint(_cloth(rng))
        ball((0, 0.004, 0.138), (0.092, 0.106, 0.1), cloth)
        parts.add(
            head,
            np.array((0, -0.09, 0.15)) * s,
            np.array((0, -0.15, 0.142)) * s,
            (0.055, 0.05),
            cloth,
            (1.2, 0.2),
        )
    if style != "bun" and rng.random() < 0.2:
        ball((0, -0.045, 0.022), (0.058, 0.06, 0.042), hair)
