"""Settings of a shot by name, draft, standard and final, and step caches by name. Needs no torch.

A step cache takes over from one denoising step to the next what has hardly changed, and computes the rest:

    none             every step is computed
    first_block:T    the first block is computed; when what it adds has changed by less than the part T since
                     the last computed step, the other blocks' addition is taken from there. 0 computes all.
    mag:T            all blocks' addition is taken over while the change that was measured beforehand
                     (`ModelInfo.mag_ratios`) adds up to less than T, at most 3 steps on end. 0 computes all.
    taylor:N         from the fourth step on, one of N steps is computed and the others are continued in a
                     straight line. 1 computes all.

"standard" is what a model makes without any preset. What presets save, they save in denoising: compilation
and the choice of an attention kernel change no picture but its rounding, and so belong to the server.
"""

from __future__ import annotations

import re

import msgspec

from threedimo.errors import InvalidRequest
from threedimo.wire.messages import ModelInfo, Preset
from threedimo.wire.preset_names import choose_preset, own_numbers

NO_CACHE = "none"
STEP_CACHES = ("none", "first_block:T", "mag:T", "taylor:N")
DRAFT, STANDARD, FINAL = "draft", "standard", "final"

_DRAFT_PART, _FEWEST_STEPS = 6, 4
_DRAFT_CACHE = "taylor:2"
_FINAL_FACTOR, _MOST_STEPS = 2, 200
_MAX_INTERVAL = 20
_STEP_CACHE = re.compile(r"(first_block|mag|taylor):([0-9]{1,3}(?:\.[0-9]{1,6})?)")


def presets_of(info: ModelInfo) -> list[Preset]:
    """A model's own presets, or those that follow from its numbers.

    A draft takes a sixth of the steps and computes the first three and every other one after them. It keeps
    both guidances: without that of motion, the embedded model's person is another one.
    """
    if info.presets:
        return info.presets
    steps, text, motion = info.num_inference_steps, info.text_guidance_scale, info.motion_guidance_scale
    few = min(steps, max(_FEWEST_STEPS, round(steps / _DRAFT_PART)))
    return [
        Preset(
            name=DRAFT,
            num_inference_steps=few,
            text_guidance_scale=text,
            motion_guidance_scale=motion,
            step_cache=_DRAFT_CACHE,
        ),
        own_numbers(info, STANDARD),
        Preset(
            name=FINAL,
            num_inference_steps=max(steps, min(_FINAL_FACTOR * steps, _MOST_STEPS)),
            text_guidance_scale=text,
            motion_guidance_scale=motion,
        ),
    ]


def find_preset(info: ModelInfo, name: str) -> Preset:
    """The preset of this name; "" is the model's own numbers.

    Raises:
        InvalidRequest: The model has no such preset.
    """
    return choose_preset(msgspec.structs.replace(info, presets=presets_of(info)), name)


def read_step_cache(text: str, info: ModelInfo) -> tuple[str, float]:
    """Kind and amount of a step cache, checked against a model; `("none", 0)` for none.

    Raises:
        InvalidRequest: It is none of `STEP_CACHES`, or the model was not measured for "mag".
    """
    if text == NO_CACHE:
        return NO_CACHE, 0.0
    found = _STEP_CACHE.fullmatch(text)
    kind, amount = (found[1], float(found[2])) if found else ("", 0.0)
    if not found or not (_is_interval(amount) if kind == "taylor" else amount <= 1):
        raise InvalidRequest(
            "there is no such step cache",
            given=text,
            allowed=f"{', '.join(STEP_CACHES)}; T from 0 to 1, N a whole number from 1 to {_MAX_INTERVAL}",
            remedy="for example first_block:0.1",
        )
    if kind == "mag" and not info.mag_ratios:
        raise InvalidRequest(
            "the model was not measured for this step cache",
            given=text,
            allowed="none, first_block:T, taylor:N",
            remedy="measure it once with `threedimo calibrate --model FOLDER`",
        )
    return kind, amount


def _is_interval(amount: float) -> bool:
    return amount.is_integer() and 1 <= amount <= _MAX_INTERVAL
