"""One picture that shows a whole shot: who, which motion, what came out, and how it was made."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

MAX_COLUMNS = 8
CELL_HEIGHT_PX = 180

_GAP_PX = 12
_LINE_PX = 24
_FONT_PX = 16
_PAPER, _INK, _PALE = (24, 24, 28), (236, 236, 236), (150, 150, 158)
_PX_PER_CHARACTER = 8.5  # of the built-in font, on average, with room to spare


@dataclass(frozen=True)
class Row:
    """One clip on a contact sheet.

    Attributes:
        title: A few words above its pictures.
        frames: `(columns, height, width, 3)` uint8 RGB: the clip at the sheet's `times_s`.
    """

    title: str
    frames: np.ndarray


@dataclass(frozen=True)
class Sheet:
    """What a contact sheet shows.

    Attributes:
        reference_image: `(height, width, 3)` uint8 RGB.
        rows: The clips that are compared, at least one.
        times_s: Seconds from the start of the shot, one for each column.
        captions: Lines above the pictures; long ones are wrapped.
    """

    reference_image: np.ndarray
    rows: tuple[Row, ...]
    times_s: tuple[float, ...]
    captions: tuple[str, ...]

    def __post_init__(self) -> None:
        counts = [len(row.frames) for row in self.rows]
        if set(counts) != {len(self.times_s)}:
            raise ValueError(
                f"a contact sheet compares frame by frame, got rows of {counts} for {len(self.times_s)} times"
            )


def chosen_frames(num_frames: int) -> list[int]:
    """Evenly spaced frame indices for the columns of a sheet, the first and the last among them."""
    count = min(num_frames, MAX_COLUMNS)
    return [round(i * (num_frames - 1) / max(1, count - 1)) for i in range(count)]


def draw_contact_sheet(sheet: Sheet) -> np.ndarray:
    """Draw the reference beside rows of frames at the same times.

    Pictures keep their aspect ratio and are never cut. Equal inputs give equal sheets.

    Returns:
        `(height, width, 3)` uint8 RGB.
    """
    reference = _scaled(sheet.reference_image)
    rows = [(row.title, [_scaled(frame) for frame in row.frames]) for row in sheet.rows]
    column_px = max(picture.width for _, pictures in rows for picture in pictures)
    left_px = _GAP_PX + reference.width + 2 * _GAP_PX
    width = left_px + len(sheet.times_s) * (column_px + _GAP_PX)
    captions = _wrapped(sheet.captions, width - 2 * _GAP_PX)
    rows_px = _GAP_PX + len(captions) * _LINE_PX + _GAP_PX
    row_px = _LINE_PX + CELL_HEIGHT_PX
    height = rows_px + len(rows) * (row_px + _GAP_PX) + _LINE_PX

    paper = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(paper)
    font = ImageFont.load_default(_FONT_PX)
    for number, line in enumerate(captions):
        draw.text((_GAP_PX, _GAP_PX + number * _LINE_PX), line, _INK, font)
    draw.text((_GAP_PX, rows_px), "reference", _PALE, font)
    paper.paste(reference, (_GAP_PX, rows_px + _LINE_PX))
    for row, (title, pictures) in enumerate(rows):
        top = rows_px + row * (row_px + _GAP_PX)
        draw.text((left_px, top), title, _PALE, font)
        for column, picture in enumerate(pictures):
            inset = (column_px - picture.width) // 2
            paper.paste(picture, (left_px + column * (column_px + _GAP_PX) + inset, top + _LINE_PX))
    for column, time_s in enumerate(sheet.times_s):
        left = left_px + column * (column_px + _GAP_PX)
        draw.text((left, height - _LINE_PX - _GAP_PX // 2), f"{time_s:.2f} s", _PALE, font)
    return np.array(paper)


def _scaled(pixels: np.ndarray) -> Image.Image:
    height, width, _ = pixels.shape
    size = max(1, round(width * CELL_HEIGHT_PX / height)), CELL_HEIGHT_PX
    return Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)


def _wrapped(captions: tuple[str, ...], width_px: int) -> list[str]:
    columns = max(20, int(width_px / _PX_PER_CHARACTER))
    return [line for caption in captions for line in textwrap.wrap(caption, columns)]
