"""The tables of docs/camera-language.md say what the code does. A failure shows the table to paste."""

import importlib
import re
from pathlib import Path

import pytest

from threedimo.camera import MOVES, VOCABULARY, describe
from threedimo.camera.motion import LEAST_TRAVEL, LEAST_TURN_DEG, LEAST_ZOOM
from threedimo.camera.storage import KEYS

PAGE = Path(__file__).parents[2] / "docs" / "camera-language.md"
# The package exports the function under the name of its module.
words = importlib.import_module("threedimo.camera.describe")


def table(*rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def moves(view):
    rows = [("move", "said as", "amount", "unit", "default", "range")]
    for move in MOVES.values():
        amount = move.amount
        told = ("", "", "", "")
        if amount is not None:
            span = f"{amount.lowest:g} to {amount.highest:g}"
            told = (f"`{amount.keyword}`", amount.unit, f"{amount.default:g}", span)
        rows.append((f"`{move.name}`", move.phrase, *told))
    return table(*rows)


def examples(view):
    rows = [(f"`{name}`", describe(move(view(), 81, 16))) for name, move in MOVES.items()]
    return table(("move", "text"), *rows)


def bands(kinds, bounds, unit):
    low, middle, high = (kind.strip() or "nothing" for kind in kinds)
    return f"{low} below {bounds[0]:g} {unit}, {high} above {bounds[1]:g} {unit}, {middle} between"


def grading(view):
    travel = bands(words.TRAVEL_WORDS, words.TRAVEL_BOUNDS, "distances")
    travel_speed = bands(words.SPEED_WORDS, words.TRAVEL_SPEEDS, "distances a second")
    turn_speed = bands(words.SPEED_WORDS, words.TURN_SPEEDS, "degrees a second")
    zoom = bands(words.ZOOM_WORDS, words.ZOOM_BOUNDS, "doublings")
    zoom_speed = bands(words.ZOOM_SPEED_WORDS, words.ZOOM_SPEEDS, "doublings a second")
    rows = []
    for name, (positive, negative) in words.PHRASES.items():
        verbs = f"{positive}, {negative}"
        if name == "zoom":
            rows.append((verbs, f"{LEAST_ZOOM:g} doublings of the focal length", zoom, zoom_speed))
        elif name in ("forward", "right", "up"):
            rows.append((verbs, f"{LEAST_TRAVEL:g} distances", travel, travel_speed))
        else:
            rows.append((verbs, f"{LEAST_TURN_DEG:g} degrees", "degrees", turn_speed))
    return table(("words", "least", "amount", "speed"), *rows)


def vocabulary(view):
    return ", ".join(f"`{word}`" for word in VOCABULARY)


@pytest.mark.parametrize(
    ("name", "render"),
    [("moves", moves), ("examples", examples), ("words", grading), ("vocabulary", vocabulary)],
)
def test_tables_agree_with_the_code(view, name, render):
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    assert found[1].strip() == render(view)


def test_the_page_names_every_key_of_the_file_and_the_steps_of_numbers():
    text = PAGE.read_text(encoding="utf-8")
    assert [key for key in KEYS if f"`{key}`" not in text] == []
    assert (
        f"multiples of {words.DEGREE_STEP} degrees, from {words.DEGREE_STEP} to {words.MAX_DEGREES}" in text
    )
    assert [view for view in words.VIEWS if f'"{view}"' not in text] == []
    assert [label for label in words.LABELS if f'"{label}"' not in text] == []
