"""Where the networks lie under each plan, and that the shot is the same. The device is the CPU itself."""

from __future__ import annotations

import copy
import functools

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler
from transformers import UMT5Config, UMT5EncoderModel

from threedimo.checkpoints import load_pipeline
from threedimo.errors import InvalidRequest
from threedimo.memory_plans import PLANS, apply_plan, choose_plan, fit_to_device, needed_bytes, step_down
from threedimo.models import CameraEncoder, MotionEncoder, MotionWanTransformer3DModel
from threedimo.pipeline import MotionTransferPipeline
from threedimo.stock import FULL_SIZE
from threedimo.wire.messages import ModelInfo

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def shoot(pipeline, reference_image, driving_frames):
    """Make a small shot, twice, with a copy of the tiny model under a plan; once for each plan."""

    @functools.cache
    def make(plan):
        own = copy.deepcopy(pipeline)
        apply_plan(own, plan, CPU)
        inputs = (reference_image, driving_frames[:9], "Front view.")
        frames, again = (own(*inputs, num_inference_steps=1).frames for _ in range(2))
        assert np.array_equal(frames, again)
        return own, frames

    return make


def test_offloaded_networks_make_the_same_shot(shoot):
    assert np.array_equal(shoot("offload")[1], shoot("full")[1])


def test_8_bits_store_most_weights_and_change_the_shot_little(shoot):
    own, frames = shoot("fp8")
    for network in (own.transformer, own.text_encoder):
        stored = [parameter for parameter in network.parameters() if parameter.dtype == torch.float8_e4m3fn]
        assert sum(parameter.numel() for parameter in stored) > 0.5 * sum(
            parameter.numel() for parameter in network.parameters()
        )
    motion = own.transformer.motion_parameters().values()
    assert {parameter.dtype for parameter in motion} == {torch.float32}
    difference = np.abs(frames.astype(int) - shoot("full")[1]).mean()
    assert 0 < difference < 20


def test_blocks_one_at_a_time_make_the_same_shot_as_8_bits(shoot):
    assert np.array_equal(shoot("tiny")[1], shoot("fp8")[1])


@pytest.fixture(scope="module")
def large():
    """A model of the sizes of Wan2.2-TI2V-5B that holds no numbers."""
    shot = {"width": 832, "height": 480, "num_frames": 121, "max_frames": 121, "fps": 24.0, "frame_step": 4}
    guidance = {"num_inference_steps": 50, "text_guidance_scale": 5.0, "motion_guidance_scale": 3.0}
    info = ModelInfo(id="large", trained=False, size_step=32, **shot, **guidance)
    with torch.device("meta"):
        transformer = MotionWanTransformer3DModel(
            num_attention_heads=24,
            attention_head_dim=128,
            in_channels=48,
            out_channels=48,
            text_dim=4096,
            ffn_dim=14336,
            num_layers=30,
            motion_dim=768,
            motion_inner_dim=512,
            motion_num_heads=8,
        ).to(torch.bfloat16)
        text_encoder = UMT5EncoderModel(
            UMT5Config(vocab_size=256384, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64)
        ).to(torch.bfloat16)
        vae = AutoencoderKLWan(
            base_dim=160,
            decoder_base_dim=256,
            z_dim=48,
            dim_mult=[1, 2, 4, 4],
            is_residual=True,
            in_channels=12,
            out_channels=12,
            patch_size=2,
            scale_factor_spatial=16,
            latents_mean=[0.0] * 48,
            latents_std=[1.0] * 48,
        )
        motion_encoder = MotionEncoder(**FULL_SIZE.encoder).to(torch.bfloat16)
        camera_encoder = CameraEncoder(hidden_dim=512, motion_dim=768).to(torch.bfloat16)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=5.0)
    return MotionTransferPipeline(
        None, text_encoder, vae, transformer, motion_encoder, camera_encoder, scheduler, info=info
    )


def test_a_large_model_needs_less_with_each_plan(large):
    needed = [needed_bytes(large, plan) for plan in PLANS]
    assert needed == sorted(set(needed), reverse=True)


@pytest.mark.parametrize(
    ("card_gb", "plan"), [(80, "full"), (48, "full"), (24, "offload"), (16, "fp8"), (12, "tiny"), (8, "tiny")]
)
def test_the_fastest_plan_that_fits_is_chosen(large, card_gb, plan):
    assert choose_plan(large, int(0.95 * card_gb * 1e9)) == plan


def test_on_a_cpu_there_is_nothing_to_plan(pipeline):
    fit_to_device(pipeline, "auto", CPU)
    assert pipeline.memory_plan == "full"
    assert not step_down(pipeline, CPU)
    with pytest.raises(InvalidRequest, match="one memory"):
        load_pipeline(device="cpu", memory="tiny")


def test_a_plan_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(InvalidRequest, match=r"small.*auto, full, offload, fp8, tiny"):
        load_pipeline(device="cpu", memory="small")


@pytest.mark.gpu
@pytest.mark.parametrize("plan", PLANS)
def test_every_plan_makes_a_shot_on_a_gpu(plan):
    """And can be stepped down from: the worker does so when the device was too small after all."""
    pipeline = load_pipeline(device="cuda", memory=plan)
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    driving = rng.integers(0, 256, (17, 64, 64, 3), dtype=np.uint8)
    assert pipeline(reference, driving, num_inference_steps=2).frames.std() > 0
    assert step_down(pipeline, torch.device("cuda")) == (plan != "tiny")
    assert pipeline(reference, driving, num_inference_steps=2).frames.std() > 0
