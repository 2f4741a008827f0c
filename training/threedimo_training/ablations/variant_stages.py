"""The generator stage without one of its parts, one class a part."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from threedimo.models import MotionEncoder, MotionWanTransformer3DModel
from threedimo_training.ablations.channel_transformer import ChannelMotionTransformer
from threedimo_training.ablations.smpl_encoder import SmplPoseEncoder, read_pose
from threedimo_training.embedded.cached_clips import EVERY, Frames
from threedimo_training.embedded.generator_stage import GeneratorStage
from threedimo_training.embedded.recipe import MOTION_DIM, make_transformer
from threedimo_training.method.excerpts import Excerpt
from threedimo_training.method.schedule import STAGE_1_END, STAGE_2_END


class SmplPoseStage(GeneratorStage):
    """Reads the pose's parameters instead of the driving frames; the cheap new MLP learns in every step."""

    encoder_start, encoder_interval, encoder_scale = 0.0, 1, 1.0

    def motion_tokens(self, indices: list[int], frames: Frames = EVERY) -> Tensor:
        """Tokens of the pose."""
        return self.encoder(read_pose(self.clips, indices, frames))

    def augmented_motion(self, indices: list[int], frames: Frames, generator: torch.Generator) -> Tensor:
        """The same: there are no pixels to augment."""
        del generator
        return self.motion_tokens(indices, frames)

    def compile(self) -> None:
        """Compile the generator's blocks; the MLP gains nothing."""
        for block in self.transformer.blocks:
            block.compile()


class FirstStageOnly(GeneratorStage):
    """Learns from one view alone."""

    mixtures_end = STAGE_1_END


class FirstTwoStages(GeneratorStage):
    """Never learns from other views and moving cameras alone."""

    mixtures_end = STAGE_2_END


class ChannelStage(GeneratorStage):
    """Hears the motion through channels of the latents."""

    def new_transformer(self) -> ChannelMotionTransformer:
        """The same sizes, another way in."""
        return ChannelMotionTransformer.like(make_transformer(self.recipe), self.encoder.num_tokens)


class NoPositionStage(GeneratorStage):
    """Its tokens are never told where in the picture they are."""

    def new_transformer(self) -> MotionWanTransformer3DModel:
        """The same, whose places begin with zeros and stay so."""
        transformer = make_transformer(self.recipe)
        assert transformer.picture_position is not None, "the recipe's generator has places"
        transformer.picture_position.requires_grad_(False)
        return transformer


class NoWarmUpStage(GeneratorStage):
    """Begins with an untrained encoder, which therefore learns from the first step on, and in every one."""

    encoder_start, encoder_interval, encoder_scale = 0.0, 1, 1.0


class NoGeometryStage(NoWarmUpStage):
    """No pose is ever asked of the motion tokens."""

    geometry_scale = 0.0


class NoHintsStage(GeneratorStage):
    """Hears of the camera by text alone, as in the paper."""

    def camera_tokens(self, indices: list[int], excerpt: Excerpt) -> Tensor:
        """Zeros, which is what a missing hint is."""
        return torch.zeros_like(super().camera_tokens(indices, excerpt))


class NoPlaceStage(GeneratorStage):
    """Nobody asks the middle of the generator where the person is."""

    place_weight = 0.0


class NoPairsStage(GeneratorStage):
    """Sees whole clips from the first step on, so fewer of them."""

    pairs_end = 0.0


def whole_encoder(warmed_up: MotionEncoder) -> MotionEncoder:
    """The encoder as the warm-up left it."""
    return warmed_up


def untrained_encoder(warmed_up: MotionEncoder) -> MotionEncoder:
    """An encoder of the same sizes that has learned nothing."""
    return _like(warmed_up)


def body_encoder(warmed_up: MotionEncoder) -> MotionEncoder:
    """The warmed-up encoder without its hand tokenizer."""
    encoder = _like(warmed_up, num_hand_tokens=0)
    own = encoder.state_dict()
    encoder.load_state_dict({name: value for name, value in warmed_up.state_dict().items() if name in own})
    return encoder


def smpl_encoder(warmed_up: MotionEncoder) -> SmplPoseEncoder:
    """An MLP that gives as many tokens."""
    return SmplPoseEncoder(warmed_up.num_tokens, MOTION_DIM)


def _like(encoder: MotionEncoder, **changes: Any) -> MotionEncoder:
    known = {name: value for name, value in encoder.config.items() if not name.startswith("_")}
    return MotionEncoder(**(known | changes))
