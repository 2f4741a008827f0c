"""The model's answers to a clip: the right inputs, and one of them wrong at a time."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from threedimo.camera import CameraPath
from threedimo.latents import decode_frames, encode_video
from threedimo.media import normalise
from threedimo.pipeline import MotionTransferPipeline
from threedimo_training.evaluation.held_out_clips import HeldOutClip

CONTROLS = ("frozen_reference", "other_motion", "other_camera_text", "reconstruction")
RUNS = ("generated", "text_alone", *CONTROLS, "ground_truth")
"""What is measured of every clip.

generated: the model with the right reference image, driving frames, text and camera hints.
text_alone: the same without hints.
frozen_reference: the reference image, repeated.
other_motion: as `generated`, but another clip's driving frames.
other_camera_text: as `text_alone`, but another clip's text.
reconstruction: the true frames through the model's own encoder and decoder, which is the ceiling.
ground_truth: the true frames themselves, which show the probe's own error.
"""


@dataclass(frozen=True, eq=False)
class Answers:
    """What came out.

    Attributes:
        frames: (F, S, S, 3) uint8 RGB by the names of `RUNS`.
        seconds: The model's time for `generated`.
    """

    frames: dict[str, np.ndarray]
    seconds: float


def run_clip(pipeline: MotionTransferPipeline, clip: HeldOutClip) -> Answers:
    """Make all runs of a clip with the same noise."""
    sample, other = clip.sample, clip.other
    target = sample.target

    def made(driving: np.ndarray, text: str, hints: bool) -> np.ndarray:
        return pipeline(
            target.frames[0],
            driving,
            text,
            target.path if hints else None,
            fps=sample.fps,
            width=target.frames.shape[2],
            height=target.frames.shape[1],
            seed=clip.noise_seed,
        ).frames

    started = time.monotonic()
    generated = made(sample.driving.frames, target.text, hints=True)
    seconds = time.monotonic() - started
    frames = {
        "generated": generated,
        "text_alone": made(sample.driving.frames, target.text, hints=False),
        "frozen_reference": np.repeat(target.frames[:1], len(target.frames), axis=0),
        "other_motion": made(other.driving.frames, target.text, hints=True),
        "other_camera_text": made(sample.driving.frames, other.target.text, hints=False),
        "reconstruction": reconstruction(pipeline, target.frames),
        "ground_truth": target.frames,
    }
    return Answers(frames, seconds)


def cut_path(path: CameraPath, frames: slice) -> CameraPath:
    """A camera's stretch of the clip's frames; it has a pose for each."""
    return replace(path, world_from_camera=path.world_from_camera[frames], intrinsics=path.intrinsics[frames])


@torch.no_grad()
def reconstruction(pipeline: MotionTransferPipeline, frames: np.ndarray) -> np.ndarray:
    """True frames (frames, height, width, 3) uint8, `4k+1`, through the model's encoder and decoder."""
    video = torch.from_numpy(normalise(frames))[None].to(pipeline.device)
    return np.concatenate(list(decode_frames(pipeline.vae, encode_video(pipeline.vae, video))))
