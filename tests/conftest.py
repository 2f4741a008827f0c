"""Shared by every room: a model of real classes, small enough to run in a blink, made without a download."""

from __future__ import annotations

import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from threedimo.pipeline import MotionTransferPipeline

TINY_ENCODER = {
    "frame_size": 32,
    "patch_size": 8,
    "hand_crop_size": 16,
    "hand_patch_size": 8,
    "num_body_tokens": 2,
    "num_hand_tokens": 1,
    "hidden_dim": 16,
    "num_layers": 1,
    "num_hand_layers": 1,
    "num_heads": 2,
    "motion_dim": 16,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full",
        action="store_true",
        help="tests/server/chaos: at the size of the figures in server/README.md",
    )


def tiny_text_encoder() -> dict[str, Any]:
    """Tokenizer and text encoder of both tiny models; a token for each letter."""
    from transformers import T5Tokenizer, UMT5Config, UMT5EncoderModel

    letters = string.ascii_letters + string.digits + string.punctuation
    pieces = [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", 0.0),
        ("▁", -2.0),
        *((letter, -3.0) for letter in letters),
    ]
    config = UMT5Config(vocab_size=len(pieces), d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    return {"tokenizer": T5Tokenizer(vocab=pieces, extra_ids=0), "text_encoder": UMT5EncoderModel(config)}


@pytest.fixture(scope="session")
def tiny_stock_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Wan model as others publish it, with the files of Wan2.2-TI2V-5B and nothing of ours."""
    import torch
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipeline = WanPipeline(
            **tiny_text_encoder(),
            vae=AutoencoderKLWan(
                base_dim=4,
                z_dim=4,
                dim_mult=[1, 1, 1, 1],
                num_res_blocks=1,
                latents_mean=[0.0] * 4,
                latents_std=[1.0] * 4,
            ),
            transformer=WanTransformer3DModel(
                num_attention_heads=2,
                attention_head_dim=12,
                in_channels=4,
                out_channels=4,
                text_dim=32,
                freq_dim=16,
                ffn_dim=32,
                num_layers=2,
                rope_max_seq_len=32,
            ),
            scheduler=UniPCMultistepScheduler(
                prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
            ),
            expand_timesteps=True,
        )
    folder = tmp_path_factory.mktemp("stock") / "wan"
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_trained_stock(tiny_stock_folder: Path) -> MotionTransferPipeline:
    """The stock model with motion layers that do something: 9 frames of 32x32 at 8 fps, at most 17."""
    import torch

    from threedimo.stock import MotionSizes, with_untrained_layers
    from threedimo.wire.messages import ModelInfo

    info = ModelInfo(
        id="danced",
        trained=True,
        width=32,
        height=32,
        num_frames=9,
        max_frames=17,
        fps=8.0,
        frame_step=4,
        size_step=16,
        num_inference_steps=2,
        text_guidance_scale=2.0,
        motion_guidance_scale=1.5,
    )
    sizes = MotionSizes(encoder=TINY_ENCODER, inner_dim=16, num_heads=2, camera_hidden_dim=16)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipeline = with_untrained_layers(str(tiny_stock_folder), info, torch.float32, sizes)
        for parameter in pipeline.transformer.motion_parameters().values():
            torch.nn.init.normal_(parameter)
    return pipeline


@pytest.fixture(scope="session")
def tiny_pipeline_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved pipeline with random weights: 9 frames of 32x32 at 8 fps, at most 33, in 2 steps.

    Its motion layers are not zero, so that motion and camera do change the frames.
    """
    import torch
    from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler

    from threedimo.models import CameraEncoder, MotionEncoder, MotionWanTransformer3DModel
    from threedimo.pipeline import MotionTransferPipeline
    from threedimo.wire.messages import ModelInfo

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformer = MotionWanTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=4,
            out_channels=4,
            text_dim=32,
            freq_dim=16,
            ffn_dim=32,
            num_layers=2,
            rope_max_seq_len=32,
            motion_dim=16,
            motion_inner_dim=16,
            motion_num_heads=2,
        )
        for block in transformer.blocks:
            torch.nn.init.normal_(block.motion_attn.out.weight)
        pipeline = MotionTransferPipeline(
            **tiny_text_encoder(),
            vae=AutoencoderKLWan(
                base_dim=4,
                z_dim=4,
                dim_mult=[1, 1, 1, 1],
                num_res_blocks=1,
                latents_mean=[0.1, -0.2, 0.3, 0.0],
                latents_std=[0.5, 1.0, 2.0, 1.5],
            ),
            transformer=transformer,
            motion_encoder=MotionEncoder(**TINY_ENCODER),
            camera_encoder=CameraEncoder(hidden_dim=16, motion_dim=16),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            max_text_tokens=128,
            info=ModelInfo(
                id="tiny",
                trained=False,
                width=32,
                height=32,
                num_frames=9,
                max_frames=33,
                fps=8.0,
                frame_step=4,
                size_step=16,
                num_inference_steps=2,
                text_guidance_scale=2.0,
                motion_guidance_scale=1.5,
                notes="Random weights, for tests.",
            ),
        )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pipeline.save_pretrained(folder)
    return folder
