"""Synthetic samples: of training's people and motions for the probe, of held-out ones for the evaluation."""

from __future__ import annotations

import numpy as np

from threedimo_training.evaluation.held_out_clips import SampleDrawer
from threedimo_training.evaluation.probe import FRAME_SIZE
from threedimo_training.evaluation.probe_frames import FRAMES_PER_CLIP, SampleSource
from threedimo_training.renderers.renderer import Renderer
from threedimo_training.samples.motions import MotionSource
from threedimo_training.samples.sample import ROLES, Sample
from threedimo_training.samples.sampler import draw_sample


def probe_samples(renderer: Renderer, seed: int, *, held_out: bool, plain: bool = False) -> SampleSource:
    """Samples for the probe's frames: eight moments, one second apart, of every role in turn."""

    def draw(index: int) -> Sample:
        return draw_sample(
            np.random.default_rng([seed, int(held_out), index]),
            renderer,
            sample_id=f"probe-{index}",
            seed=seed,
            size=FRAME_SIZE,
            num_frames=FRAMES_PER_CLIP,
            fps=1.0,
            role=ROLES[index % len(ROLES)],
            held_out=held_out,
            plain=plain,
        )

    return draw


def held_out_samples(
    renderer: Renderer,
    seed: int,
    *,
    size: int,
    num_frames: int,
    fps: float,
    motions: MotionSource | None = None,
    plain: bool = False,
) -> SampleDrawer:
    """Samples as a model makes them: S x S pixels, its number of frames and its rate."""

    def draw(rng: np.random.Generator, role: str) -> Sample:
        return draw_sample(
            rng,
            renderer,
            sample_id=f"evaluation-{role}",
            seed=seed,
            size=size,
            num_frames=num_frames,
            fps=fps,
            role=role,
            held_out=True,
            motions=motions,
            plain=plain,
        )

    return draw
