"""Which of a model's presets is meant: both sides of the wire read a name alike."""

from __future__ import annotations

from threedimo.errors import InvalidRequest
from threedimo.wire.messages import ModelInfo, Preset


def choose_preset(info: ModelInfo, name: str) -> Preset:
    """The preset of this name among those that a model is announced with; "" is the model's own numbers.

    Raises:
        InvalidRequest: It is not among them.
    """
    if not name:
        return own_numbers(info)
    for preset in info.presets:
        if preset.name == name:
            return preset
    raise InvalidRequest(
        f"{info.id} has no such preset",
        given=name,
        allowed=", ".join(preset.name for preset in info.presets),
        remedy="choose one of these, or none for the model's own numbers",
    )


def own_numbers(info: ModelInfo, name: str = "") -> Preset:
    """What a model makes without any preset, under a name."""
    return Preset(
        name=name,
        num_inference_steps=info.num_inference_steps,
        text_guidance_scale=info.text_guidance_scale,
        motion_guidance_scale=info.motion_guidance_scale,
    )
