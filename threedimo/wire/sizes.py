"""Which sizes of frames a model makes: any shape, lying or standing, near the area that it was trained on.

Off that area a video model makes garbage, and attention grows with the square of it. Needs no torch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from threedimo.errors import InvalidRequest, UnsupportedSize
from threedimo.wire.messages import ModelInfo

ASPECTS = ("21:9", "16:9", "3:2", "4:3", "1:1", "3:4", "2:3", "9:16", "9:21")
LEAST_AREA, MOST_AREA = 0.5, 2.0
"""Of the area that the model was trained on."""
LONGEST_ASPECT = 4.0
"""One side may be this many times the other."""

_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")
_ASPECT = re.compile(r"([1-9][0-9]{0,2}):([1-9][0-9]{0,2})")


def size_of_aspect(info: ModelInfo, aspect: float) -> tuple[int, int]:
    """`(width, height)` of a shape, as near as the model's steps allow to its trained area.

    Args:
        info: The model.
        aspect: Width divided by height, from 1/4 to 4.
    """

    def off(size: tuple[int, int]) -> float:
        width, height = size
        shape = abs(math.log(width / height / aspect))
        return shape + abs(math.log(width * height / (info.width * info.height)))

    return min(_sizes_of_aspect(info, aspect), key=off)


def sizes_of(info: ModelInfo) -> dict[str, tuple[int, int]]:
    """The size of each common shape, by its name in `ASPECTS`."""
    return {name: size_of_aspect(info, _aspect(name)) for name in ASPECTS}


def read_size(text: str, info: ModelInfo) -> tuple[int, int]:
    """A size as people write it: "480x832", or a shape, "9:16".

    Raises:
        InvalidRequest: It is neither, or of a shape that is longer than a model makes.
        UnsupportedSize: The model cannot make it.
    """
    if found := _SIZE.fullmatch(text):
        width, height = int(found[1]), int(found[2])
        check_size(width, height, info)
        return width, height
    if _ASPECT.fullmatch(text) and 1 / LONGEST_ASPECT <= _aspect(text) <= LONGEST_ASPECT:
        return size_of_aspect(info, _aspect(text))
    raise InvalidRequest(
        "this is no size",
        given=text,
        allowed=f"WIDTHxHEIGHT in pixels, or a shape such as {', '.join(ASPECTS)}, up to "
        f"{LONGEST_ASPECT:g}:1",
    )


def check_size(width: int, height: int, info: ModelInfo) -> None:
    """Refuse a size that the model cannot make, naming the nearest that it can.

    Raises:
        UnsupportedSize: A side is no multiple of the model's step, or the frames are too small, too large or
            too long.
    """
    step, trained = info.size_step, info.width * info.height
    if min(width, height) < 1 or width % step or height % step:
        _refuse(
            width, height, info, "the sides do not fit the model", f"width and height, multiples of {step}"
        )
    if not LEAST_AREA * trained <= width * height <= MOST_AREA * trained:
        size = "small" if width * height < trained else "large"
        _refuse(
            width,
            height,
            info,
            f"the frames are too {size} for the model, which is made for {info.width}x{info.height}",
            f"{math.ceil(LEAST_AREA * trained)} to {math.floor(MOST_AREA * trained)} pixels in a frame",
        )
    if max(width, height) > LONGEST_ASPECT * min(width, height):
        _refuse(width, height, info, "the frames are too long", f"a shape up to {LONGEST_ASPECT:g}:1")


def _refuse(width: int, height: int, info: ModelInfo, problem: str, allowed: str) -> None:
    longest = math.log(LONGEST_ASPECT)
    aspect = math.exp(min(max(math.log(max(width, 1) / max(height, 1)), -longest), longest))
    wide, high = size_of_aspect(info, aspect)
    remedy = f"choose {wide}x{high}"
    near_width, near_height = (
        max(1, round(side / info.size_step)) * info.size_step for side in (width, height)
    )
    if (near_width, near_height) != (wide, high) and _is_made(near_width, near_height, info):
        remedy = f"choose {near_width}x{near_height}, or in the trained area {wide}x{high}"
    raise UnsupportedSize(problem, given=f"{width}x{height}", allowed=allowed, remedy=remedy)


def _is_made(width: int, height: int, info: ModelInfo) -> bool:
    share = width * height / (info.width * info.height)
    return LEAST_AREA <= share <= MOST_AREA and max(width, height) <= LONGEST_ASPECT * min(width, height)


def _sizes_of_aspect(info: ModelInfo, aspect: float) -> Iterator[tuple[int, int]]:
    """Sizes about a shape in the trained area, all of which are made; the model's own is one."""
    yield info.width, info.height
    step, trained = info.size_step, info.width * info.height
    width, height = math.sqrt(trained * aspect) / step, math.sqrt(trained / aspect) / step
    for columns in (math.floor(width), math.ceil(width)):
        for rows in (math.floor(height), math.ceil(height)):
            size = columns * step, rows * step
            if min(size) > 0 and _is_made(*size, info):
                yield size


def _aspect(text: str) -> float:
    width, height = text.split(":")
    return int(width) / int(height)
