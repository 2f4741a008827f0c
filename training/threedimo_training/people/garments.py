"""Clothes on a body: how thick each spot is covered, which colour band it shows, and skirts."""

from __future__ import annotations

import numpy as np

from threedimo_training.motion.skeleton import JOINT, SIDES
from threedimo_training.people.bare_body import BareBody, relaxed
from threedimo_training.people.hair import hair_thickness
from threedimo_training.people.outfit import WHOLE, Fabric, Outfit, one_colour
from threedimo_training.people.person import NUM_BANDS, Cloth
from threedimo_training.people.regions import REGION, REGIONS
from threedimo_training.people.shells import Shell, grid_faces

MATERIALS = (*REGIONS, "hair", "skirt", "accessory")
MATERIAL = {name: index for index, name in enumerate(MATERIALS)}
_SHOE_M = 0.009
_SKIRT_ROUNDS = 3
_BELT = 0.05
_PUPIL, _IRIS = 0.2, 0.44
# Where seams and ends of garments lie along their regions.
_ARM_HOLE, _CUFF, _LEG_SEAM, _SOLE, _SHOE_TOP = 0.1, 0.95, 0.13, 0.16, 0.8
# A fabric and the position along the region up to which it reaches.
Band = tuple[Fabric, float]


def cloth_of(outfit: Outfit) -> Cloth:
    """The colours of all materials."""
    bands = _trunk_bands(outfit) | _arm_bands(outfit) | _leg_bands(outfit)
    skin, hair = one_colour(outfit.skin), one_colour(outfit.hair)
    bands["head"] = [(skin, WHOLE if outfit.hair_style == "bald" else outfit.hairline), (hair, WHOLE)]
    bands["eyes"] = [
        (one_colour(np.full(3, 0.03)), _PUPIL),
        (one_colour(outfit.iris), _IRIS),
        (one_colour(np.full(3, 0.93)), WHOLE),
    ]
    bands |= {
        "brows": [(one_colour(np.minimum(outfit.hair, 0.7 * outfit.skin)), WHOLE)],
        "hair": [(hair, WHOLE)],
    }
    bands["accessory"] = [(outfit.hat, WHOLE)]
    rows = [_filled(bands[name]) for name in MATERIALS]
    return Cloth(
        colours=np.array([[[f.front, f.second, f.back] for f, _ in row] for row in rows], np.float32),
        patterns=np.array([[f.pattern for f, _ in row] for row in rows], np.int32),
        periods_m=np.array([[f.period_m for f, _ in row] for row in rows], np.float32),
        cuts=np.array([[end for _, end in row[:-1]] for row in rows], np.float32),
    )


def _filled(bands: list[Band]) -> list[Band]:
    """Exactly three bands, the last repeated."""
    bands = [band for band in bands if band[1] > 0]
    assert len(bands) <= NUM_BANDS
    return bands + [bands[-1]] * (NUM_BANDS - len(bands))


def _trunk_bands(outfit: Outfit) -> dict[str, list[Band]]:
    hips = outfit.bottoms[0] if outfit.skirt is None else outfit.skirt
    belt_end = outfit.waist + (_BELT if outfit.belt else 0)
    return {
        "neck": [(outfit.top, outfit.collar), (one_colour(outfit.skin), WHOLE)],
        "torso": [(hips, outfit.waist), (outfit.belt or outfit.top, belt_end), (outfit.top, WHOLE)],
        "skirt": [(hips, WHOLE)],
    }


def _arm_bands(outfit: Outfit) -> dict[str, list[Band]]:
    skin = one_colour(outfit.skin)
    bands: dict[str, list[Band]] = {}
    for side, name in enumerate(SIDES):
        sleeve, glove = outfit.sleeves[side], outfit.gloves[side]
        arm = (
            [(outfit.top, _ARM_HOLE)]
            if outfit.sleeve_length == 0 or sleeve.front is not outfit.top.front
            else []
        )
        if outfit.sleeve_length > 0:
            arm.append((sleeve, outfit.sleeve_length))
        if outfit.sleeve_length < _CUFF and len(arm) == 1:
            arm.append((skin, _CUFF))
        arm.append(
            (glove or outfit.wristbands[side] or skin, WHOLE) if arm[-1][1] >= _CUFF else (skin, WHOLE)
        )
        bands |= {f"{name}_arm": arm, f"{name}_hand": [(glove or skin, WHOLE)]}
    return bands


def _leg_bands(outfit: Outfit) -> dict[str, list[Band]]:
    skin, shoes = one_colour(outfit.skin), outfit.shoes
    bands: dict[str, list[Band]] = {}
    for side, name in enumerate(SIDES):
        differs = outfit.bottoms[side] is not outfit.bottoms[0]
        leg = [(outfit.bottoms[0], _LEG_SEAM)] if differs else []
        leg.append(
            (outfit.bottoms[side], outfit.bottom_length if shoes else min(outfit.bottom_length, _CUFF))
        )
        if len(leg) == 1 and outfit.bottom_length < 1 - outfit.sock_height:
            leg.append((skin, 1 - outfit.sock_height))
        leg.append((skin if shoes is None or differs else outfit.socks, WHOLE))
        foot = (
            [(one_colour(outfit.soles), _SOLE), (shoes[side], _SHOE_TOP), leg[-1]]
            if shoes
            else [(skin, WHOLE)]
        )
        if outfit.bottom_length >= WHOLE and shoes:
            leg = leg[:-1]
            foot[-1] = leg[-1]
        bands |= {f"{name}_leg": leg, f"{name}_foot": foot}
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
        cover(f"{name}_arm", top * (along < max(outfit.sleeve_length, _ARM_HOLE)))
        if outfit.gloves[side] is not None:
            cover(f"{name}_hand", np.full(len(along), 0.0025))
        cover(f"{name}_leg", bottom * (along < outfit.bottom_length))
        if outfit.shoes is not None:
            cover(f"{name}_leg", 0.004 * (along > 1 - outfit.sock_height))
            cover(f"{name}_foot", _SHOE_M * np.clip(1.5 - along, 0.4, 1))
    return covered


def softening(outfit: Outfit, body: BareBody) -> np.ndarray:
    """(V,) 0 to 1: how much cloth hides the shape below it."""
    regions, along = body.vertex_regions(), body.along
    soft = np.where(regions == REGION["torso"], 0.55, 0.0)
    for name in SIDES:
        soft[(regions == REGION[f"{name}_arm"]) & (along < outfit.sleeve_length)] = 0.4
        soft[(regions == REGION[f"{name}_leg"]) & (along < outfit.bottom_length)] = 0.4
    return soft


def toe_cap(foot: np.ndarray, ball_y: float) -> np.ndarray:
    """Points (N, 3) of a foot whose toes are pushed out into the rounded front of a shoe.

    In front of the ball every point moves to a rounded box around the slice of the foot in which it lies.
    """
    slices = np.abs(foot[:, None, 1] - foot[None, :, 1]) < 0.018
    across = foot[:, [0, 2]]
    low = np.where(slices[..., None], across[None], np.inf).min(axis=1)
    high = np.where(slices[..., None], across[None], -np.inf).max(axis=1)
    centre = 0.5 * (low + high)
    out = across - centre
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)
    # between an ellipse and its box
    half = np.maximum(0.5 * (high - low), 1e-3)
    reach = (np.abs(out / half) ** 3).sum(axis=1) ** (-1 / 3)
    share = np.clip((ball_y + 0.035 - foot[:, 1]) / 0.03, 0, 1)[:, None]
    capped = foot.copy()
    capped[:, [0, 2]] += share * (centre + reach[:, None] * out - across)
    return capped


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
    vertices, faces = _open_tube(outer, middle)
    share = np.clip((start - vertices[:, 2]) / (start - end), 0, 1)
    # it follows the legs as much as the skin below it does, or thighs would come through in a squat
    below = np.unique(body.point_faces[trunk])
    legs = np.isin(body.bones[below], [JOINT[f"{side}_{limb}"] for side in SIDES for limb in ("hip", "knee")])
    nearest = np.linalg.norm(vertices[:, None] - points[None, below], axis=-1).argmin(axis=1)
    swing = (body.weights[below] * legs).sum(axis=1)[nearest]
    swing = relaxed(swing[:, None], faces, np.full(len(vertices), 0.7), _SKIRT_ROUNDS)[:, 0]
    left = 0.5 + 0.5 * np.clip(vertices[:, 0] / (0.9 * hip[0]), -1, 1)
    weights = np.stack([1 - swing, swing * left, swing * (1 - left), 0 * left], 1)
    bones = np.tile([JOINT["pelvis"], JOINT["left_hip"], JOINT["right_hip"], 0], (len(vertices), 1))
    return Shell(vertices, faces, bones, weights, share, "skirt")


def _open_tube(outer: np.ndarray, middle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of cloth with an inner side, from rings (R, K, 3) around an upright axis."""
    rows, columns = outer.shape[:2]
    inner = outer.copy()
    inner[..., :2] = middle + 0.97 * (outer[..., :2] - middle)
    front = grid_faces(rows, columns, closed=True)
    count = rows * columns
    index = np.arange(count).reshape(rows, columns)
    rims = []
    for rim in (index[0], index[-1, ::-1]):
        following = np.roll(rim, -1)
        rims += [
            np.stack([rim, following, rim + count], 1),
            np.stack([following, following + count, rim + count], 1),
        ]
    vertices = np.concatenate([outer.reshape(-1, 3), inner.reshape(-1, 3)])
    return vertices, np.concatenate([front, front[:, ::-1] + count, *rims])
