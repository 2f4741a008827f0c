# SPDX-License-Identifier: GPL-3.0-or-later
"""How large and how carefully frames are made: choices that the server's model can always make. No bpy here.

A server makes frames of up to a multiple of the pixels that its model was trained with, in steps of
`size_step`. No choice here has more pixels than the model's own frames, so that none is ever refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from threedimo.wire.messages import ModelInfo

SizePreset = Literal["MODEL", "CAMERA", "HALF"]
SpeedPreset = Literal["DRAFT", "MODEL", "FINE"]

# As `EnumProperty` wants them.
SIZE_PRESETS = (
    ("MODEL", "Model's Own", "The size that the model was trained with"),
    ("CAMERA", "Camera's Shape", "About as many pixels, in the shape of the render: nothing is cut off"),
    ("HALF", "Half", "Half as wide and high: quick, to judge the motion by"),
)
SPEED_PRESETS = (
    ("DRAFT", "Draft", "Half of the model's own denoising steps: about twice as fast"),
    ("MODEL", "Model's Own", "As many denoising steps as the model's makers advise"),
    ("FINE", "Fine", "Twice as many denoising steps: about half as fast"),
)

# The protocol takes no more.
_MOST_STEPS = 200
# How many widths are looked at for a shape: more would find it better, with ever fewer pixels.
_TRIED_STEPS = 3


@dataclass(frozen=True)
class ResultSettings:
    """How frames are made.

    Attributes:
        width: Of the frames in pixels.
        height: Of the frames in pixels.
        num_inference_steps: Denoising steps.
    """

    width: int
    height: int
    num_inference_steps: int

    def sentence(self) -> str:
        """In a few words: "832 x 480 pixels, 30 steps"."""
        return f"{self.width} x {self.height} pixels, {self.num_inference_steps} steps"


def result_settings(
    model: ModelInfo, size: SizePreset, speed: SpeedPreset, picture: tuple[int, int]
) -> ResultSettings:
    """What two choices mean for a model.

    Args:
        model: One of the server's.
        size: One of `SIZE_PRESETS`.
        speed: One of `SPEED_PRESETS`.
        picture: Width and height of the render in square pixels.
    """
    return ResultSettings(*_size(model, size, picture), _steps(model.num_inference_steps, speed))


def _size(model: ModelInfo, size: SizePreset, picture: tuple[int, int]) -> tuple[int, int]:
    if size == "HALF":
        return _floor(model.width / 2, model.size_step), _floor(model.height / 2, model.size_step)
    if size == "CAMERA":
        return _of_shape(model, picture[0] / picture[1])
    return model.width, model.height


def _of_shape(model: ModelInfo, aspect: float) -> tuple[int, int]:
    """Of the largest sizes within the model's pixels the one whose shape is nearest to the camera's."""
    most, step = model.width * model.height, model.size_step
    widest = min(_floor(math.sqrt(most * aspect), step), most // step // step * step)
    sizes = [
        (width, min(height, _floor(most / width, step)))
        for width in range(widest, max(0, widest - _TRIED_STEPS * step), -step)
        for height in (_floor(width / aspect, step), _floor(width / aspect, step) + step)
    ]
    return min(sizes, key=lambda size: abs(math.log(size[0] / size[1] / aspect)))


def _steps(own: int, speed: SpeedPreset) -> int:
    if speed == "DRAFT":
        return max(1, own // 2)
    return min(_MOST_STEPS, 2 * own) if speed == "FINE" else own


def _floor(side: float, step: int) -> int:
    """A multiple of the step, at least one; a side that is one but for rounding stays."""
    return max(1, math.floor(side / step + 1e-9)) * step
