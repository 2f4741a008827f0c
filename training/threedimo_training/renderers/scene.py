"""The one definition of a place: floor, walls, sky, things that stand around, and light; and its random draw.

A place is a square of free floor around the world's origin where people and cameras may be, then a margin in
which blocks stand (furniture, columns; outdoors hedges and houses), then four walls (outdoors: distant
hills). Floor and walls carry patterns in world space, because without them camera motion is invisible.
How each kind of pattern looks is written in `cpu_surroundings` and again in `torch_surroundings`.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

TILES, PLANKS, DISCS, CARPET, GRASS, PAVING = range(6)
BLANK, PANELS, BRICKS, WINDOWS, BOARDS, DADO, HILLS = range(7)
PLAIN, SHELVES, SLATS, PANES = range(4)
NUM_BLOCKS = 5

# Random numbers in [0, 1) that repeat every 64 cells: both renderers read grain, tones and hills from here.
NOISE_CELLS = 64
NOISE = np.random.default_rng(1729).random((NOISE_CELLS, NOISE_CELLS)).astype(np.float32)

Colour = tuple[np.float32, np.float32, np.float32]
# Free floor beyond the outermost camera or joint.
_ELBOW_ROOM_M = 0.8
_INDOOR_MARGIN_M = 1.0
_OUTDOOR_MARGIN_M = 55.0
_OUTDOOR_SHARE = 0.3
_PLAIN_TILE_M = 1.0


class Block(NamedTuple):
    """A box that stands on the floor beside the free square, lengthwise along one of its sides.

    Attributes:
        side: 0 at +x, 1 at -x, 2 at +y, 3 at -y.
        along_m: Its middle, in x or y, along that side.
        behind_m: From the free square's border to its near face.
        length_m: Along the side.
        depth_m: Away from the free square.
        height_m: Above the floor.
        pattern: PLAIN, SHELVES, SLATS or PANES.
        period_m: Size of the pattern.
        colours: Own colour and the pattern's.
    """

    side: int
    along_m: float
    behind_m: float
    length_m: float
    depth_m: float
    height_m: float
    pattern: int
    period_m: float
    colours: tuple[Colour, Colour]


class Scene(NamedTuple):
    """Place and light of a shot; a tuple of plain numbers, because compiled loops read it. RGB in [0, 1].

    Attributes:
        outdoors: 1 under the open sky with hills instead of walls, else 0.
        clear_m: Half the width of the free floor.
        margin_m: From the free floor to the walls.
        floor_kind: TILES ... PAVING.
        floor_size_m: Size of one tile.
        floor_colours: Two colours that the pattern mixes and the colour of its lines.
        wall_kinds: For each wall (+x, -x, +y, -y): BLANK ... HILLS.
        wall_size_m: Size of the walls' patterns.
        wall_height_m: Above it, there is sky; outdoors about the height of the hills.
        wall_colours: One for each wall, so that a turned camera is seen to be turned.
        mark_colours: The pattern's colour on each wall.
        picture_places: One rectangle on each wall: its middle along the wall, half its width, bottom, top;
            metres. Empty (half a width of 0) where there is none.
        picture_colours: Their colours.
        sky_colours: At the horizon and above.
        clouds: 0 for a clear sky, 1 for many clouds.
        lamp: Unit vector towards the lamp, in the world.
        lamp_light: Strength of the lamp on a surface that faces it.
        sky_light: RGB strength of the light from above.
        bounce_light: RGB strength of the light from below.
        side_lights: How bright vertical surfaces are that face +x, -x, +y, -y.
    """

    outdoors: int
    clear_m: np.float32
    margin_m: np.float32
    floor_kind: int
    floor_size_m: np.float32
    floor_colours: tuple[Colour, Colour, Colour]
    wall_kinds: tuple[int, int, int, int]
    wall_size_m: np.float32
    wall_height_m: np.float32
    wall_colours: tuple[Colour, ...]
    mark_colours: tuple[Colour, ...]
    picture_places: tuple[tuple[np.float32, ...], ...]
    picture_colours: tuple[Colour, ...]
    sky_colours: tuple[Colour, Colour]
    clouds: np.float32
    lamp: Colour
    lamp_light: np.float32
    sky_light: Colour
    bounce_light: Colour
    side_lights: tuple[np.float32, ...]
    blocks: tuple[Block, ...]

    def widened(self, reach_m: float) -> Scene:
        """The same place with free floor at least `reach_m` and some elbow room from the origin each way.

        Give several cameras of one place the same walls by widening it once for all of them.
        """
        clear = max(float(self.clear_m), reach_m + _ELBOW_ROOM_M)
        return self._replace(clear_m=np.float32(clear))

    def block_table(self) -> np.ndarray:
        """(NUM_BLOCKS, 13) float32: x from, to, y from, to, height; both colours; pattern; period."""
        rows = []
        for block in self.blocks:
            near = float(self.clear_m) + block.behind_m
            across = (near, near + block.depth_m) if block.side % 2 == 0 else (-near - block.depth_m, -near)
            along = block.along_m - block.length_m / 2, block.along_m + block.length_m / 2
            spans = (*across, *along) if block.side < 2 else (*along, *across)
            rows.append([*spans, block.height_m, *block.colours[0], *block.colours[1], block.pattern,
                         block.period_m])  # fmt: skip
        return np.array(rows, np.float32)


def make_scene(seed: int, *, plain: bool = False) -> Scene:
    """The place and the light of a seed: about two rooms for each place under the open sky.

    Args:
        seed: Decides everything.
        plain: Large tiles of two tones, which show how the camera moves, blank walls or hills, a clear sky,
            and nothing that stands around.
    """
    rng = np.random.default_rng([17, seed])
    place = _draw_outdoors(rng) if rng.random() < _OUTDOOR_SHARE else _draw_room(rng)
    scene = Scene(**place, **_draw_light(rng, place["floor_colours"]))
    return _emptied(scene) if plain else scene


def _emptied(scene: Scene) -> Scene:
    first, second, _ = np.array(scene.floor_colours)
    light = 0.5 * first + 0.5 * second
    return scene._replace(
        floor_kind=TILES,
        floor_size_m=np.float32(_PLAIN_TILE_M),
        floor_colours=(_floats(light), _floats(0.8 * light), _floats(0.8 * light)),
        wall_kinds=scene.wall_kinds if scene.outdoors else (BLANK,) * 4,
        picture_places=(_floats((0, 0, 0, 0)),) * 4,
        blocks=tuple(block._replace(length_m=0.01, depth_m=0.01, height_m=0.0) for block in scene.blocks),
        clouds=np.float32(0),
    )


def _draw_room(rng: np.random.Generator) -> dict[str, Any]:
    hue, height = rng.random(), rng.uniform(2.6, 4.5)
    walls = [
        _hsv(hue + rng.normal(0, 0.07), rng.uniform(0.05, 0.4), rng.uniform(0.6, 0.95)) for _ in range(4)
    ]
    accent = int(rng.integers(4))
    walls[accent] = _hsv(rng.random(), rng.uniform(0.25, 0.6), rng.uniform(0.45, 0.85))
    kinds = [int(kind) for kind in rng.choice([BLANK, PANELS, BRICKS, WINDOWS, BOARDS, DADO], 4)]
    marks = [
        _hsv(rng.uniform(0.5, 0.6), rng.uniform(0.15, 0.4), rng.uniform(0.75, 1.0))
        if kind == WINDOWS
        else _towards(wall, 1.0 if max(wall) < 0.7 else 0.1, rng.uniform(0.18, 0.4))
        for wall, kind in zip(walls, kinds, strict=True)
    ]
    clear = rng.uniform(3.4, 5.5)
    places = [
        _floats((rng.uniform(-2.5, 2.5), rng.uniform(0.4, 1.0) * (rng.random() < 0.75), *_picture_span(rng)))
        for _ in range(4)
    ]
    floor_kind = int(rng.choice([TILES, PLANKS, DISCS, CARPET], p=[0.27, 0.33, 0.13, 0.27]))
    return {
        "outdoors": 0,
        "clear_m": np.float32(clear),
        "margin_m": np.float32(_INDOOR_MARGIN_M),
        "floor_kind": floor_kind,
        "floor_size_m": np.float32(rng.uniform(0.4, 0.8)),
        "floor_colours": _room_floor(rng, floor_kind),
        "wall_kinds": (kinds[0], kinds[1], kinds[2], kinds[3]),
        "wall_size_m": np.float32(rng.uniform(0.6, 1.2)),
        "wall_height_m": np.float32(height),
        "wall_colours": tuple(walls),
        "mark_colours": tuple(marks),
        "picture_places": tuple(places),
        "picture_colours": tuple(
            _hsv(rng.random(), rng.uniform(0.3, 0.8), rng.uniform(0.3, 0.9)) for _ in range(4)
        ),
        "blocks": tuple(_furniture(rng, clear, height) for _ in range(NUM_BLOCKS)),
    }


def _draw_outdoors(rng: np.random.Generator) -> dict[str, Any]:
    hills = [_hsv(rng.uniform(0.2, 0.4), rng.uniform(0.2, 0.5), rng.uniform(0.3, 0.6))] * 4
    floor_kind = int(rng.choice([GRASS, PAVING, TILES], p=[0.45, 0.4, 0.15]))
    clear = rng.uniform(5.0, 9.0)
    return {
        "outdoors": 1,
        "clear_m": np.float32(clear),
        "margin_m": np.float32(_OUTDOOR_MARGIN_M),
        "floor_kind": floor_kind,
        "floor_size_m": np.float32(rng.uniform(0.5, 1.1)),
        "floor_colours": _ground(rng, floor_kind),
        "wall_kinds": (HILLS, HILLS, HILLS, HILLS),
        "wall_size_m": np.float32(rng.uniform(9.0, 16.0)),
        "wall_height_m": np.float32(rng.uniform(5.0, 14.0)),
        "wall_colours": tuple(hills),
        "mark_colours": tuple(_towards(hill, 1.0, 0.3) for hill in hills),
        "picture_places": (_floats((0, 0, 0, 0)),) * 4,
        "picture_colours": (_floats((0, 0, 0)),) * 4,
        "blocks": tuple(_house(rng, number, clear) for number in range(NUM_BLOCKS)),
    }


def _draw_light(rng: np.random.Generator, floor_colours: tuple[Colour, ...]) -> dict[str, Any]:
    """Sky and lamp. A level floor in full light shows its own colour: both together have strength 1."""
    azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(0.85, 1.25)
    level = np.cos(elevation)
    lamp = np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])
    from_lamp = rng.uniform(0.34, 0.55)  # of the light on the floor
    strength = from_lamp / lamp[2]
    tint = np.array(_hsv(rng.uniform(0.52, 0.64), rng.uniform(0, 0.12), 1.0))
    floor = np.mean(floor_colours[:2], axis=0)
    bounce = 0.7 * (0.55 + 0.45 * floor / floor.max())
    sides = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]]) @ lamp[:2]
    hue = rng.uniform(0.54, 0.62) if rng.random() < 0.8 else rng.uniform(0.02, 0.1)
    zenith = _hsv(hue, rng.uniform(0.25, 0.6), rng.uniform(0.7, 0.95))
    return {
        "lamp": _floats(lamp),
        "lamp_light": np.float32(strength),
        "sky_light": _floats((1 - from_lamp) * tint),
        "bounce_light": _floats((1 - from_lamp) * bounce),
        "side_lights": _floats(0.74 + 0.42 * strength * np.maximum(sides, -0.35)),
        "sky_colours": (_towards(zenith, 1.0, rng.uniform(0.5, 0.75)), zenith),
        "clouds": np.float32(rng.uniform(0.2, 0.9)),
    }


def _room_floor(rng: np.random.Generator, kind: int) -> tuple[Colour, Colour, Colour]:
    if kind == PLANKS:
        hue, value = rng.uniform(0.05, 0.11), rng.uniform(0.4, 0.8)
        first, second = (
            _hsv(hue, rng.uniform(0.3, 0.6), value),
            _hsv(hue, rng.uniform(0.3, 0.6), 0.72 * value),
        )
    elif kind == CARPET:
        hue, value = rng.random(), rng.uniform(0.35, 0.75)
        first = _hsv(hue, rng.uniform(0.15, 0.55), value)
        second = _hsv(hue + 0.04, rng.uniform(0.2, 0.5), 0.72 * value)
    else:
        hue, light = rng.random(), rng.uniform(0.7, 0.92)
        first = _hsv(hue, rng.uniform(0, 0.25), light)
        second = _hsv(hue + rng.normal(0, 0.1), rng.uniform(0.05, 0.5), light - rng.uniform(0.22, 0.42))
    line = _towards(first, 0.9, 0.6) if kind == CARPET else _towards(second, 0.1, 0.45)
    return first, second, line


def _ground(rng: np.random.Generator, kind: int) -> tuple[Colour, Colour, Colour]:
    if kind == GRASS:
        hue = rng.uniform(0.2, 0.33)
        first, second = _hsv(hue, 0.5, rng.uniform(0.5, 0.7)), _hsv(hue - 0.02, 0.6, rng.uniform(0.28, 0.42))
    else:
        hue, value = rng.uniform(0.03, 0.15), rng.uniform(0.6, 0.85)
        first = _hsv(hue, rng.uniform(0.05, 0.25), value)
        second = _hsv(hue, rng.uniform(0.1, 0.35), value - rng.uniform(0.15, 0.25))
    return first, second, _towards(second, 0.15, 0.5)


def _picture_span(rng: np.random.Generator) -> tuple[float, float]:
    """Bottom and top of a door, or of a picture on the wall."""
    if rng.random() < 0.35:
        return 0.0, 2.1
    bottom = rng.uniform(0.9, 1.3)
    return bottom, bottom + rng.uniform(0.5, 1.1)


def _furniture(rng: np.random.Generator, clear_m: float, room_height_m: float) -> Block:
    kind = rng.random()
    if kind < 0.3:  # column
        length, depth, height, behind = rng.uniform(0.3, 0.5), 0.4, room_height_m, rng.uniform(0.1, 0.4)
    elif kind < 0.6:  # shelf or wardrobe
        length, depth, height, behind = rng.uniform(0.8, 1.8), 0.4, rng.uniform(1.5, 2.3), 0.6
    else:  # chest, bench, crate
        length, depth, height = rng.uniform(0.5, 1.8), rng.uniform(0.4, 0.7), rng.uniform(0.4, 1.0)
        behind = _INDOOR_MARGIN_M - depth
    colour = _hsv(rng.random(), rng.uniform(0.15, 0.6), rng.uniform(0.35, 0.9))
    pattern = int(rng.choice([PLAIN, SHELVES, SLATS])) if kind >= 0.3 else int(rng.choice([PLAIN, SLATS]))
    side, along = int(rng.integers(4)), rng.uniform(-0.85, 0.85) * clear_m
    mark = _towards(colour, 0.1 if max(colour) > 0.5 else 0.9, rng.uniform(0.35, 0.6))
    period = rng.uniform(0.25, 0.4) if pattern == SHELVES else rng.uniform(0.12, 0.3)
    return Block(side, along, behind, length, depth, height, pattern, period, (colour, mark))


def _house(rng: np.random.Generator, number: int, clear_m: float) -> Block:
    side, low = number % 4, rng.random() < 0.35
    if low:  # hedge or garden wall
        colour = _hsv(rng.uniform(0.22, 0.36), rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.5))
        size = rng.uniform(3, 8), 1.0, rng.uniform(0.7, 1.5), rng.uniform(0.3, 2.5)
        pattern, period = SLATS, rng.uniform(0.4, 0.9)
    else:
        colour = _hsv(rng.random(), rng.uniform(0.05, 0.4), rng.uniform(0.55, 0.95))
        size = rng.uniform(4, 9), 6.0, rng.uniform(3, 8), rng.uniform(4, 16)
        pattern, period = PANES, rng.uniform(1.2, 2.2)
    length, depth, height, behind = size
    along = rng.uniform(-1, 1) * (clear_m + behind)
    mark = _towards(colour, 0.12, rng.uniform(0.35, 0.65))
    return Block(side, along, behind, length, depth, height, pattern, period, (colour, mark))


def _floats(values: Iterable[float | np.floating]) -> tuple[np.float32, ...]:
    return tuple(np.float32(value) for value in values)


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = _floats(colorsys.hsv_to_rgb(hue % 1.0, saturation, value))
    return red, green, blue


def _towards(colour: Colour, target: float, share: float) -> Colour:
    """A colour moved towards a grey."""
    red, green, blue = _floats(channel + (target - channel) * share for channel in colour)
    return red, green, blue
