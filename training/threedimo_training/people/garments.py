"""Clothes on a body: how thick each spot is covered, which colour band it shows, and skirts."""

from __future__ import annotations

import numpy as np

from threedimo_training.motion.skeleton import JOINT, SIDES
from threedimo_training.people.bare_body import BareBody
from threedimo_training.people.hair import hair_thickness
from threedimo_training.people.outfit import WHOLE, Fabric, Outfit, plain
from threedimo_training.people.person import NUM_BANDS, Cloth
from threedimo_training.people.regions import REGION, REGIONS
from threedimo_training.people.shells import Shell, slab

MATERIALS = (*REGIONS, "hair", "skirt", "accessory")
MATERIAL = {name: index for index, name in enumerate(MATERIALS)}
_SHOE_M = 0.009
_BELT = 0.05
_PUPIL, _IRIS = 0.2, 0.46


def cloth_of(outfit: Outfit) -> Cloth:
    """The colours of all materials."""
    bands: dict[str, tuple[list[Fabric], float, float]] = _limb_bands(outfit)
    skin, hair = plain(outfit.skin), plain(outfit.hair)
    covers = [hair, outfit.hat if outfit.hair_style in ("cap", "beanie") else hair]
    hairline = WHOLE if outfit.hair_style == "bald" else outfit.hairline
    bands["head"] = ([skin, *covers], hairline, hairline + 0.1)
    bands["neck"] = ([outfit.top, skin, skin], outfit.collar, WHOLE)
    # under a skirt the hips are covered like the thighs
    hips = outfit.bottoms[0] if outfit.skirt is None else outfit.skirt
    belt = outfit.belt or outfit.top
    bands["torso"] = ([hips, belt, outfit.top], outfit.waist, outfit.waist + _BELT)
    bands["eyes"] = ([plain(np.full(3, 0.03)), plain(outfit.iris), plain(np.full(3, 0.93))], _PUPIL, _IRIS)
    bands["hair"] = ([hair, hair, hair], WHOLE, WHOLE)
    bands["skirt"] = ([outfit.skirt or hips] * NUM_BANDS, WHOLE, WHOLE)
    bands["accessory"] = ([outfit.hat] * NUM_BANDS, WHOLE, WHOLE)
    fabrics = [bands[name][0] for name in MATERIALS]
    return Cloth(
        colours=np.array([[[f.front, f.second, f.back] for f in row] for row in fabrics], np.float32),
        patterns=np.array([[f.pattern for f in row] for row in fabrics], np.int32),
        periods_m=np.array([[f.period_m for f in row] for row in fabrics], np.float32),
        cuts=np.array([bands[name][1:] for name in MATERIALS], np.float32),
    )


def _limb_bands(outfit: Outfit) -> dict[str, tuple[list[Fabric], float, float]]:
    skin = plain(outfit.skin)
    bands = {}
    for side, name in enumerate(SIDES):
        glove, wristband = outfit.gloves[side], outfit.wristbands[side]
        end = max(0.9, outfit.sleeve_length) if wristband else WHOLE
        bands[f"{name}_arm"] = ([outfit.sleeves[side], skin, wristband or skin], outfit.sleeve_length, end)
        bands[f"{name}_hand"] = ([glove or skin] * NUM_BANDS, WHOLE, WHOLE)
        ankle = WHOLE if outfit.shoes is None else max(1 - outfit.sock_height, outfit.bottom_length)
        bands[f"{name}_leg"] = ([outfit.bottoms[side], skin, outfit.socks], outfit.bottom_length, ankle)
        if outfit.shoes is None:
            bands[f"{name}_foot"] = ([skin] * NUM_BANDS, WHOLE, WHOLE)
        else:
            bands[f"{name}_foot"] = ([plain(outfit.soles), outfit.shoes[side], outfit.socks], 0.16, 0.95)
    return bands


def thickness(outfit: Outfit, body: BareBody) -> np.ndarray:
    """(V,) metres by which every vertex of the body is covered, for an adult."""
    regions, along = body.vertex_regions(), body.along
    top, bottom = outfit.looseness_m
    covered = np.zeros(len(along))

    def cover(region: str, amounts: np.ndarray) -> None:
        inside = regions == REGION[region]
        covered[inside] = np.maximum(covered, amounts)[inside]

    cover("head", hair_thickness(outfit.hair_style, along, outfit.hairline))
    cover("neck", top * (along < outfit.collar))
    # the top hangs over the bottoms
    cover("torso", np.where(along < outfit.waist, bottom, top + 0.5 * bottom))
    for side, name in enumerate(SIDES):
        cover(f"{name}_arm", top * (along < outfit.sleeve_length))
        if outfit.gloves[side] is not None:
            cover(f"{name}_hand", np.full(len(along), 0.0025))
        cover(f"{name}_leg", bottom * (along < outfit.bottom_length))
        if outfit.shoes is not None:
            cover(f"{name}_leg", 0.004 * (along > 1 - outfit.sock_height))
            cover(f"{name}_foot", _SHOE_M * np.clip(1.6 - along, 0.3, 1))
    return covered


def softening(outfit: Outfit, body: BareBody) -> np.ndarray:
    """(V,) 0 to 1: how much cloth hides the shape below it."""
    regions, along = body.vertex_regions(), body.along
    soft = np.where(regions == REGION["torso"], 0.55, 0.0)
    for name in SIDES:
        soft[(regions == REGION[f"{name}_arm"]) & (along < outfit.sleeve_length)] = 0.4
        soft[(regions == REGION[f"{name}_leg"]) & (along < outfit.bottom_length)] = 0.4
        if outfit.shoes is not None:
            soft[regions == REGION[f"{name}_foot"]] = 0.8
    return soft


def skirt_shell(outfit: Outfit, body: BareBody, points: np.ndarray) -> Shell:
    """A skirt around the dressed body: rings from the waist to the hem, wider than what they surround.

    Args:
        outfit: With a skirt.
        body: Who wears it.
        points: (N, 3) the body's points, dressed.
    """
    joints = body.rest_joints
    hip, knee = joints[JOINT["left_hip"]], joints[JOINT["left_ankle"]]
    start = hip[2] + (outfit.waist + _BELT) * (joints[JOINT["neck"], 2] - hip[2])
    end = hip[2] + outfit.skirt_length * (knee[2] - hip[2])
    rows, columns = 10, 32
    heights = np.linspace(start, end, rows)
    turn = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    out = np.stack([np.sin(turn), -np.cos(turn)], 1)
    trunk = np.isin(body.regions, [REGION[name] for name in ("torso", "left_leg", "right_leg")])
    inside = points[np.unique(body.point_faces[trunk])]
    inside = inside[np.abs(inside[:, 0]) < joints[JOINT["left_elbow"], 0]]
    middle = np.array([0.0, hip[1]])
    reach = np.zeros((rows, columns))
    for row, height in enumerate(heights):
        near = inside[np.abs(inside[:, 2] - height) < 0.03, :2] - middle
        reach[row] = np.maximum((near @ out.T).max(axis=0) + 0.006, reach[row - 1] * (row > 0))
        reach[row] += 0.012 * (row / rows)
    ring = middle + reach[..., None] * out
    outer = np.concatenate([ring, np.tile(heights[:, None, None], (1, columns, 1))], -1)
    # closed at the seam by repeating the first column
    outer = np.concatenate([outer, outer[:, :1]], axis=1)
    vertices, faces = _cloth_tube(outer, middle)
    share = np.clip((start - vertices[:, 2]) / (start - end), 0, 1)
    swing = np.clip(1.5 * (share - 0.15), 0, 1)
    left = 0.5 + 0.5 * np.clip(vertices[:, 0] / (0.9 * hip[0]), -1, 1)
    weights = np.stack([1 - swing, swing * left, swing * (1 - left), 0 * left], 1)
    bones = np.tile([JOINT["pelvis"], JOINT["left_hip"], JOINT["right_hip"], 0], (len(vertices), 1))
    return Shell(vertices, faces, bones, weights, share, "skirt")


def _cloth_tube(outer: np.ndarray, middle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An open tube of cloth with an inner side."""
    inner = outer.copy()
    inner[..., :2] = middle + 0.97 * (outer[..., :2] - middle)
    return slab(outer, inner)
