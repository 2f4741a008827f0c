"""What a model consists of, and that its parts belong together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from threedimo.errors import InvalidModel
from threedimo.model_files import INDEX_NAME, read_object
from threedimo.wire.messages import ModelInfo

COMPONENT_CLASSES: dict[str, tuple[str, frozenset[str]]] = {
    "tokenizer": ("transformers", frozenset({"T5Tokenizer", "T5TokenizerFast"})),
    "text_encoder": ("transformers", frozenset({"UMT5EncoderModel", "T5EncoderModel"})),
    "vae": ("diffusers", frozenset({"AutoencoderKLWan"})),
    "transformer": ("threedimo.models.transformer_wan", frozenset({"MotionWanTransformer3DModel"})),
    "motion_encoder": ("threedimo.models.motion_encoder", frozenset({"MotionEncoder"})),
    "camera_encoder": ("threedimo.models.camera_encoder", frozenset({"CameraEncoder"})),
    "scheduler": ("diffusers", frozenset({"FlowMatchEulerDiscreteScheduler"})),
}
"""What each component may be: the library that a model's index names, and the classes of it."""

STOCK_COMPONENT_CLASSES = {name: COMPONENT_CLASSES[name] for name in ("tokenizer", "text_encoder", "vae")} | {
    "transformer": ("diffusers", frozenset({"WanTransformer3DModel"})),
    "scheduler": ("diffusers", frozenset({"UniPCMultistepScheduler", "FlowMatchEulerDiscreteScheduler"})),
}
"""The same of a stock Wan model, of which only the `shift` of the scheduler is used."""


def require_index(folder: Path, classes: dict[str, tuple[str, frozenset[str]]]) -> dict[str, Any]:
    """Read a model's index and refuse one that names other classes than it may.

    Args:
        folder: Of the model.
        classes: `COMPONENT_CLASSES` or `STOCK_COMPONENT_CLASSES`.

    Returns:
        The index.

    Raises:
        InvalidModel: A class is not allowed, or a component has no folder.
    """
    index = read_object(folder / INDEX_NAME)
    for name, (library, allowed) in classes.items():
        entry = index.get(name)
        if not (isinstance(entry, list) and len(entry) == 2 and entry[0] == library and entry[1] in allowed):
            raise InvalidModel(
                f"{name} in {INDEX_NAME} is not what it may be",
                given=entry,
                allowed=" or ".join(f"{library}.{cls}" for cls in sorted(allowed)),
            )
        if not (folder / name).is_dir():
            raise InvalidModel(
                f"the model has no folder {name}", given=folder, remedy="copy the whole folder again"
            )
    return index


def require_fit(components: dict[str, Any], info: ModelInfo) -> None:
    """Refuse components of different models before they fail in the middle of a shot.

    Args:
        components: By the names of `COMPONENT_CLASSES`.
        info: What the model is said to make.

    Raises:
        InvalidModel: With both of the numbers that contradict each other.
    """
    vae, transformer = components["vae"].config, components["transformer"].config
    pixels_per_token = vae["scale_factor_spatial"] * transformer["patch_size"][1]
    motion_dim = transformer["motion_dim"]
    rules: list[tuple[str, Any, Any]] = [
        ("channels of autoencoder and transformer", vae["z_dim"], transformer["in_channels"]),
        (
            "width of text encoder and transformer",
            components["text_encoder"].config.d_model,
            transformer["text_dim"],
        ),
        ("width of motion tokens", components["motion_encoder"].config["motion_dim"], motion_dim),
        ("width of camera tokens", components["camera_encoder"].config["motion_dim"], motion_dim),
        ("frames a latent frame, and info.frame_step", vae["scale_factor_temporal"], info.frame_step),
        ("pixels a token, and info.size_step", pixels_per_token, info.size_step),
        (
            "use_dynamic_shifting of the schedule",
            components["scheduler"].config["use_dynamic_shifting"],
            False,
        ),
    ]
    for rule, one, other in rules:
        if one != other:
            raise InvalidModel(
                f"the parts of the model do not fit together: {rule}", given=one, allowed=str(other)
            )
