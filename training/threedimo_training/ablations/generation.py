"""Clips made by a variant through the real pipeline, and what the probe sees in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from torch import Tensor

from threedimo.camera import CameraPath
from threedimo.errors import TrainingMismatch
from threedimo.media.writing import storage_errors, write_png
from threedimo.models.motion_context import TEMPORAL_COMPRESSION
from threedimo.people.hands import Hands
from threedimo.pipeline import MotionTransferPipeline
from threedimo.windows import Window
from threedimo.wire.messages import ModelInfo
from threedimo_training.ablations.ground import Ground
from threedimo_training.ablations.held_out import HeldOut
from threedimo_training.embedded.generator_stage import GeneratorStage
from threedimo_training.embedded.recipe import (
    INFERENCE_STEPS,
    MAX_TEXT_TOKENS,
    MOTION_SCALE,
    PIXELS_PER_TOKEN,
    TEXT_SCALE,
    make_scheduler,
)
from threedimo_training.evaluation.held_out_clips import SPLITS, HeldOutClip
from threedimo_training.evaluation.measure import ClipTruth, Values
from threedimo_training.evaluation.probe import Probe
from threedimo_training.method.excerpts import whole_clip
from threedimo_training.shards.durable import write_file

RUNS = ("generated", "text_alone", "other_motion")
"""generated: right motion, text and hints. text_alone: without hints. other_motion: as `generated`, but with
another clip's motion."""
STRIP_FRAMES = 5

Results = dict[str, list[dict[str, Values]]]
"""By split, clip, run and metric."""


class TokenPipeline(MotionTransferPipeline):
    """Performs motion and camera tokens that it is given, so that variants may make theirs of anything."""

    motion_tokens: Tensor
    camera_tokens: Tensor

    def perform(
        self, clip: HeldOutClip, motion_tokens: Tensor, camera_tokens: Tensor, seed: int
    ) -> np.ndarray:
        """Make a clip's target.

        Args:
            clip: Gives reference image, text and shape.
            motion_tokens: (1, frames, K, motion_dim).
            camera_tokens: (1, frames, 1, motion_dim); zeros leave the camera to the text.
            seed: Of the noise.

        Returns:
            (frames, height, width, 3) uint8 RGB.
        """
        self.motion_tokens, self.camera_tokens = motion_tokens, camera_tokens
        target = clip.sample.target
        return self(
            target.frames[0], clip.sample.driving.frames, target.text, fps=clip.sample.fps, seed=seed
        ).frames

    def _encode_motion(self, driving_video: np.ndarray, hands: Hands | None, window: Window) -> Tensor:
        del driving_video, hands
        return self.motion_tokens[:, window.video_frames(self.info.frame_step)]

    def _encode_camera(self, camera_path: CameraPath | None, window: Window, motion_tokens: Tensor) -> Tensor:
        del camera_path, motion_tokens
        return self.camera_tokens[:, window.video_frames(self.info.frame_step)]


def token_pipeline(stage: GeneratorStage, autoencoder: AutoencoderKLWan, ground: Ground) -> TokenPipeline:
    """A trained variant as a pipeline."""
    recipe = ground.recipe
    info = ModelInfo(
        id="threedimo-ablation",
        trained=True,
        width=recipe.size,
        height=recipe.size,
        num_frames=recipe.num_frames,
        max_frames=recipe.num_frames,
        fps=recipe.fps,
        frame_step=4,
        size_step=PIXELS_PER_TOKEN,
        num_inference_steps=INFERENCE_STEPS,
        text_guidance_scale=TEXT_SCALE,
        motion_guidance_scale=MOTION_SCALE,
    )
    pipeline = TokenPipeline(
        tokenizer=stage.tokenizer,
        text_encoder=stage.text_encoder,
        vae=autoencoder,
        transformer=stage.transformer,
        motion_encoder=ground.encoder,  # only asked for the size of its frames
        camera_encoder=stage.camera_encoder,
        scheduler=make_scheduler(),
        max_text_tokens=MAX_TEXT_TOKENS,
        info=info,
    )
    return pipeline.to(stage.device)


def generated_figures(
    folder: Path,
    pipeline: Callable[[], tuple[GeneratorStage, TokenPipeline]],
    held_out: HeldOut,
    count: int,
    probe: Probe,
    report: Callable[[str], None],
) -> Results:
    """The probe's figures of the first clips of each split, made unless the folder holds them.

    Args:
        folder: Keeps a file of figures and a strip of frames of every clip.
        pipeline: Gives the trained variant on the held-out clips.
        held_out: The clips.
        count: How many of each split.
        probe: The judge.
        report: Is told of each clip.

    Raises:
        TrainingMismatch: A file is damaged.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    made: tuple[GeneratorStage, TokenPipeline] | None = None
    results = Results()
    for split in SPLITS:
        results[split] = []
        for index in range(count):
            file = folder / f"{split}-{index:05d}.json"
            if not file.exists():
                made = made or pipeline()
                _make_clip(file, *made, held_out, split, index, probe)
                report(f"{folder.parent.name}  generated {split} {index + 1}/{count}")
            results[split].append(_read(file))
    return results


def strip_file(folder: Path, split: str, index: int) -> Path:
    """Where frames of a clip are kept, side by side."""
    return folder / f"{split}-{index:05d}.png"


def strip(frames: np.ndarray) -> np.ndarray:
    """Frames over the whole clip (F, S, S, 3), the first of them the reference, side by side."""
    chosen = np.linspace(0, len(frames) - 1, STRIP_FRAMES).round().astype(int)
    return np.concatenate(list(frames[chosen]), axis=1)


def _make_clip(
    file: Path,
    stage: GeneratorStage,
    pipeline: TokenPipeline,
    held_out: HeldOut,
    split: str,
    index: int,
    probe: Probe,
) -> None:
    clip = held_out.clip(split, index)
    number = held_out.numbers(split)[index]
    with torch.no_grad():
        motion = stage.motion_tokens([2 * number, 2 * number + 1])
        camera = stage.camera_tokens([2 * number], whole_clip(motion.shape[1] // TEMPORAL_COMPRESSION + 1))
    nothing = torch.zeros_like(camera)
    inputs = {
        "generated": (motion[:1], camera),
        "text_alone": (motion[:1], nothing),
        "other_motion": (motion[1:], camera),
    }
    truth = ClipTruth(clip, probe)
    frames = {run: pipeline.perform(clip, *inputs[run], seed=number) for run in RUNS}
    write_png(strip_file(file.parent, split, index), strip(frames["generated"]))
    write_file(file, msgspec.json.encode({run: truth.measure(made) for run, made in frames.items()}))


def _read(file: Path) -> dict[str, Values]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Values])
    except msgspec.MsgspecError as error:
        raise TrainingMismatch(
            f"{file} is damaged: {error}", remedy="delete the file; the clip is made again"
        ) from error
