"""The document as one HTML page: the table, curves over the training, frames of every variant.

The page needs no other file and no network: pictures lie in it, and there are no scripts.
"""

from __future__ import annotations

import base64
import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from PIL import Image

from threedimo_training.ablations.generation import strip, strip_file
from threedimo_training.ablations.held_out import HeldOut
from threedimo_training.ablations.table import HEAD, rows, sentences, summary
from threedimo_training.ablations.variants import FULL, VARIANTS
from threedimo_training.evaluation.held_out_clips import SPLITS
from threedimo_training.shards.durable import write_file
from threedimo_training.trainer.loop import state_file

METER = "motion_sensitivity"
_WIDTH, _HEIGHT, _EDGE = 720, 260, 54
_COLOURS = (
    *("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf"),
    *("#e377c2", "#8c564b", "#7f7f7f", "#bcbd22", "#393b79", "#637939"),
)
# Of neighbouring points, because each is one batch under one noise.
_SMOOTHED_OVER = 3


@dataclass(frozen=True)
class Curve:
    """One line of the plot: a variant, its colour, and SVG points."""

    name: str
    colour: str
    points: str
    width: float


@dataclass(frozen=True)
class Plot:
    """Curves with their axes: texts of the ticks and where they stand."""

    curves: list[Curve]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    width: int = _WIDTH
    height: int = _HEIGHT
    edge: int = _EDGE


@dataclass(frozen=True)
class Strip:
    """A row of frames: its title and a data URI."""

    title: str
    picture: str


def write_page(file: Path, document: dict[str, Any], output: Path, generated: str, held_out: HeldOut) -> None:
    """Write the page.

    Args:
        file: The page.
        document: As in the JSON file.
        output: Holds the variants' folders.
        generated: Name of the folder of generated clips in each of them.
        held_out: The clips.

    Raises:
        StorageError: The page cannot be written.
    """
    names = list(document["variants"])
    page = _template().render(
        summary=summary(document),
        head=HEAD,
        rows=rows(document),
        titles={name: VARIANTS[name].title for name in names},
        sentences=sentences(document),
        plot=_plot({name: read_curve(output / name) for name in names}, document["steps"]),
        cases=_cases(document, output, generated, held_out) if document["generated"] else [],
        document=document,
    )
    write_file(file, page.encode())


def read_curve(folder: Path) -> list[tuple[int, float]]:
    """Steps and motion sensitivities that a variant's training wrote down; of a repeated step the last."""
    file = state_file(folder, "generator").with_suffix(".csv")
    with file.open(newline="") as stream:
        found = {
            int(row["step"]): float(row["value"]) for row in csv.DictReader(stream) if row["name"] == METER
        }
    return sorted(found.items())


def _plot(curves: dict[str, list[tuple[int, float]]], steps: int) -> Plot:
    smooth = {name: _smoothed(points) for name, points in curves.items()}
    heights = _round_heights([100 * value for points in smooth.values() for _, value in points])
    low, span = heights[0], heights[-1] - heights[0]

    def place(step: float, percent: float) -> tuple[float, float]:
        across = _EDGE + (_WIDTH - 2 * _EDGE) * step / steps
        return round(across, 1), round(_HEIGHT - _EDGE - (_HEIGHT - 2 * _EDGE) * (percent - low) / span, 1)

    return Plot(
        [
            Curve(
                name,
                _COLOURS[list(VARIANTS).index(name)],
                " ".join("{},{}".format(*place(step, 100 * value)) for step, value in points),
                3.0 if name == FULL else 1.4,
            )
            for name, points in smooth.items()
        ],
        [(place(steps * share, low)[0], f"{round(steps * share)}") for share in (0, 0.25, 0.5, 0.75, 1)],
        [(place(0, height)[1], f"{height:g} %") for height in heights],
    )


def _round_heights(values: list[float]) -> list[float]:
    """Round numbers, evenly apart, around 0 and all values; at most seven."""
    low, high = min([0.0, *values]), max([1.0, *values])
    size = 10.0 ** math.floor(math.log10(high - low))
    for step in (0.2 * size, 0.5 * size, size, 2 * size):
        first, last = math.floor(low / step), math.ceil(high / step)
        if last - first <= 6:
            break
    return [round(number * step, 9) for number in range(first, last + 1)]


def _smoothed(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    reach = _SMOOTHED_OVER // 2
    return [
        (step, float(np.mean([value for _, value in points[max(0, at - reach) : at + reach + 1]])))
        for at, (step, _) in enumerate(points)
    ]


def _cases(
    document: dict[str, Any], output: Path, generated: str, held_out: HeldOut
) -> Iterable[tuple[str, str, list[Strip]]]:
    """Of each split the first clip: split, text and rows of frames."""
    for split in SPLITS:
        sample = held_out.clip(split, 0).sample
        strips = [
            Strip("driving frames", _uri(strip(sample.driving.frames))),
            Strip("true frames", _uri(strip(sample.target.frames))),
        ]
        for name in document["variants"]:
            content = strip_file(output / name / generated, split, 0).read_bytes()
            strips.append(Strip(name, f"data:image/png;base64,{base64.b64encode(content).decode()}"))
        yield split.replace("_", " "), sample.target.text, strips


def _uri(picture: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _template():
    source = resources.files("threedimo_training.ablations").joinpath("page.html.jinja").read_text("utf-8")
    return Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(source)
