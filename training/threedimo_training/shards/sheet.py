"""How samples are laid out for people: a block of a contact sheet, and the frames of a film."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from threedimo_training.samples.sample import Sample
from threedimo_training.shards.facts import SampleFacts
from threedimo_training.shards.overlay import LEFT, MIDDLE, OUTLINE, RIGHT, LabelledClip

NUM_TIMES = 6
CELL_HEIGHT_PX, CROP_PX, FILM_HEIGHT_PX = 168, 56, 384

_GAP_PX, _SMALL_GAP_PX, _GUTTER_PX = 20, 4, 64
_LINE_PX, _FONT_PX, _SMALL_FONT_PX = 19, 15, 12
_PAPER, _INK, _PALE, _WARNING = (24, 24, 28), (236, 236, 236), (150, 150, 158), (255, 120, 120)
_DIM = (52, 52, 58)
_TEXT_LINES = 3
_TALLEST_FOR_TWO = 3


class SampleBlock:
    """One sample on a contact sheet: what it is, then driving, hands and target over time."""

    def __init__(self, sample: Sample):
        self._sample = sample
        num_frames = len(sample.target.frames)
        count = min(NUM_TIMES, num_frames)
        self._frames = [round(i * (num_frames - 1) / max(1, count - 1)) for i in range(count)]
        self._clips = {
            "driving": LabelledClip(sample.driving, CELL_HEIGHT_PX),
            "target": LabelledClip(sample.target, CELL_HEIGHT_PX),
        }
        self._cell_px = max(clip.size[0] for clip in self._clips.values()) + _SMALL_GAP_PX

    def draw(self) -> Image.Image:
        """The block; its width depends on the clips' shape and length alone."""
        has_hands = self._sample.hand_crops is not None
        width = _GUTTER_PX + NUM_TIMES * self._cell_px
        lines = _wrapped(self._sample.target.text, ImageFont.load_default(_FONT_PX), width)[:_TEXT_LINES]
        text_px = (2 + len(lines)) * _LINE_PX + _SMALL_GAP_PX
        height = text_px + 2 * (CELL_HEIGHT_PX + _SMALL_GAP_PX) + has_hands * (CROP_PX + _SMALL_GAP_PX)
        paper = Image.new("RGB", (width, height), _PAPER)
        _draw_words(ImageDraw.Draw(paper), self._sample, (0, 0), width)
        top = self._row(paper, text_px, "driving", self._pictures("driving"))
        if has_hands:
            top = self._row(paper, top, "hands", self._hands())
        self._row(paper, top, "target", self._pictures("target"))
        return paper

    def _pictures(self, name: str) -> list[Image.Image]:
        return [self._clips[name].draw(frame) for frame in self._frames]

    def _hands(self) -> list[Image.Image]:
        assert self._sample.hand_crops is not None
        pairs = []
        for crops in self._sample.hand_crops[self._frames]:
            pair = Image.new("RGB", (2 * CROP_PX + _SMALL_GAP_PX, CROP_PX), _PAPER)
            for side, (crop, colour) in enumerate(zip(crops, (LEFT, RIGHT), strict=True)):
                picture = Image.fromarray(crop).resize((CROP_PX, CROP_PX), Image.Resampling.BICUBIC)
                edge = ImageDraw.Draw(picture)
                edge.rectangle((0, 0, CROP_PX - 1, CROP_PX - 1), outline=colour if crop.any() else _DIM)
                pair.paste(picture, (side * (CROP_PX + _SMALL_GAP_PX), 0))
            pairs.append(pair)
        return pairs

    def _row(self, paper: Image.Image, top: int, title: str, pictures: Sequence[Image.Image]) -> int:
        """Paste a row; returns where the next one begins."""
        ImageDraw.Draw(paper).text((0, top), title, _PALE, ImageFont.load_default(_FONT_PX))
        for column, picture in enumerate(pictures):
            paper.paste(picture, (_GUTTER_PX + column * self._cell_px, top))
        return top + pictures[0].height + _SMALL_GAP_PX


def arrange(blocks: Sequence[Image.Image]) -> Image.Image:
    """Put blocks on a sheet: under each other, and in two columns where they are many."""
    columns = 1 if len(blocks) <= _TALLEST_FOR_TWO else 2
    wide = max(block.width for block in blocks) + _GAP_PX
    rows = [blocks[start : start + columns] for start in range(0, len(blocks), columns)]
    heights = [max(block.height for block in row) + _GAP_PX for row in rows]
    sheet = Image.new("RGB", (_GAP_PX + columns * wide, _GAP_PX + sum(heights) + _LINE_PX), _PAPER)
    top = _GAP_PX
    for row, height in zip(rows, heights, strict=True):
        for column, block in enumerate(row):
            sheet.paste(block, (_GAP_PX + column * wide, top))
        top += height
    _draw_legend(ImageDraw.Draw(sheet), top - _SMALL_GAP_PX)
    return sheet


def _draw_legend(draw: ImageDraw.ImageDraw, top: int) -> None:
    left, font = float(_GAP_PX), ImageFont.load_default(_SMALL_FONT_PX)
    for words, colour in (("left", LEFT), ("right", RIGHT), ("middle", MIDDLE), ("silhouette", OUTLINE)):
        draw.text((left, top), words, colour, font)
        left += font.getlength(words) + _GAP_PX


def _draw_words(draw: ImageDraw.ImageDraw, sample: Sample, corner: tuple[int, int], width: int) -> None:
    left, top = corner
    font, small = ImageFont.load_default(_FONT_PX), ImageFont.load_default(_SMALL_FONT_PX)
    head = f"{sample.role.replace('_', ' ')}   {sample.source}"
    draw.text((left, top), head, _INK, font)
    if sample.held_out:
        draw.text((left + font.getlength(head + "   "), top), "held out", _WARNING, font)
    ids = f"{sample.sample_id}   {sample.motion_id}   {sample.driving.person_id} > {sample.target.person_id}"
    for line, words in enumerate(_wrapped(ids, small, width)[:1], start=1):
        draw.text((left, top + line * _LINE_PX), words, _PALE, small)
    for line, words in enumerate(_wrapped(sample.target.text, font, width)[:_TEXT_LINES], start=2):
        draw.text((left, top + line * _LINE_PX), words, _INK, font)


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


@dataclass(frozen=True)
class FilmFrame:
    """The layout that a film of samples shares: words above driving and target. Even sizes in pixels."""

    column: int
    width: int
    height: int

    @classmethod
    def fitting(cls, facts: Sequence[SampleFacts]) -> FilmFrame:
        """As wide as the widest clip needs."""
        clips = [clip for each in facts for clip in (each.driving, each.target)]
        column = max(math.ceil(clip.width * FILM_HEIGHT_PX / clip.height) for clip in clips) + _GAP_PX
        height = FILM_HEIGHT_PX + (2 + _TEXT_LINES) * _LINE_PX + 2 * _GAP_PX
        return cls(column, 2 * column + 2 * (_GAP_PX // 2), height + height % 2)

    def play(self, sample: Sample, fps: float) -> Iterator[np.ndarray]:
        """The frames of one sample at the film's rate."""
        canvas = Image.new("RGB", (self.width, self.height), _PAPER)
        edge = _GAP_PX // 2
        _draw_words(ImageDraw.Draw(canvas), sample, (edge, edge), self.width - 2 * edge)
        top = self.height - FILM_HEIGHT_PX - _GAP_PX // 2
        clips = [LabelledClip(clip, FILM_HEIGHT_PX) for clip in (sample.driving, sample.target)]
        num_frames = len(sample.target.frames)
        for shown in range(max(1, round(num_frames * fps / sample.fps))):
            frame = min(int(shown * sample.fps / fps), num_frames - 1)
            for side, clip in enumerate(clips):
                canvas.paste(clip.draw(frame), (_GAP_PX // 2 + side * self.column, top))
            yield np.asarray(canvas)
