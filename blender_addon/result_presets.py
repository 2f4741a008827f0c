# SPDX-License-Identifier: GPL-3.0-or-later
"""How large and how carefully frames are made: choices that the server's model can always make. No bpy here.

A server makes frames near the area that its model was trained on (`threedimo.wire.sizes`), which every choice
here is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from threedimo.wire.fields import Label, StepCache
from threedimo.wire.preset_names import choose_preset
from threedimo.wire.sizes import LEAST_AREA, LONGEST_ASPECT, size_of_aspect

if TYPE_CHECKING:
    from threedimo.wire.messages import ModelInfo

SizePreset = Literal["MODEL", "CAMERA", "SMALL"]

# As `EnumProperty` wants it.
SIZE_PRESETS = (
    ("MODEL", "Model's Own", "The size that the model was trained with"),
    ("CAMERA", "Camera's Shape", "About as many pixels, in the shape of the render: nothing is cut off"),
    (
        "SMALL",
        "Small",
        "Half as many pixels: quick, to judge the motion by",
    ),
)


@dataclass(frozen=True)
class ResultSettings:
    """How frames are made.

    Attributes:
        width: Of the frames in pixels.
        height: Of the frames in pixels.
        num_inference_steps: Denoising steps.
        preset: Name of the model's preset that these steps are of; "" is none.
        step_cache: The preset's, see `threedimo.presets`.
    """

    width: int
    height: int
    num_inference_steps: int
    preset: Label = ""
    step_cache: StepCache = "none"

    def sentence(self) -> str:
        """In a few words: "832 x 480 pixels, draft, 5 steps, step cache taylor:2"."""
        made = preset_words(self.preset, self.num_inference_steps, self.step_cache)
        return f"{self.width} x {self.height} pixels, {made}"


def preset_words(name: str, num_inference_steps: int, step_cache: str) -> str:
    """A preset in a few words, without its name if that is empty: "draft, 5 steps, step cache taylor:2"."""
    steps = f"{num_inference_steps} step{'' if num_inference_steps == 1 else 's'}"
    cached = "" if step_cache == "none" else f"step cache {step_cache}"
    return ", ".join(word for word in (name, steps, cached) if word)


def result_settings(
    model: ModelInfo, size: SizePreset, preset: str, picture: tuple[int, int]
) -> ResultSettings:
    """What two choices mean for a model.

    Args:
        model: One of the server's.
        size: One of `SIZE_PRESETS`.
        preset: Name of one of the model's presets; "" is the model's own numbers.
        picture: Width and height of the render in square pixels.

    Raises:
        InvalidRequest: The model has no such preset.
    """
    chosen = choose_preset(model, preset)
    return ResultSettings(
        *_size(model, size, picture), chosen.num_inference_steps, chosen.name, chosen.step_cache
    )


def renewed(result: ResultSettings, model: ModelInfo) -> ResultSettings:
    """The settings of an earlier take, with what its preset means by now: a server goes by the name.

    Raises:
        InvalidRequest: The model does not have that preset any more.
    """
    if not result.preset:
        return result
    preset = choose_preset(model, result.preset)
    return replace(result, num_inference_steps=preset.num_inference_steps, step_cache=preset.step_cache)


def _size(model: ModelInfo, size: SizePreset, picture: tuple[int, int]) -> tuple[int, int]:
    if size == "SMALL":
        return _small(model.width, model.size_step), _small(model.height, model.size_step)
    if size == "CAMERA":
        return size_of_aspect(model, min(max(picture[0] / picture[1], 1 / LONGEST_ASPECT), LONGEST_ASPECT))
    return model.width, model.height


def _small(side: int, step: int) -> int:
    """A side of the frames with the smallest area, rounded up to the model's step."""
    return math.ceil(side * math.sqrt(LEAST_AREA) / step) * step
