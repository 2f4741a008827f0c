"""What is trained: encoders, generator and geometry head behind one forward, and which weights change.

One forward, because processes that share a model (DDP, FSDP2) follow it by the forward of one module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from threedimo.models import CameraEncoder, MotionEncoder, MotionWanTransformer3DModel
from threedimo.pipeline import MotionTransferPipeline
from threedimo_training.finetuning.plan import Trained
from threedimo_training.method.flow_matching import FlowBatch, predict_velocity
from threedimo_training.method.geometry_head import GeometryHead

LORA_LAYERS = re.compile(r"blocks\.\d+\.(attn[12]\.(to_q|to_k|to_v|to_out\.0)|ffn\.net\.(0\.proj|2))")
"""The generator's own attention and feed-forward layers; motion attention is trained as it is."""


@dataclass(frozen=True)
class Driving:
    """What drives a batch, with what training alone knows.

    Attributes:
        frames: (batch, 3, frames, size, size) in [-1, 1].
        hand_crops: (batch, frames, 2, 3, crop, crop) in [-1, 1].
        hand_visible: (batch, frames, 2) bool.
        heard: (batch,) 1, or 0 where the motion is dropped.
        hints: (batch, frames, NUM_HINTS).
        hinted: (batch,) 1, or 0 where the camera's hints are dropped or unknown.
    """

    frames: Tensor
    hand_crops: Tensor
    hand_visible: Tensor
    heard: Tensor
    hints: Tensor
    hinted: Tensor


class ConditionedGenerator(nn.Module):
    """From pixels, hints and noised latents to a velocity.

    Args:
        transformer: The generator.
        motion_encoder: Trained together with it.
        camera_encoder: Likewise.
        geometry: The head that exists in training only.
    """

    _no_split_modules = MotionWanTransformer3DModel._no_split_modules

    def __init__(
        self,
        transformer: MotionWanTransformer3DModel,
        motion_encoder: MotionEncoder,
        camera_encoder: CameraEncoder,
        geometry: GeometryHead,
    ):
        super().__init__()
        self.transformer = transformer
        self.motion_encoder = motion_encoder
        self.camera_encoder = camera_encoder
        self.geometry = geometry

    def forward(
        self, flow: FlowBatch, text: Tensor, driving: Driving, rotations: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Predict a batch's velocity.

        Args:
            flow: Noised latents.
            text: (batch, text_tokens, text_dim).
            driving: Motion and camera.
            rotations: (batch, frames, 54, 3, 3) that the driving frames show, for the geometry loss.

        Returns:
            Velocity, and the geometry loss of each sample (batch,), zero without `rotations`.
        """
        motion = self.motion_encoder(driving.frames, driving.hand_crops, driving.hand_visible)
        camera = self.camera_encoder(driving.hints)
        heard = motion * driving.heard.view(-1, 1, 1, 1)
        hinted = camera * driving.hinted.view(-1, 1, 1, 1)
        velocity = predict_velocity(self.transformer, flow, text, heard, hinted)
        geometry = torch.zeros(len(motion), device=motion.device)
        if rotations is not None:
            losses = [self.geometry.loss(*pair) for pair in zip(motion, rotations, strict=True)]
            geometry = torch.stack(losses)
        return velocity, geometry


def make_generator(pipeline: MotionTransferPipeline, train: Trained, lora_rank: int) -> ConditionedGenerator:
    """Take a pipeline's networks and let the chosen weights change, in 32 bits; all others are frozen.

    Args:
        pipeline: Its networks are used themselves, not copies.
        train: See `FinetunePlan`.
        lora_rank: For "lora".
    """
    transformer, encoder = pipeline.transformer, pipeline.motion_encoder
    geometry = GeometryHead(encoder.num_tokens, encoder.config["motion_dim"])
    generator = ConditionedGenerator(transformer, encoder, pipeline.camera_encoder, geometry)
    transformer.requires_grad_(train == "full")
    if train == "lora":
        names = [name for name, _ in transformer.named_modules() if LORA_LAYERS.fullmatch(name)]
        config = LoraConfig(r=lora_rank, lora_alpha=lora_rank, lora_dropout=0.0, target_modules=names)
        inject_adapter_in_model(config, transformer)
    for parameter in transformer.motion_parameters().values():
        parameter.requires_grad_(True)
    for parameter in trained_parameters(generator).values():
        parameter.data = parameter.data.float()
    return generator.train()


def trained_parameters(generator: ConditionedGenerator) -> dict[str, nn.Parameter]:
    """What the optimizer changes, by name."""
    return {name: p for name, p in generator.named_parameters() if p.requires_grad}
