# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts in lines that fit: Blender breaks none. No bpy here."""

from __future__ import annotations

_LETTER_PX = 7.0
_SHORTEST = 20


def wrapped(text: str, width_px: float) -> list[str]:
    """The text in lines that fit, of a width in pixels of an unscaled interface."""
    most = max(_SHORTEST, int(width_px / _LETTER_PX) - 4)
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= most:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
