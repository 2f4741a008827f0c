"""What a person wears, drawn at random: no geometry yet. Everybody is dressed, always."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threedimo_training.people.colours import (
    cloth_colour,
    hair_colour,
    iris_colour,
    other_colour,
    skin_colour,
)
from threedimo_training.people.hair import HairStyle
from threedimo_training.people.person import CHECKS, DOTS, LOGO, RINGS, SOLID, STRIPES

_PERIODS_M = {SOLID: 1.0, RINGS: 0.09, STRIPES: 0.08, CHECKS: 0.07, DOTS: 0.075, LOGO: 0.17}
# Beyond the end of any region: the band reaches all the way.
WHOLE = 2.0


@dataclass(frozen=True, eq=False)
class Fabric:
    """One band of `Cloth`: colours in front, of the pattern and behind, and the pattern."""

    front: np.ndarray
    second: np.ndarray
    back: np.ndarray
    pattern: int = SOLID
    period_m: float = 1.0


def one_colour(colour: np.ndarray) -> Fabric:
    """One colour from all sides."""
    return Fabric(colour, colour, colour)


@dataclass(frozen=True, eq=False)
class Outfit:
    """Pairs are left and right. Lengths are positions along the region (`people.regions`).

    Attributes:
        skin: Colour of the skin.
        hair: Colour of the hair.
        iris: Colour of the eyes.
        lips: Factors on the skin's colour.
        hair_style: See `hair`.
        hairline: Position on the head where hair begins, around 0.5.
        hair_length: 0 to 1, of hair that hangs.
        hat: Of a cap or a beanie.
        top: On the torso.
        sleeves: On the arms.
        sleeve_length: Where sleeves end.
        collar: How far up the neck the top reaches.
        waist: Where the top begins on the torso.
        belt: Between top and bottom, or None.
        bottoms: On the legs; under a skirt, what is worn there.
        bottom_length: Where it ends.
        skirt: Around hips and thighs, or None.
        skirt_length: Where it ends along the leg.
        socks: On ankles, above the shoes.
        sock_height: Share of the leg that they cover from below.
        shoes: On the feet, or None where a foot is bare.
        soles: Colour under the shoes.
        gloves: On the hands, or None.
        wristbands: At the wrists, or None.
        looseness_m: Thickness of top and of bottoms.
    """

    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    lips: np.ndarray
    hair_style: HairStyle
    hairline: float
    hair_length: float
    hat: Fabric
    top: Fabric
    sleeves: tuple[Fabric, Fabric]
    sleeve_length: float
    collar: float
    waist: float
    belt: Fabric | None
    bottoms: tuple[Fabric, Fabric]
    bottom_length: float
    skirt: Fabric | None
    skirt_length: float
    socks: Fabric
    sock_height: float
    shoes: tuple[Fabric, Fabric] | None
    soles: np.ndarray
    gloves: tuple[Fabric | None, Fabric | None]
    wristbands: tuple[Fabric | None, Fabric | None]
    looseness_m: tuple[float, float]


def draw_outfit(rng: np.random.Generator, age: float, gender: float, *, plain: bool = False) -> Outfit:
    """A whole appearance for a body of some age and gender (see `BareBody`).

    `plain`: without patterns, backs of another colour, and small things such as belts and gloves.
    """
    skin, darkness = skin_colour(rng)
    top = _top(rng, plain)
    sleeves = _sleeves(rng, top, plain)
    sleeve_length = float(
        rng.choice([0.0, rng.uniform(0.28, 0.48), rng.uniform(0.5, 0.7), WHOLE], p=[0.1, 0.38, 0.14, 0.38])
    )
    wears_skirt = rng.random() < 0.42 * gender
    trousers = _bottom(rng, top, plain)
    bottoms = (trousers, _bottom(rng, top, plain) if rng.random() < 0.14 else trousers)
    bottom_length = float(
        rng.choice([rng.uniform(0.3, 0.55), rng.uniform(0.65, 0.8), WHOLE], p=[0.24, 0.12, 0.64])
    )
    skirt = None
    if wears_skirt:
        skirt = top if rng.random() < 0.4 else trousers
        under = one_colour(skin) if rng.random() < 0.6 else one_colour(other_colour(rng, skirt.front))
        bottoms, bottom_length = (under, under), (0.12 if under.front is skin else WHOLE)
    shoe = one_colour(cloth_colour(rng))
    shoes = (shoe, one_colour(other_colour(rng, shoe.front)) if rng.random() < 0.1 else shoe)
    boots = rng.random() < 0.14
    return Outfit(
        skin=skin,
        hair=hair_colour(rng, darkness, age),
        iris=iris_colour(rng, darkness),
        lips=np.array([rng.uniform(0.85, 1.05), *np.full(2, rng.uniform(0.5, 0.8))]),
        hair_style=_hair_style(rng, age, gender),
        hairline=float(rng.uniform(0.46, 0.56) + 0.08 * (age > 0.82) * (gender < 0.5)),
        hair_length=float(rng.random()),
        hat=_two_sided(rng, cloth_colour(rng), plain),
        top=top,
        sleeves=sleeves,
        sleeve_length=sleeve_length,
        collar=float(rng.choice([0.2, 0.32, 0.62], p=[0.3, 0.5, 0.2])),
        waist=float(rng.uniform(0.24, 0.42)),
        belt=None if plain else _belt(rng, top, trousers),
        bottoms=bottoms,
        bottom_length=bottom_length,
        skirt=skirt,
        skirt_length=float(rng.uniform(0.36, 0.62)),
        socks=shoe if boots else one_colour(cloth_colour(rng)),
        sock_height=float(rng.uniform(0.2, 0.42) if boots else rng.uniform(0.09, 0.32)),
        shoes=None if rng.random() < 0.05 else shoes,
        soles=np.full(3, rng.choice([0.1, 0.35, 0.9])),
        gloves=(None, None) if plain else _in_pairs(rng, 0.09),
        wristbands=(None, None) if plain else _in_pairs(rng, 0.2),
        looseness_m=(float(rng.uniform(0.005, 0.017)), float(rng.uniform(0.004, 0.014))),
    )


def _hair_style(rng: np.random.Generator, age: float, gender: float) -> HairStyle:
    male: dict[HairStyle, float] = {
        "bald": 0.06 + 0.2 * (age > 0.82), "short": 0.4, "full": 0.2, "afro": 0.07, "bob": 0.03, "long": 0.04,
        "ponytail": 0.03, "bun": 0.03, "cap": 0.14, "beanie": 0.08,
    }  # fmt: skip
    female: dict[HairStyle, float] = {
        "bald": 0.01, "short": 0.09, "full": 0.08, "afro": 0.08, "bob": 0.2, "long": 0.2, "ponytail": 0.15,
        "bun": 0.1, "cap": 0.05, "beanie": 0.04,
    }  # fmt: skip
    chances = female if rng.random() < gender else male
    total = np.array(list(chances.values()))
    return list(chances)[int(rng.choice(len(total), p=total / total.sum()))]


def _two_sided(rng: np.random.Generator, front: np.ndarray, plain: bool, pattern: int = SOLID) -> Fabric:
    second = other_colour(rng, front)
    back = other_colour(rng, front, second) if not plain and rng.random() < 0.65 else front
    return Fabric(front, second, back, pattern, _PERIODS_M[pattern] * rng.uniform(0.8, 1.35))


def _top(rng: np.random.Generator, plain: bool) -> Fabric:
    if plain:
        return _two_sided(rng, cloth_colour(rng), plain)
    patterns = [SOLID, RINGS, STRIPES, CHECKS, DOTS, LOGO]
    pattern = int(rng.choice(patterns, p=[0.3, 0.16, 0.12, 0.12, 0.12, 0.18]))
    fabric = _two_sided(rng, cloth_colour(rng), plain, pattern)
    if fabric.back is fabric.front and pattern in (SOLID, RINGS, STRIPES):
        # a plain top would look the same from behind
        return Fabric(fabric.front, fabric.second, other_colour(rng, fabric.front), pattern, fabric.period_m)
    return fabric


def _sleeves(rng: np.random.Generator, top: Fabric, plain: bool) -> tuple[Fabric, Fabric]:
    kind = rng.random()
    if kind < 0.45:
        # a mark on the chest does not repeat on the arms
        same = Fabric(top.front, top.second, top.back) if top.pattern == LOGO else top
        return same, same
    first = _two_sided(rng, other_colour(rng, top.front), plain)
    if kind < 0.65:
        return first, first
    second = _two_sided(rng, other_colour(rng, top.front, first.front), plain)
    return first, second


def _bottom(rng: np.random.Generator, top: Fabric, plain: bool) -> Fabric:
    if plain:
        return _two_sided(rng, other_colour(rng, top.front), plain)
    pattern = int(rng.choice([SOLID, RINGS, STRIPES, CHECKS], p=[0.76, 0.07, 0.1, 0.07]))
    return _two_sided(rng, other_colour(rng, top.front), plain, pattern)


def _belt(rng: np.random.Generator, top: Fabric, trousers: Fabric) -> Fabric | None:
    return one_colour(other_colour(rng, top.front, trousers.front)) if rng.random() < 0.35 else None


def _in_pairs(rng: np.random.Generator, chance: float) -> tuple[Fabric | None, Fabric | None]:
    """Worn on both sides, or in half of the cases on one."""
    if rng.random() >= chance:
        return None, None
    fabric = one_colour(cloth_colour(rng))
    return [(fabric, fabric), (fabric, None), (None, fabric)][int(rng.choice(3, p=[0.5, 0.25, 0.25]))]
