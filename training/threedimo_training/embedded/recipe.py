"""The embedded model's recipe: sizes and schedules in one place, and its untrained components.

Same classes as the full size at a tiny configuration. The autoencoder is fully convolutional and the
generator's positions are rotary, so a larger `size` needs more training but no other code.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from transformers import T5Tokenizer, UMT5Config, UMT5EncoderModel

from threedimo.camera import NUM_HINTS, VOCABULARY
from threedimo.checkpoints import load_pipeline
from threedimo.models import CameraEncoder, MotionEncoder, MotionWanTransformer3DModel

PERSON_WORDS = (
    "a",
    "an",
    "the",
    "of",
    "person",
    "man",
    "woman",
    "child",
    "dancer",
    "is",
    "in",
    "and",
    "with",
)
HAND_CROP_SIZE = 32
MAX_TEXT_TOKENS = 64
PERSON_WEIGHT = 4.0
"""By how much more a person's pixels and latents count in losses than the room's."""
INFERENCE_STEPS, TEXT_SCALE, MOTION_SCALE = 10, 1.5, 2.0
"""Denoising steps and guidance with which the embedded model is served and judged."""
MOTION_DIM = 128
NUM_HEADS = 4
PIXELS_PER_TOKEN = 8
"""The autoencoder's compression; the generator has a token for each latent place, or limbs had none."""
GOING_ON_RATE = 7e-4
"""The learning rate, at its highest, of a generator that was trained before."""
POSITION_OCTAVES = 4
"""Frequencies of a token's place in the picture; the fastest has a period of two tokens at 64 pixels."""


@dataclass(frozen=True)
class EmbeddedRecipe:
    """What the embedded model is and how long each stage of its training lasts.

    Args:
        size: Width and height of its frames in pixels; a multiple of 8.
        num_frames: Frames of a clip, 4k+1.
        fps: Frame rate of its clips.
        num_clips: Training clips rendered beforehand.
        autoencoder_image_steps: Steps of the video autoencoder on single frames.
        autoencoder_steps: Its steps in all; the rest are on whole clips.
        warm_up_steps: Steps of the motion encoder alone, on single frames.
        generator_steps: Steps of the motion encoder and the generator together.
        autoencoder_images: Single frames in a step.
        autoencoder_clips: Whole clips in a step.
        warm_up_batch: Frames in a step.
        generator_pairs: Pairs of frames in a step, in the first part of the generator's steps.
        generator_batch: Clips in a step, in the rest.
        generator_channels: Width of the generator; a multiple of 16.
        generator_blocks: Its depth.
        generator_rate: Its learning rate at the highest; wide ones bear less.
        plain: People in single colours in bare places; see `samples.sampler.draw_sample`.
        seed: Of everything random.
        start: The model whose weights the training begins with, as `threedimo.checkpoints.load_pipeline`
            takes it; None begins with random ones.
        new_generator: The generator begins with random weights all the same, and only all else with that
            model's.
    """

    size: int
    num_frames: int
    fps: float
    num_clips: int
    autoencoder_image_steps: int
    autoencoder_steps: int
    warm_up_steps: int
    generator_steps: int
    autoencoder_images: int
    autoencoder_clips: int
    warm_up_batch: int
    generator_pairs: int
    generator_batch: int
    generator_channels: int
    generator_blocks: int
    generator_rate: float
    plain: bool
    seed: int = 0
    start: str | None = None
    new_generator: bool = False


def cpu_recipe() -> EmbeddedRecipe:
    """Small and soft: some hours of two processor cores."""
    return EmbeddedRecipe(
        size=64,
        num_frames=17,
        fps=8.0,
        num_clips=6_000,
        autoencoder_image_steps=6_000,
        autoencoder_steps=10_000,
        warm_up_steps=3_000,
        generator_steps=10_000,
        autoencoder_images=16,
        autoencoder_clips=2,
        warm_up_batch=96,
        generator_pairs=24,
        generator_batch=8,
        generator_channels=128,
        generator_blocks=6,
        generator_rate=3e-3,
        plain=True,
    )


def gpu_recipe() -> EmbeddedRecipe:
    """The real size: meant for half an hour of one datacentre GPU, on which it has not been run yet."""
    return EmbeddedRecipe(
        size=128,
        num_frames=17,
        fps=8.0,
        num_clips=9_000,
        autoencoder_image_steps=4_000,
        autoencoder_steps=8_000,
        warm_up_steps=4_000,
        generator_steps=8_000,
        autoencoder_images=64,
        autoencoder_clips=8,
        warm_up_batch=512,
        generator_pairs=384,
        generator_batch=128,
        generator_channels=256,
        generator_blocks=8,
        generator_rate=7e-4,
        plain=False,
    )


SCHEDULES: dict[str, Callable[[], EmbeddedRecipe]] = {"cpu": cpu_recipe, "gpu": gpu_recipe}


def suitable_schedule(device: torch.device, name: str | None = None) -> EmbeddedRecipe:
    """The schedule of this name, or the one that suits the device."""
    return SCHEDULES[name or ("gpu" if device.type == "cuda" else "cpu")]()


def going_on(recipe: EmbeddedRecipe, model: str) -> EmbeddedRecipe:
    """The same for a model that exists: its autoencoder stays as it is, and no encoder is warmed up.

    Its generator learns on in its own size, unless a new one is wanted.

    Raises:
        ModelError: There is no such model.
    """
    done = {"autoencoder_image_steps": 0, "autoencoder_steps": 0, "warm_up_steps": 0}
    begun = replace(recipe, start=model, **done)
    if recipe.new_generator:
        return begun
    config = load_pipeline(model, device="cpu", dtype=torch.float32).transformer.config
    return replace(
        begun,
        generator_channels=config["num_attention_heads"] * config["attention_head_dim"],
        generator_blocks=config["num_layers"],
        generator_rate=GOING_ON_RATE,
    )


def make_autoencoder() -> AutoencoderKLWan:
    """A causal Wan video autoencoder in its residual (2.2) form, 8x8x4 compression, 16 channels."""
    return AutoencoderKLWan(
        base_dim=16,
        decoder_base_dim=24,
        z_dim=16,
        dim_mult=[1, 2, 2],
        num_res_blocks=1,
        temperal_downsample=[True, True],
        latents_mean=[0.0] * 16,
        latents_std=[1.0] * 16,
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=PIXELS_PER_TOKEN,
        scale_factor_temporal=4,
    )


def make_tokenizer() -> T5Tokenizer:
    """Whole words for the camera vocabulary and simple person words; letters for everything else."""
    words = sorted({word for word in (*VOCABULARY, *PERSON_WORDS) if len(word) > 1})
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    pieces += [(f"▁{word}", -1.0) for word in words] + [(word, -1.5) for word in words]
    pieces += [(letter, -8.0) for letter in string.ascii_letters + string.digits + string.punctuation]
    return T5Tokenizer(vocab=pieces, extra_ids=0)


def make_text_encoder(vocab_size: int) -> UMT5EncoderModel:
    """A UMT5 encoder of 128 channels and 3 layers."""
    config = UMT5Config(
        vocab_size=vocab_size, d_model=128, d_kv=32, d_ff=256, num_layers=3, num_heads=4, dropout_rate=0.0
    )
    return UMT5EncoderModel(config)


def make_motion_encoder(recipe: EmbeddedRecipe) -> MotionEncoder:
    """Body tokens from whole frames at the recipe's size, hand tokens from crops of 32 pixels."""
    return MotionEncoder(
        frame_size=recipe.size,
        patch_size=8,
        hand_crop_size=HAND_CROP_SIZE,
        hand_patch_size=16,
        hidden_dim=128,
        num_layers=4,
        num_hand_layers=2,
        num_heads=NUM_HEADS,
        motion_dim=MOTION_DIM,
    )


def make_camera_encoder() -> CameraEncoder:
    """One token a frame, as wide as the motion tokens."""
    return CameraEncoder(num_hints=NUM_HINTS, hidden_dim=192, motion_dim=MOTION_DIM)


def make_transformer(recipe: EmbeddedRecipe) -> MotionWanTransformer3DModel:
    """The generator: a token for each latent place; as small as its training is short."""
    return MotionWanTransformer3DModel(
        patch_size=(1, 1, 1),
        num_attention_heads=NUM_HEADS,
        attention_head_dim=recipe.generator_channels // NUM_HEADS,
        in_channels=16,
        out_channels=16,
        text_dim=128,
        ffn_dim=4 * recipe.generator_channels,
        num_layers=recipe.generator_blocks,
        motion_dim=MOTION_DIM,
        motion_inner_dim=recipe.generator_channels,
        motion_num_heads=NUM_HEADS,
        position_octaves=POSITION_OCTAVES,
    )


def make_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """Plain flow matching; small latents need no shift of the noise levels."""
    return FlowMatchEulerDiscreteScheduler(shift=1.0)


def seeded(seed: int) -> None:
    """Make the initial weights of what is built next repeatable."""
    torch.manual_seed(seed)
